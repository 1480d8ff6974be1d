"""The health of the stores: whether each of them works, and since when that is so."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from headrace.core.clock import Clock
from headrace.errors import StoreError

#: Seconds between two looks, and after which a store that says nothing does not work.
EVERY = 5.0
PATIENCE = 2.0


class Probe(NamedTuple):
    """A store: of which ``kind`` it is, and a call that raises StoreError where it does not work."""

    kind: str
    check: Callable[[], Awaitable[object]]


class StoreHealth:
    """Looks when it is asked, and not too often."""

    def __init__(self, probes: Mapping[str, Probe], clock: Clock) -> None:
        self._probes = probes
        self._clock = clock
        self._looked_at = float("-inf")
        #: Whether each works, and since when, in Unix seconds.
        self._known: dict[str, tuple[bool, float]] = {}

    async def __call__(self) -> list[dict[str, Any]]:
        """How each of them is, in the words of the dashboard."""
        now = self._clock.monotonic()
        if now >= self._looked_at + EVERY:
            self._looked_at = now
            works = await asyncio.gather(*(_works(probe) for probe in self._probes.values()))
            for name, healthy in zip(self._probes, works, strict=True):
                if name not in self._known or self._known[name][0] != healthy:
                    self._known[name] = (healthy, self._clock.time())
        return [
            {"name": name, "kind": self._probes[name].kind, "healthy": healthy, "since": since}
            for name, (healthy, since) in self._known.items()
        ]


async def _works(probe: Probe) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            await probe.check()
    except (StoreError, TimeoutError):
        return False
    return True
