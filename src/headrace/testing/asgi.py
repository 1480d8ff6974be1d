"""A client that runs an ASGI app in its own process and sees its responses as they come.

::

    async with AppDriver(app) as driver:                  # runs the app's lifespan
        async with driver.open("GET", "/v1/streams/st_1") as exchange:
            assert (await exchange.head()).status == 200
            first = await exchange.piece()                # while the app goes on
            exchange.hold()                               # a client that reads no more
            exchange.disconnect()                         # and leaves

There are no sockets and no server; what a server does on its own (chunks, zero chunks, resets) is not here. An app that
breaks the ASGI protocol fails with an AssertionError, which the driver raises in the test.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote_to_bytes

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

#: Header names and values, as text; a sequence of pairs where a name comes twice.
Headers = Mapping[str, str] | Sequence[tuple[str, str]]


class ClientGone(OSError):
    """What a send meets after the client has left, on servers of ASGI version 2.4 and above."""


@dataclass(frozen=True)
class ResponseHead:
    """The head of a response. Of several headers with one name the values are joined by a comma."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Response:
    """A response from its head to its end. ``complete`` tells whether its body ended cleanly."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool


class Exchange:
    """One request and its response. Use as an async context; at its end the client leaves and the app has returned."""

    def __init__(self, app: App, scope: MutableMapping[str, Any], body: Iterable[bytes], *, finished: bool) -> None:
        self._app = app
        self._scope = scope
        self._incoming = deque(_requests(body, finished=finished))
        self._gone = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self._news = asyncio.Event()
        self._head: ResponseHead | None = None
        self._pieces: deque[bytes] = deque()
        self._task: asyncio.Task[None] | None = None
        #: The app has sent the last part of the body.
        self.complete = False
        #: Sends that have not returned: more than one at a time is a fault of the app.
        self.sending = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="asgi exchange")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()
        await self.returned()

    async def head(self) -> ResponseHead:
        """The response's head, once it is there. Raises AssertionError where the app returns without one."""
        while self._head is None:
            _must(not self.done, "the app returned without a response")
            await self._more()
        return self._head

    async def piece(self) -> bytes:
        """The next part of the body that is not empty; nothing at the end, which ``complete`` tells clean from cut."""
        while not self._pieces:
            if self.done or self.complete:
                await self._check()
                return b""
            await self._more()
        return self._pieces.popleft()

    async def read(self, size: int) -> bytes:
        """At least so many bytes of the body, fewer at its end."""
        read = bytearray()
        while len(read) < size and (piece := await self.piece()):
            read += piece
        return bytes(read)

    async def rest(self) -> bytes:
        """The body from here to its end."""
        read = bytearray()
        while piece := await self.piece():
            read += piece
        return bytes(read)

    async def response(self) -> Response:
        """All of it."""
        head = await self.head()
        body = await self.rest()
        return Response(head.status, head.headers, body, self.complete)

    def waiting(self) -> bytes:
        """What has come of the body and was not read yet. Does not wait."""
        return b"".join(self._pieces)

    def hold(self) -> None:
        """Read nothing more: from now on the app's sends block, as those to a full socket do."""
        self._free.clear()

    def release(self) -> None:
        """Read again."""
        self._free.set()

    def disconnect(self) -> None:
        """Leave. The app learns it from ``receive``, and a send that blocks fails as servers have it fail."""
        self._gone.set()
        self._free.set()

    @property
    def done(self) -> bool:
        """The app has returned."""
        return self._task is not None and self._task.done()

    async def returned(self) -> None:
        """Wait until the app has returned. Raises what it raised."""
        if self._task is not None:
            await asyncio.wait([self._task])
            await self._check()

    async def _check(self) -> None:
        if self._task is not None and self._task.done():
            _must(not self._task.cancelled(), "the app let a cancellation of its own escape")
            await self._task

    async def _more(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        finally:
            self._news.set()

    async def _receive(self) -> Message:
        if self._incoming and not self._gone.is_set():
            return self._incoming.popleft()
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        _must(not self.sending, "the app sends while it is sending")
        self.sending += 1
        try:
            await self._free.wait()
        finally:
            self.sending -= 1
        if self._gone.is_set():
            if self._scope["asgi"]["spec_version"] >= "2.4":
                raise ClientGone
            return
        self._take(message)
        self._news.set()

    def _take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            _must(self._head is None, "a second head")
            self._head = ResponseHead(message["status"], _by_name(message.get("headers", ())))
            return
        _must(message["type"] == "http.response.body", f"not a message of a response: {message['type']}")
        _must(self._head is not None, "a body before its head")
        _must(not self.complete, "a body after its end")
        if body := message.get("body", b""):
            self._pieces.append(bytes(body))
        self.complete = not message.get("more_body", False)


class AppDriver:
    """Asks an app. As an async context it runs the app's lifespan; without one, the app must not need it.

    ``spec_version`` is what the server claims to speak: from 2.4 on a send to a client who has left raises.
    """

    def __init__(self, app: App, *, host: str = "localhost:8003", spec_version: str = "2.4") -> None:
        self._app = app
        self._host = host
        self._spec_version = spec_version
        #: Where the next requests come from.
        self.client: tuple[str, int] | None = ("127.0.0.1", 50000)
        self._lifespan: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._down = asyncio.Event()

    def open(
        self,
        method: str,
        target: str,
        body: bytes | Sequence[bytes] = b"",
        headers: Headers = (),
        *,
        finished: bool = True,
        http_version: str = "1.1",
    ) -> Exchange:
        """A request that begins with the returned context. ``target`` is a path, quoted, and perhaps a query.

        A ``body`` in pieces comes in so many messages; where it is not ``finished``, its end never comes.
        """
        path, _, query = target.partition("?")
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
        if not any(name == b"host" for name, _ in raw):
            raw.insert(0, (b"host", self._host.encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": self._spec_version},
            "http_version": http_version,
            "method": method,
            "scheme": "http",
            "path": _unquoted(path),
            "raw_path": path.encode(),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": raw,
            "client": self.client,
            "server": ("127.0.0.1", 8003),
            "state": {},
        }
        return Exchange(self._app, scope, [body] if isinstance(body, bytes) else body, finished=finished)

    async def ask(
        self, method: str, target: str, body: bytes | Sequence[bytes] = b"", headers: Headers = ()
    ) -> Response:
        """One request and its whole response."""
        async with self.open(method, target, body, headers) as exchange:
            return await exchange.response()

    async def __aenter__(self) -> Self:
        self._lifespan = asyncio.create_task(self._live(), name="asgi lifespan")
        up = asyncio.create_task(self._up.wait())
        await asyncio.wait([self._lifespan, up], return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._lifespan.done():
            await self._lifespan
            raise AssertionError("the app's lifespan ended at once")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._down.set()
        if self._lifespan is not None:
            await self._lifespan

    async def _live(self) -> None:
        started = False

        async def receive() -> Message:
            nonlocal started
            if not started:
                started = True
                return {"type": "lifespan.startup"}
            await self._down.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: Message) -> None:
            _must(not message["type"].endswith(".failed"), message.get("message", "the app did not start or stop"))
            if message["type"] == "lifespan.startup.complete":
                self._up.set()

        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        await self._app(scope, receive, send)


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def _requests(body: Iterable[bytes], *, finished: bool) -> list[Message]:
    pieces = list(body) or [b""]
    last = len(pieces) - 1
    return [
        {"type": "http.request", "body": piece, "more_body": number < last or not finished}
        for number, piece in enumerate(pieces)
    ]


def _by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _unquoted(path: str) -> str:
    """A path as servers hand it over: its percent signs read, bytes that are no UTF-8 replaced."""
    return unquote_to_bytes(path).decode("utf-8", "replace")
