"""A server that plays a list of answers, on a real socket, and keeps what it was asked."""

import socket
import threading
from collections.abc import Callable
from typing import Self

from headrace.client import AsyncClient, Client
from headrace.client.exchange import Address
from headrace.client.patience import Patience
from headrace.client.server import Server

#: An answer: the connection breaks.
CUT = b""


def answer(status=200, body=b"", **headers):
    """An answer with a length."""
    lines = [f"HTTP/1.1 {status} X", "connection: close", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(*pieces, end=True, **headers):
    """An answer in chunks; without its ``end`` it is cut."""
    lines = ["HTTP/1.1 200 X", "transfer-encoding: chunked"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return "\r\n".join([*lines, "", ""]).encode() + body + (b"0\r\n\r\n" if end else b"")


def stream(*blocks, end=True, **headers):
    """An answer of events; without its ``end`` it is cut."""
    return chunked(*blocks, end=end, content_type="text/event-stream; charset=utf-8", **headers)


class Naps:
    """A clock that is moved by sleeping alone."""

    def __init__(self) -> None:
        self.now = 100.0
        self.taken: list[float] = []

    def time(self) -> float:
        """The monotonic time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move it."""
        self.taken.append(seconds)
        self.now += seconds

    async def nap(self, seconds: float) -> None:
        """The same for asyncio."""
        self.sleep(seconds)


class Scripted:
    """Each answer goes over a connection of its own. ``asked`` are the requests: head and body.

    An answer that can be called is made from the head.
    """

    def __init__(self, *answers: bytes | Callable[[str], bytes]) -> None:
        self._answers = answers
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked: list[tuple[str, bytes]] = []
        self._clients: list[Server] = []
        self._thread = threading.Thread(target=self._play, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def client(self, path: str = "", key: str = "", *, naps: Naps | None = None) -> Server:
        """A client of it, closed with it, which waits by a clock of its own."""
        naps = naps or Naps()
        client = Server(Address(self.url + path, key), patience=Patience(now=naps.time), sleep=naps.sleep)
        self._clients.append(client)
        return client

    def answers(self, naps: Naps | None = None) -> Client:
        """The client for users, sync."""
        naps = naps or Naps()
        return Client(self.url, "k-123", sleep=naps.sleep, now=naps.time)

    def answers_async(self, naps: Naps | None = None) -> AsyncClient:
        """The same for asyncio; the test closes it."""
        naps = naps or Naps()
        return AsyncClient(self.url, "k-123", sleep=naps.nap, now=naps.time)

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()
        self._socket.close()
        self._thread.join(5.0)

    def _play(self) -> None:
        for data in self._answers:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.asked.append(_request(connection))
                connection.sendall(data(self.asked[-1][0]) if callable(data) else data)

    @property
    def lines(self) -> list[str]:
        """What was asked for: methods and targets."""
        return [head.partition(" HTTP")[0] for head, _ in self.asked]


def _request(connection: socket.socket) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    text = head.decode("latin-1").lower()
    size = int(text.partition("content-length: ")[2].partition("\r\n")[0] or 0)
    while len(body) < size:
        body += connection.recv(65536)
    return head.decode("latin-1"), body
