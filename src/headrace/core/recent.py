"""What a slow source has said of late: remembered for seconds, asked again when that is over.

Whoever asks for what is remembered does not wait. All who wait are answered by one call, and there is one at a time, so
that a flood of names that nobody knows costs the source no more than a few calls a second.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, NamedTuple, TypeVar

from headrace.core.clock import Clock
from headrace.errors import StoreError, StoreUnavailable

K = TypeVar("K")
V = TypeVar("V")


class _Known(NamedTuple, Generic[V]):
    """A value, or None for what is not there, and when it was asked for (monotonic)."""

    at: float
    value: V | None


class Recent(Generic[K, V]):
    """Values by their names, from ``load``, which gives those that are there and raises StoreError.

    What is remembered is at most ``fresh`` seconds old, and at most ``most`` names; those asked for longest ago go
    first. While the source is away, what was there counts for ``grace`` seconds. It is waited for ``patience`` seconds
    by those for whom something counts, and ``longest`` by others.
    """

    def __init__(
        self,
        load: Callable[[Collection[K]], Awaitable[Mapping[K, V]]],
        clock: Clock,
        *,
        fresh: float = 5.0,
        grace: float = 60.0,
        most: int = 10_000,
        patience: float = 1.0,
        longest: float = 5.0,
    ) -> None:
        self._load = load
        self._clock = clock
        self._fresh = fresh
        self._grace = grace
        self._most = most
        self._patience = patience
        self._longest = longest
        self._known: dict[K, _Known[V]] = {}
        self._wanted: set[K] = set()
        self._running: asyncio.Task[Mapping[K, V] | None] | None = None
        self._next: asyncio.Task[Mapping[K, V] | None] | None = None
        self._away = False

    async def get(self, name: K) -> V | None:
        """What is there under a name, or None. Raises StoreUnavailable where nobody can tell now."""
        known = self._known.get(name)
        age = self._clock.monotonic() - known.at if known else math.inf
        if known is not None and age < self._fresh:
            return known.value
        asking = self._ask(name)
        kept = known.value if known is not None and age < self._grace else None
        if kept is not None and self._away:  # the answer is for whoever asks next
            return kept
        await asyncio.wait([asking], timeout=self._longest if kept is None else self._patience)
        self._away = self._away or not asking.done()
        found = asking.result() if asking.done() else None
        if found is not None:
            return found.get(name)
        if kept is None:
            raise StoreUnavailable("What is needed to decide this cannot be looked up now.")
        return kept

    async def close(self) -> None:
        """Ask no more."""
        tasks = [task for task in (self._running, self._next) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask(self, name: K) -> "asyncio.Task[Mapping[K, V] | None]":
        """The call that will ask for a name: the one after that which is under way."""
        if len(self._wanted) >= self._most:
            raise StoreUnavailable
        self._wanted.add(name)
        if self._next is None:
            self._next = asyncio.create_task(self._asked(self._running))
        return self._next

    async def _asked(self, before: "asyncio.Task[Mapping[K, V] | None] | None") -> Mapping[K, V] | None:
        """What the source says of all that is wanted by now; None where it is away."""
        if before is not None:
            await asyncio.wait([before])
        wanted, self._wanted = self._wanted, set()
        self._running, self._next = self._next, None
        at = self._clock.monotonic()  # before it is asked: what changes meanwhile may not be in its answer
        try:
            found = await self._load(wanted)
        except StoreError:
            self._away = True
            return None
        self._away = False
        for name in wanted:
            self._known.pop(name, None)
            self._known[name] = _Known(at, found.get(name))
        while len(self._known) > self._most:
            del self._known[next(iter(self._known))]
        return found
