"""The upkeep: what has to be done again and again, off the hot path."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from headrace.core.clock import Clock
from headrace.core.deadlines import pause
from headrace.core.log import Kept, Retention
from headrace.core.registry import Registry
from headrace.core.topics import Topics
from headrace.errors import StoreError
from headrace.records.recorder import BATCH, Recorder

logger = logging.getLogger(__name__)

#: Seconds between two rounds. A dead process's answers end within its lease and one round.
REAP = 0.5
RECORD = 1.0
EXPIRE = 30.0


class Upkeep:
    """Ends the streams of dead processes, records what has ended, and lets go of what is old."""

    def __init__(self, registry: Registry, recorder: Recorder, topics: Topics, kept: Kept, clock: Clock) -> None:
        self._registry = registry
        self._recorder = recorder
        self._topics = topics
        self._kept = kept
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Reap once, so that no reader finds an answer that nobody writes; then go on by itself."""
        await self._registry.reap()
        for work, seconds in ((self._reap, REAP), (self._record, RECORD), (self._expire, EXPIRE)):
            self._tasks.append(asyncio.create_task(self._again(work, seconds), name=f"upkeep {work.__name__}"))

    async def close(self) -> None:
        """Stop. What has ended by now is recorded when the recorder is closed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _again(self, work: Callable[[], Awaitable[object]], seconds: float) -> None:
        while True:
            await pause(self._clock, seconds)
            try:
                await work()
            except StoreError as error:
                logger.warning("upkeep: %s does not work now (%s)", work.__name__, error.code)

    async def _reap(self) -> None:
        await self._registry.reap()

    async def _record(self) -> None:
        while await self._recorder.fill() > BATCH // 2:
            pass

    async def _expire(self) -> None:
        log = self._registry.log
        if isinstance(log, Retention):
            await log.expire(self._clock.time(), self._kept)
        await self._topics.expire()
        await self._recorder.expire_requests(self._clock.time() - self._kept.stored)
