"""The source: items of a generator, made into what is kept or sent, as fast as somebody takes them.

Who reads a source does so from one task. Closing it ends the generator, whose ``finally`` runs: one that waits is
cancelled where it stands, one that runs in a thread is closed at its next item.
"""

import asyncio
import contextvars
import threading
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from concurrent.futures import Executor
from contextlib import suppress
from typing import Generic, NamedTuple, Protocol, TypeVar

from headrace.fastapi.errors import FAULTS, Fault

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: How far ahead of its reader a generator may run: items, and bytes of what they became.
AHEAD = 64
AHEAD_BYTES = 65536

#: Seconds after which a generator that has made something lets its thread go, so that others get one.
TURN = 0.05

_END = object()


class Maker(Protocol[T]):
    """How items become what is kept or sent: pure, and called in their order."""

    def make(self, item: object) -> T:
        """What one item becomes. What it raises ends the stream as a fault of the generator's."""

    def last(self) -> Sequence[T]:
        """What comes after the last item."""

    def size(self, made: T) -> int:
        """Its bytes."""


class Source(Protocol[T_co]):
    """Where a stream comes from."""

    async def read(self) -> Sequence[T_co]:
        """At least one, and nothing at the end. Raises Fault; not called again after either."""

    def close(self) -> None:
        """End the generator. Idempotent."""


class Direct(Generic[T]):
    """An asynchronous generator that goes on when its reader asks for more."""

    def __init__(self, items: AsyncIterable[object], maker: Maker[T]) -> None:
        self._items = items
        self._maker = maker
        self._iterator: AsyncIterator[object] | None = None
        self._ended = False

    async def read(self) -> Sequence[T]:
        """One item."""
        if self._ended:
            return ()
        with FAULTS:
            if self._iterator is None:
                self._iterator = aiter(self._items)
            try:
                item = await anext(self._iterator, _END)
            except asyncio.CancelledError:
                if _is_cancelled():
                    raise
                raise Fault from None  # something that the generator waited for, and not its reader
            if item is _END:
                self._ended = True
                return self._maker.last()
            return (self._maker.make(item),)

    def close(self) -> None:
        """End it in a task of its own: its clean-up may wait for others."""
        _in_background(_finish(self._items if self._iterator is None else self._iterator))


class Ahead(Generic[T]):
    """What is made and not yet taken."""

    def __init__(self, maker: Maker[T]) -> None:
        self._size_of = maker.size
        self._made: list[T] = []
        self._size = 0
        self.ended = False
        self.error: Fault | None = None
        self._news: asyncio.Future[None] | None = None

    @property
    def full(self) -> bool:
        """Nothing more should be made now."""
        return self._size >= AHEAD_BYTES or len(self._made) >= AHEAD

    def put(self, made: T) -> None:
        """Add one."""
        self._made.append(made)
        self._size += self._size_of(made)

    def end(self, error: Fault | None = None) -> None:
        """Nothing more comes."""
        self.ended = True
        self.error = error
        self.wake()

    def wake(self) -> None:
        """Let the reader look."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    @property
    def waits(self) -> bool:
        """The reader has to wait."""
        return not (self._made or self.ended)

    def news(self) -> "asyncio.Future[None]":
        """Done when there may be something."""
        self._news = asyncio.get_running_loop().create_future()
        return self._news

    def take(self) -> Sequence[T]:
        """All there is; nothing at the end. Raises Fault where it ended with one."""
        made, self._made, self._size = self._made, [], 0
        if not made and self.error is not None:
            raise self.error
        return made


class Pumped(Generic[T]):
    """An asynchronous generator with a task of its own, which runs a little ahead of the reader.

    It is in that task from its first step to its last: a time-out or a cancel scope around its items needs that.
    """

    def __init__(self, items: AsyncIterable[object], maker: Maker[T]) -> None:
        self._items = items
        self._maker = maker
        self._ahead = Ahead(maker)
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._room: asyncio.Future[None] | None = None

    async def read(self) -> Sequence[T]:
        """All that has been made."""
        ahead = self._ahead
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._pump(), name="a generator")
            self._task.add_done_callback(self._done)
        while ahead.waits:
            await ahead.news()
        made = ahead.take()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        return made

    def close(self) -> None:
        """Cancel the generator where it stands; one that goes on all the same is closed at its next item."""
        self._closed = True
        if self._task is None:
            _in_background(_finish(self._items))
        else:
            self._task.cancel()

    async def _pump(self) -> None:
        ahead, make = self._ahead, self._maker.make
        iterator: object = self._items
        try:
            with FAULTS:
                iterator = aiter(self._items)
                async for item in iterator:
                    if self._closed:
                        return
                    ahead.put(make(item))
                    ahead.wake()
                    if ahead.full:
                        await self._until_room()
                for made in self._maker.last():
                    ahead.put(made)
        finally:
            await _finish(iterator)

    async def _until_room(self) -> None:
        self._room = asyncio.get_running_loop().create_future()
        await self._room

    def _done(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        ended = error is None and not task.cancelled()
        self._ahead.end(None if ended else error if isinstance(error, Fault) else Fault())


class _Turn(NamedTuple):
    """How a generator's turn in a thread came out."""

    ended: bool
    error: Fault | None = None


