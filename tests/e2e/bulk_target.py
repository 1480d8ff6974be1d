"""A target that sends and takes bodies of any size over a blocking socket, and a client of the same kind."""

import contextlib
import socket
import threading
import time
from typing import NamedTuple, Self

PIECE = memoryview(bytes(range(256)) * 4096)  # 1 MiB


class Moved(NamedTuple):
    """How a body went over. Seconds."""

    bytes: int
    first: float
    total: float


class BulkTarget:
    """``GET /base/SIZE`` is answered with so many bytes; of any other request the body is counted."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            # Whoever comes by mistake, or leaves early, is no reason to serve nobody else.
            with connection, contextlib.suppress(OSError, AssertionError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        head, rest = _head(connection)
        method, target = head.split(" ")[:2]
        if method == "GET":
            size = int(target.rpartition("/")[2])
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode())
            _send(connection, size)
            return
        size = length(head)
        taken = len(rest) + _take(connection, size - len(rest))
        text = str(taken).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))


def download(port: int, path: str) -> Moved:
    """Get a body and drop it."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        began = time.monotonic()
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head, rest = _head(connection)
        assert " 200 " in head.partition("\r\n")[0], head
        size = length(head) - len(rest)
        if not rest:
            size -= len(connection.recv(65536))
        first = time.monotonic() - began
        left = size - _take(connection, size)
        return Moved(length(head) - left, first, time.monotonic() - began)


def upload(port: int, path: str, size: int) -> Moved:
    """Send a body; the bytes are those that the target says it has taken."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        began = time.monotonic()
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode())
        _send(connection, size)
        head, rest = _head(connection)
        assert " 200 " in head.partition("\r\n")[0], head + rest.decode()
        while len(rest) < length(head):
            rest += connection.recv(4096)
        return Moved(int(rest), 0.0, time.monotonic() - began)


def length(head: str) -> int:
    """What a head says of its body."""
    return next(int(line.partition(":")[2]) for line in head.split("\r\n") if line.lower().startswith("content-length"))


def _head(connection: socket.socket) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        assert more, data
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


def _send(connection: socket.socket, size: int) -> None:
    for start in range(0, size, len(PIECE)):
        connection.sendall(PIECE[: size - start])


def _take(connection: socket.socket, size: int) -> int:
    buffer, taken = bytearray(1 << 20), 0
    while taken < size and (got := connection.recv_into(buffer, min(len(buffer), size - taken))):
        taken += got
    return taken
