"""A clock that stands still until a test moves it."""

import asyncio
import heapq
import itertools
from collections.abc import Callable

#: Turns of the event loop that are enough for a chain of callbacks, futures and tasks to come to rest.
SETTLE_TURNS = 50


async def settle(turns: int = SETTLE_TURNS) -> None:
    """Let everything that is ready on the event loop run, and what becomes ready by that."""
    for _ in range(turns):
        await asyncio.sleep(0)


class FakeTimer:
    """An alarm of a :class:`FakeClock`."""

    __slots__ = ("callback", "due")

    def __init__(self, due: float, callback: Callable[[], object]) -> None:
        self.due = due
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Do not call. Harmless after the call."""
        self.callback = None


class FakeClock:
    """A :class:`~headrace.core.clock.Clock` whose hands a test moves: no test sleeps.

    ``start`` is the Unix time with which it begins; the monotonic hand begins elsewhere, so that code which mixes the
    two is found out.
    """

    def __init__(self, start: float = 1_800_000_000.0, monotonic: float = 1_000.0) -> None:
        self._wall = start
        self._monotonic = monotonic
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return self._monotonic

    def time(self) -> float:
        """Unix seconds."""
        return self._wall

    def call_later(self, delay: float, callback: Callable[[], object]) -> FakeTimer:
        """Call once the clock has been moved by ``delay`` seconds."""
        timer = FakeTimer(self._monotonic + max(0.0, delay), callback)
        heapq.heappush(self._timers, (timer.due, next(self._order), timer))
        return timer

    def pending(self) -> int:
        """How many alarms are set: a test of "no timer is left behind" asks this."""
        return sum(timer.callback is not None for _, _, timer in self._timers)

    def step_wall(self, seconds: float) -> None:
        """Move the wall clock alone, as a correction by NTP does."""
        self._wall += seconds

    async def advance(self, seconds: float) -> None:
        """Move both hands forward, ringing each due alarm at its own time and letting the event loop settle after it.

        Alarms that are set while time goes by ring too, where they fall due within ``seconds``.
        """
        await settle()
        end = self._monotonic + seconds
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heapq.heappop(self._timers)
            callback, timer.callback = timer.callback, None
            if callback is None:
                continue
            self._move(due)
            callback()
            await settle()
        self._move(end)
        await settle()

    def _move(self, monotonic: float) -> None:
        if monotonic > self._monotonic:
            self._wall += monotonic - self._monotonic
            self._monotonic = monotonic