class Threaded(Generic[T]):
    """A plain generator, which runs in threads: for a short turn at a time, or as long as one item takes it."""

    def __init__(self, items: Iterable[object], maker: Maker[T], pool: Executor) -> None:
        self._items = items
        self._maker = maker
        self._pool = pool
        self._ahead = Ahead(maker)
        self._lock = threading.Lock()  # for what is ahead: a thread adds to it, the reader takes
        self._iterator: Iterator[object] | None = None
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._running = False
        self._closing = False
        self._woken = False

    async def read(self) -> Sequence[T]:
        """All that has been made."""
        ahead = self._ahead
        while True:
            if not (self._running or ahead.ended or ahead.full):
                self._run(self._turn)
            if not ahead.waits:
                with self._lock:
                    made = ahead.take()
                if not (self._running or ahead.ended):
                    self._run(self._turn)
                return made
            await ahead.news()

    def close(self) -> None:
        """Close it at its next item, or now where it does not run."""
        if self._closing:
            return
        self._closing = True
        if not self._running and not self._ahead.ended:
            self._run(self._end)

    def _run(self, work: Callable[[], _Turn]) -> None:
        self._running = True
        self._pool.submit(self._work, work)

    # -- in a thread -------------------------------------------------------------------------------------------------

    def _work(self, work: Callable[[], _Turn]) -> None:
        turn = _Turn(ended=True, error=Fault())  # where it wants to end the process: then it has ended itself
        try:
            turn = self._context.run(work)
        finally:  # once the context has been left: the next turn, in another thread, enters it
            self._tell(self._paused, turn)

    def _turn(self) -> _Turn:
        """Make items until there are enough, or others should have their turn."""
        error: Fault | None = None
        try:
            with FAULTS:
                ended = self._make()
        except Fault as fault:
            ended, error = True, fault
        return self._end() if self._closing else _Turn(ended, error)

    def _make(self) -> bool:
        """Whether the generator has come to its end."""
        ahead, maker = self._ahead, self._maker
        if self._iterator is None:
            self._iterator = iter(self._items)
        until = time.monotonic() + TURN
        for item in self._iterator:
            if self._closing:
                return False
            self._put(maker.make(item))
            if ahead.full or time.monotonic() >= until:
                return False
            if not self._woken:
                self._woken = True
                self._tell(self._news)
        for made in maker.last():
            self._put(made)
        return True

    def _put(self, made: T) -> None:
        with self._lock:
            self._ahead.put(made)

    def _end(self) -> _Turn:
        """Close the generator."""
        items = self._items if self._iterator is None else self._iterator
        if isinstance(items, Generator):
            with suppress(Fault), FAULTS:
                items.close()
        return _Turn(ended=True)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            self._closing = True  # the loop has ended, and its reader with it

    # -- on the loop -------------------------------------------------------------------------------------------------

    def _news(self) -> None:
        self._woken = False
        self._ahead.wake()

    def _paused(self, turn: _Turn) -> None:
        self._running = False
        if turn.ended:
            self._ahead.end(turn.error)
        elif self._closing:
            self._run(self._end)
        else:
            self._ahead.wake()


async def _finish(iterator: object) -> None:
    """Have an asynchronous generator run its ``finally``."""
    if isinstance(iterator, AsyncGenerator):
        with suppress(Fault), FAULTS:
            await iterator.aclose()


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


_tasks: set["asyncio.Task[None]"] = set()


def _in_background(work: Coroutine[None, None, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
