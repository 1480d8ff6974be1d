"""Deadlines, and the one sweep that watches over all of them.

A timer per read costs more than the read. So nothing here has a timer of its own: whoever has a deadline writes down
when it is due, and one sweep, four times a second, asks everybody.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from headrace.core.clock import Clock, Timer

T = TypeVar("T")

#: Seconds between two looks; deadlines are kept to within this.
INTERVAL = 0.25

#: Seconds after the last look from which on the loop was held up.
LATE = 1.5 * INTERVAL

#: When nothing is due.
NEVER = float("inf")


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadlines:
    """How long an upstream may take, in seconds. Time that we spend on ourselves never counts.

    ``first`` is until the first record, ``idle`` between two records (keep-alives show life, not progress), ``total``
    for all of it. Connecting has a deadline of its own, where the connections are made.
    """

    first: float = 120.0
    idle: float = 60.0
    total: float = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How large one stream may grow, and how many may grow at once."""

    stream_bytes: int = 64 << 20
    stream_records: int = 1_000_000
    open_streams: int = 20_000
    open_streams_per_owner: int = 10_000
    readers_per_stream: int = 10_000


def resolve(future: "asyncio.Future[None]") -> None:
    """Let whoever waits go on. Harmless where it has been done."""
    if not future.done():
        future.set_result(None)


def heed(future: "asyncio.Future[Any]") -> None:
    """Nobody may wait for it any more; that it failed is nobody's business then. To be called when it is done."""
    if not future.cancelled():
        future.exception()


async def unhurried(work: Coroutine[Any, Any, T]) -> T:
    """Do it to its end, also where whoever waits for it is cancelled: it must not stop half way."""
    doing = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        doing.add_done_callback(heed)
        raise


class Watched(Protocol):
    """Whatever has a deadline."""

    def tick(self, now: float) -> None:
        """Look whether anything is due; ``now`` is monotonic. Must not block."""


class Sweep:
    """Asks everybody that it watches, as long as there is anybody."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched: dict[Watched, None] = {}
        self._timer: Timer | None = None
        self._was_late = False
        #: The time of the last look: near enough for keep-alives, and free.
        self.now = clock.monotonic()

    def add(self, watched: Watched) -> None:
        """Watch over it from now on."""
        self._watched[watched] = None
        if self._timer is None:
            self.now = self._clock.monotonic()
            self._timer = self._clock.call_later(INTERVAL, self._look)

    def discard(self, watched: Watched) -> None:
        """Let it be."""
        self._watched.pop(watched, None)

    def close(self) -> None:
        """Watch over nothing any more."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Ask; but not when the loop was held up: what has come meanwhile is read after timers, and shall count first.

        One look is left out for that, and not two.
        """
        before, self.now = self.now, self._clock.monotonic()
        self._timer = self._clock.call_later(INTERVAL, self._look) if self._watched else None
        self._was_late = self.now - before > LATE and not self._was_late
        if self._was_late:
            return
        for watched in tuple(self._watched):
            watched.tick(self.now)


async def pause(clock: Clock, seconds: float) -> None:
    """Wait, on a clock that is handed in."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_later(seconds, partial(resolve, done))
    try:
        await done
    finally:
        timer.cancel()
