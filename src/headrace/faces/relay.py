"""The relay: a request's body on its way out and an answer's on its way back, piece by piece, in constant memory.

Each piece is taken when the one before it has been taken, on both ways; whoever takes or sends nothing for too long is
given up. Where the answer is cut, so is the reply, and where the client leaves, the answer's connection is closed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import NamedTuple

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headrace.core.deadlines import NEVER, Sweep
from headrace.errors import BodyTooLarge, HeadraceError, LimitExceeded, RequestError, UpstreamProtocol, UpstreamTimeout
from headrace.faces import failures
from headrace.faces.reply import SEND, left
from headrace.upstreams.http import Exchange

_SWITCHING = 101
_BODILESS = frozenset({204, 205, 304})


class Bounds(NamedTuple):
    """How long others may take, in seconds, and how large a body may be in each direction, in bytes.

    ``first`` is until the head of an answer, from when the last piece of the request was taken; ``idle`` is between
    two pieces of an answer, ``send`` for how long the client may take none.
    """

    first: float
    idle: float
    send: float
    body: int | None = None


class Upload:
    """A request's body, for one reader; it alone knows of a client that leaves before it has sent everything.

    Raises BodyTooLarge over ``limit`` bytes, and RequestError where the client leaves.
    """

    def __init__(self, receive: Receive, limit: int | None, *, expected: bool) -> None:
        self._receive = receive
        self._left_bytes = limit
        #: The client is waited for, and nobody else.
        self.waiting = False
        #: Pieces that were asked for: who takes the body makes progress.
        self.pieces = 0
        self._expected = expected
        self._gone = False
        self._over = asyncio.Event()
        if not expected:
            self._over.set()

    @property
    def body(self) -> "Upload | None":
        """Itself, where there is a body."""
        return self if self._expected else None

    @property
    def over(self) -> bool:
        """All of it has been taken, or no more of it is wanted."""
        return self._over.is_set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces, as they come."""
        try:
            more = True
            while more:
                self.pieces += 1
                data, more = await self._next()
                if data:
                    yield data
        finally:
            self._over.set()

    async def gone(self) -> None:
        """Return when the client has left."""
        await self._over.wait()
        if not self._gone:
            await left(self._receive)

    async def _next(self) -> tuple[bytes, bool]:
        self.waiting = True
        message = await self._receive()
        self.waiting = False
        if message["type"] != "http.request":
            self._gone = True
            raise RequestError("The request's body did not come to its end.")
        data: bytes = message.get("body", b"")
        if self._left_bytes is not None:
            self._left_bytes -= len(data)
            if self._left_bytes < 0:
                raise BodyTooLarge
        return data, message.get("more_body", False)


#: Asks for an answer.
Ask = Callable[[Upload], Awaitable[Exchange]]
#: Which headers of an answer pass.
Show = Callable[[Exchange], Mapping[str, str]]


class Relay(Response):
    """The reply to a request that is passed on. ``ask`` sends it; ``show`` says which headers of the answer pass."""

    def __init__(self, ask: Ask, show: Show, *, sweep: Sweep, bounds: Bounds, expected: bool) -> None:
        self.background = None
        self._ask = ask
        self._show = show
        self._sweep = sweep
        self._bounds = bounds
        self._expected = expected
        self._upload: Upload | None = None
        self._answer: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._due = NEVER
        self._pieces = 0
        self._late = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay. Returns early, which cuts the connection, where the answer does not come to its end."""
        upload = self._upload = Upload(receive, self._bounds.body, expected=self._expected)
        self._task = asyncio.create_task(self._relay(scope, upload, send))
        leaving = asyncio.create_task(upload.gone())
        self._sweep.add(self)
        try:
            await asyncio.wait([self._task, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._sweep.discard(self)
            for task in (self._task, leaving):
                task.cancel()
            ended = await asyncio.gather(self._task, leaving, return_exceptions=True)
            if self._answer is not None:
                self._answer.release()
        if isinstance(ended[0], Exception) and not isinstance(ended[0], OSError):  # a client that has left, on send
            raise ended[0]

    def tick(self, now: float) -> None:
        """Give up whoever takes or sends nothing for too long; a client that is waited for has its own deadline."""
        upload = self._upload
        if upload is not None and not upload.over and (upload.waiting or upload.pieces != self._pieces):
            self._pieces = upload.pieces
            self._due = now + (self._bounds.first if self._answer is None else self._bounds.idle)
        if now >= self._due and self._task is not None and not self._late:
            self._late = True
            self._task.cancel()

    async def _relay(self, scope: Scope, upload: Upload, send: Send) -> None:
        try:
            answer = await self._asked(upload)
            head = {"type": "http.response.start", "status": answer.status, "headers": self._shown(answer)}
        except HeadraceError as error:
            await failures.of_error(error, scope)(scope, _nothing, send)
            return
        await send(head)
        # What the layers in between have to say, they have said of the head; the body goes straight to the server.
        send = scope.get(SEND, send)
        try:
            await self._pass_back(answer, send)
        except HeadraceError:
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _asked(self, upload: Upload) -> Exchange:
        """The answer, when its head has come. Raises HeadraceError."""
        self._due = self._sweep.now + self._bounds.first
        try:
            answer = self._answer = await self._ask(upload)
        except asyncio.CancelledError:
            if not self._late or self._task is None:
                raise
            self._task.uncancel()
            raise UpstreamTimeout from None
        if answer.status == _SWITCHING:
            raise UpstreamProtocol
        length = answer.headers.get("content-length", "")
        if self._bounds.body is not None and length.isdecimal() and int(length) > self._bounds.body:
            raise LimitExceeded
        return answer

    async def _pass_back(self, answer: Exchange, send: Send) -> None:
        sweep, bounds, size = self._sweep, self._bounds, 0
        while True:
            self._due = sweep.now + bounds.idle
            data = await answer.read_some()
            self._due = sweep.now + bounds.send
            size += len(data)
            if bounds.body is not None and size > bounds.body:
                raise LimitExceeded
            if not data:
                return
            await send({"type": "http.response.body", "body": data, "more_body": True})

    def _shown(self, answer: Exchange) -> list[tuple[bytes, bytes]]:
        shown = dict(self._show(answer))
        if answer.status in _BODILESS:
            shown.pop("content-length", None)
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in shown.items()]


async def _nothing() -> dict[str, str]:
    """What is received where nothing is asked."""
    return {"type": "http.disconnect"}
