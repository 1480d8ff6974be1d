"""Replies: what every one of them says in its head, and those that are streamed without being kept."""

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from headrace.core.clock import Clock, Timer
from headrace.faces.reply import NO_BUFFERING, left
from headrace.fastapi.errors import Cut, Fault
from headrace.fastapi.forms import Event, Form, Items, problem
from headrace.fastapi.source import Maker, Source, Threaded
from headrace.model.outcome import Outcome, State
from headrace.wire.disposition import attachment

T = TypeVar("T")

#: Seconds for which the status waits for the first item, so that a generator that refuses at once has a status.
GATE = 0.05

#: Sends after which others have their turn, where neither generator nor client ever makes us wait.
TURN = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """How one reply is to be. ``keepalive`` is in seconds, ``retry`` in milliseconds."""

    status_code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str
    filename: str = ""
    retry: int | None = None
    keepalive: float = 15.0
    close: bool = True

    def head(self) -> dict[str, str]:
        """The headers; those that the caller gave are stronger than ours."""
        named = {"content-disposition": attachment(self.filename)} if self.filename else {}
        return {**NO_BUFFERING, **named, **{name.lower(): value for name, value in self.headers.items()}}


def source_of(
    items: AsyncIterable[object] | Iterable[object],
    maker: Maker[T],
    pool: Executor,
    direct: Callable[[AsyncIterable[object], Maker[T]], Source[T]],
) -> Source[T]:
    """The source of the items, as they are asynchronous or not."""
    if isinstance(items, AsyncIterable):
        return direct(items, maker)
    return Threaded(items, maker, pool)


def refused(outcome: Outcome) -> Response:
    """The reply where a generator failed before its first item."""
    return JSONResponse({"detail": problem(outcome)}, outcome.status or 500)


class Framed(Maker[bytes]):
    """Makes the bytes of each item at once."""

    def __init__(self, form: Form, items: Items) -> None:
        self._frame = form.frame
        self._items = items

    def make(self, item: object) -> bytes:
        """The frame of one item."""
        return self._frame(self._items.make(item), item.id if type(item) is Event else "")

    def last(self) -> Sequence[bytes]:
        """The frames after the last item."""
        return [self._frame(record, "") for record in self._items.last()]

    def size(self, made: bytes) -> int:
        """Its bytes."""
        return len(made)


class Plain(Response):
    """Sends what a generator makes as the client takes it, and keeps nothing. A client who leaves ends the generator.

    The body ends cleanly only where the generator did, or the form has told how it ended.
    """

    def __init__(self, form: Form, open_source: Callable[[], Source[bytes]], manner: Manner, clock: Clock) -> None:
        self.status_code = manner.status_code
        self.media_type = manner.media_type
        self.background = None
        self.init_headers(manner.head())
        self._form = form
        self._open = open_source
        self._manner = manner
        self._clock = clock
        self._begun = False
        self._whole = False
        self._left = False
        #: The generator is waited for, so that something else may be sent.
        self._waiting = False
        self._aside: asyncio.Task[None] | None = None
        self._sent_at = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply. Raises Cut where the body stays unfinished although the client is there."""
        source = self._open()
        watcher = asyncio.create_task(self._watch(receive))
        self._task = asyncio.create_task(self._reply(source, scope, send))
        timers = self._timers(send)
        try:
            await asyncio.wait([self._task])
            self._conclude(self._task)
        finally:
            for timer in timers.values():
                timer.cancel()
            for task in (watcher, self._task, self._aside):
                if task is not None:
                    task.cancel()
            source.close()
        if self.background is not None:
            await self.background()

    def _conclude(self, task: "asyncio.Task[None]") -> None:
        """Raise what ended the reply, unless it is that the client left."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, OSError):
            self._left = True
        elif error is not None:
            raise error
        if not (self._whole or self._left):
            raise Cut

    async def _watch(self, receive: Receive) -> None:
        await left(receive)
        self._left = True
        if self._task is not None:
            self._task.cancel()

    async def _reply(self, source: Source[bytes], scope: Scope, send: Send) -> None:
        failed: Outcome | None = None
        try:
            await self._send_items(source, send)
        except Fault as fault:
            failed = _outcome_of(fault, self._clock.time())
        await self._settled()
        if failed is not None and not self._begun:
            self._whole = True
            await refused(failed)(scope, _nothing, send)
            return
        await self._begin(send)
        outcome = failed or Outcome(state=State.COMPLETED, reason="stop", ended_at=0.0)
        frames = self._form.end(outcome, close=self._manner.close)
        if frames or failed is None:
            told = b"".join(self._form.frame(frame, "") for frame in frames)
            await send({"type": "http.response.body", "body": told, "more_body": False})
            self._whole = True

    async def _send_items(self, source: Source[bytes], send: Send) -> None:
        turn = 0
        while True:
            self._waiting = True
            made = await source.read()
            self._waiting = False
            if self._left:
                raise asyncio.CancelledError  # a generator that goes on although it was cancelled goes on alone
            if self._aside is not None:
                await self._settled()
            if not made:
                return
            if not self._begun:
                await self._begin(send)
            await send({"type": "http.response.body", "body": b"".join(made), "more_body": True})
            self._sent_at = self._clock.monotonic()
            turn += 1
            if turn % TURN == 0:
                await asyncio.sleep(0)

    # -- while the generator is waited for ---------------------------------------------------------------------------

    def _timers(self, send: Send) -> dict[str, Timer]:
        timers: dict[str, Timer] = {}

        def ping() -> None:
            quiet = self._clock.monotonic() - self._sent_at
            if quiet >= self._manner.keepalive:
                self._meanwhile(send, self._form.ping)
                quiet = 0.0
            timers["ping"] = self._clock.call_later(self._manner.keepalive - quiet, ping)

        self._sent_at = self._clock.monotonic()
        timers["gate"] = self._clock.call_later(GATE, partial(self._meanwhile, send, b""))
        if self._form.ping:
            timers["ping"] = self._clock.call_later(self._manner.keepalive, ping)
        return timers

    def _meanwhile(self, send: Send, data: bytes) -> None:
        if self._waiting and (self._aside is None or self._aside.done()):
            self._aside = asyncio.create_task(self._send_aside(send, data))

    async def _send_aside(self, send: Send, data: bytes) -> None:
        await self._begin(send)
        if data:
            await send({"type": "http.response.body", "body": data, "more_body": True})
            self._sent_at = self._clock.monotonic()

    async def _settled(self) -> None:
        """Wait for what is being sent aside: one message at a time."""
        if self._aside is not None:
            aside, self._aside = self._aside, None
            await aside

    async def _begin(self, send: Send) -> None:
        if not self._begun:
            self._begun = True
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if self._manner.retry is not None:
                body = b"retry: %d\n\n" % self._manner.retry
                await send({"type": "http.response.body", "body": body, "more_body": True})


async def _nothing() -> dict[str, str]:
    """What a whole reply receives: nothing that it needs."""
    return {"type": "http.disconnect"}


def _outcome_of(fault: Fault, now: float) -> Outcome:
    return Outcome(
        state=State.FAILED,
        reason=fault.code,
        ended_at=now,
        status=fault.status,
        retryable=fault.retryable,
        detail=fault.detail,
    )
