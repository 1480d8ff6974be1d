"""An event loop of its own time: it never waits, and what is ready runs in an order that is drawn.

::

    loop = SimulatedLoop(random.Random(7))
    loop.run_until_complete(hour_long())        # takes as long as the work in it; the same each time
    clock = LoopClock(loop)                     # for what takes its time from a clock

The same seed gives the same order, if nothing in it depends on the real world. It has no sockets, and no threads come
back to it.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

#: Where the two hands begin: apart, so that code which mixes them is found out.
MONOTONIC = 1_000.0
WALL = 1_800_000_000.0


class Deadlock(Exception):
    """Everybody waits, and nothing will ever happen."""


class _Nothing:
    """A selector without files: instead of waiting it lets the time pass."""

    def __init__(self, loop: "SimulatedLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise Deadlock
        self._loop.now += timeout
        return []


class SimulatedLoop(asyncio.BaseEventLoop):
    """See the module. ``chance`` decides what runs first of all that is ready."""

    # What the base class does with these two, and calls in its subclasses, is not in its documentation; it has been the
    # same since there is one.
    _ready: Any
    _scheduled: Any

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self._selector = _Nothing(self)
        self.now = MONOTONIC

    def time(self) -> float:
        """Its own."""
        return self.now

    def alarms(self) -> int:
        """How many are set: a test of "no timer is left behind" asks this."""
        return sum(not handle.cancelled() for handle in self._scheduled)

    def _run_once(self) -> None:
        if len(self._ready) > 1:
            ready = list(self._ready)
            self._chance.shuffle(ready)
            self._ready.clear()
            self._ready.extend(ready)
        super()._run_once()  # type: ignore[misc]

    def _process_events(self, events: list[object]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


class LoopClock:
    """A :class:`~headrace.core.clock.Clock` by a loop's time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.monotonic = loop.time

    def time(self) -> float:
        """Unix seconds."""
        return WALL + self._loop.time()

    def call_later(self, delay: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call after ``delay`` seconds."""
        return self._loop.call_later(delay, callback)
