"""The listening sockets: where, and what every connection that they accept inherits."""

import resource
import socket
import sys

from headrace.config import Settings
from headrace.errors import ConfigError

#: Connections that may wait to be accepted, and that one process serves at once.
BACKLOG = 2048
CONNECTIONS = 65536

#: Seconds in which a request's head must have come, and bytes that are held of it at the most. (The app refuses smaller
#: ones, in the words of its clients.)
HEAD_TIMEOUT = 10.0
HEAD_BYTES = 128 << 10

#: Seconds of silence after which the system asks whether a client is still there.
KEEPALIVE_IDLE = 60

#: Bytes that the kernel holds for a client beyond what is on the wire.
UNSENT = 128 << 10


def bind(settings: Settings) -> list[socket.socket]:
    """Listening sockets for the configured address; for loopback by name or default, on IPv4 and IPv6.

    Raises ConfigError where the address cannot be had.
    """
    server = settings.server
    hosts = [server.host.strip("[]")]
    if hosts[0] in ("localhost", "127.0.0.1"):
        # Browsers and clients take either for "localhost".
        hosts = ["127.0.0.1", "::1"]
    sockets: list[socket.socket] = []
    port = server.port
    for host in hosts:
        try:
            family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listening = socket.socket(family, kind, proto)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _set_for_connections(listening, settings.deadlines.send)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(address)
        except OSError as error:
            if sockets:
                continue  # a machine without IPv6
            reason = error.strerror or "not possible"
            raise ConfigError(f"Cannot listen on {server.host}:{server.port}: {reason}.") from None
        listening.listen(BACKLOG)
        listening.setblocking(False)
        port = listening.getsockname()[1]
        sockets.append(listening)
    return sockets


def _set_for_connections(listening: socket.socket, send_timeout: float) -> None:
    """Set what accepted connections inherit; ``send_timeout`` is in seconds."""
    # Without it the first token waits for the client's delayed ACK of the head: 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
        # A client that takes nothing, or is not there any more. Granian tries for ever to get rid of what is left of a
        # reply that was given up.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(send_timeout * 1000))
        # Else the kernel takes up to 4 MB for a client that reads nothing.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)


def connections() -> int:
    """How many connections are taken; of those beyond, Granian lets them wait; our own listener makes room or refuses.

    At most half as many as there may be descriptors, because each may need another for its upstream. Without one left,
    Granian tries to accept again and again, on all of a core.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if allowed == resource.RLIM_INFINITY else max(1, min(CONNECTIONS, allowed // 2))
