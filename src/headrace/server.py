"""The server process: its sockets, its signals, and Granian around the app.

SIGTERM and SIGINT are ours: the registry drains first and the HTTP servers stop last, so that readers are told how
their answers ended. A second signal ends the process at once.
"""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence

import uvloop
from fastapi import FastAPI
from granian._granian import SocketHolder
from granian.constants import Interfaces, TaskImpl
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels
from granian.server.embed import Server as Granian

from headrace.app import create_app
from headrace.config import Server, Settings
from headrace.errors import ConfigError, StoreError

#: Connections that may wait to be accepted, and that one process serves at once.
BACKLOG = 2048
CONNECTIONS = 65536

#: Milliseconds in which a request's head must have come.
HEAD_TIMEOUT = 10_000

#: Seconds of silence after which the system asks whether a client is still there.
KEEPALIVE_IDLE = 60

#: Bytes that the kernel holds for a client beyond what is on the wire.
UNSENT = 128 << 10

#: Seconds that the HTTP servers get to close their connections, after the draining.
CLOSING = 5.0


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


def _connections() -> int:
    """How many connections are taken; others wait to be accepted.

    At most half as many as there may be descriptors, because each may need another for its upstream. Without one left,
    Granian tries to accept again and again, on all of a core.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if allowed == resource.RLIM_INFINITY else max(1, min(CONNECTIONS, allowed // 2))


class _Listener(Granian):
    """Granian on a socket that is bound already; by itself it takes addresses only."""

    def __init__(self, app: FastAPI, listening: socket.socket, server: Server) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            # Its other implementation has no real tasks, and a reply must be able to cancel a blocked send.
            task_impl=TaskImpl.asyncio,
            backlog=BACKLOG,
            backpressure=_connections(),
            websockets=False,
            http1_settings=HTTP1Settings(header_read_timeout=HEAD_TIMEOUT, max_buffer_size=128 << 10),
            http2_settings=HTTP2Settings(max_concurrent_streams=1000, max_headers_size=64 << 10),
            log_level=LogLevels.error,
            ssl_cert=server.tls_certificate,
            ssl_key=server.tls_key,
        )
        self._listening = listening

    def _init_shared_socket(self) -> None:
        self._ssp = None
        self._shd = SocketHolder(self._listening.fileno(), False, BACKLOG)  # type: ignore[assignment, call-arg]


def run(
    settings: Settings, sockets: Sequence[socket.socket], ready: Callable[[], None], lifeline: int | None = None
) -> None:
    """Serve until a signal comes; ``ready`` is called once requests are answered.

    ``lifeline`` is the reading end of a pipe: when it closes, the supervisor is dead, and the process ends at once.
    """
    # What is there by now stays; and a stream makes no cycles, so looking for them often only costs (5 % of the time,
    # and the worst of the latency).
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    # A thread that computes (compaction, say) hands the interpreter back after half a millisecond, not after five.
    sys.setswitchinterval(0.0005)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(settings, sockets, ready, lifeline))
        except StoreError as error:
            sys.exit(f"The stream store cannot be opened: {error}")


async def _serve(
    settings: Settings, sockets: Sequence[socket.socket], ready: Callable[[], None], lifeline: int | None
) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        told, again = _signals(lifeline)
        listeners = [_Listener(app, listening, settings.server) for listening in sockets]
        serving = [asyncio.create_task(listener.serve()) for listener in listeners]
        waiting = asyncio.create_task(told.wait())
        asyncio.get_running_loop().call_soon(ready)
        await asyncio.wait([waiting, *serving], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        app.state.service.topics.drain()
        draining = asyncio.create_task(app.state.service.registry.drain(settings.server.drain))
        hurry = asyncio.create_task(again.wait())
        await asyncio.wait([draining, hurry], return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()
        for listener in listeners:
            listener.stop()  # type: ignore[no-untyped-call]
        closing = asyncio.create_task(asyncio.wait(serving))
        await asyncio.wait([closing, hurry], timeout=CLOSING, return_when=asyncio.FIRST_COMPLETED)
        for task in (closing, hurry):
            task.cancel()
        for task in serving:
            if task.done():
                task.result()


def _signals(lifeline: int | None) -> tuple[asyncio.Event, asyncio.Event]:
    """Events for the first signal and for the second; the end of the supervisor counts as both."""
    told, again = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        (again if told.is_set() else told).set()

    def on_orphaned(fd: int) -> None:
        loop.remove_reader(fd)
        told.set()
        again.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, on_signal)
    if lifeline is not None:
        loop.add_reader(lifeline, on_orphaned, lifeline)
    return told, again
