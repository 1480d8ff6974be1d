"""A reader that follows a topic as it grows."""

import asyncio
from functools import partial

from headrace.core.deadlines import resolve
from headrace.core.topic_log import Offset, TopicBatch, TopicHead
from headrace.core.topics import Topics

#: A topic with a ``ttl`` is touched so many times in it, as long as somebody waits.
_TOUCHES = 3


class TopicReader:
    """Reads what comes after ``offset``, which moves with it. To be used by one task."""

    def __init__(self, topics: Topics, head: TopicHead, offset: Offset) -> None:
        self._topics = topics
        self._head = head
        self.offset = offset

    async def next(self, seconds: float, max_bytes: int = 65536) -> TopicBatch | None:
        """What there is, or comes within so many seconds; a batch without records is the end of a closed topic.

        None where nothing has come, and where the process is about to stop. Raises NotFound, StreamGone, OffsetAhead
        and StoreError.
        """
        topics = self._topics
        deadline = topics.clock.monotonic() + seconds
        while True:
            self._head = await topics.touch(self._head)
            left = deadline - topics.clock.monotonic()
            batch = await self._read(max_bytes, min(left, self._patience()))
            if batch.records or batch.ended:
                self.offset = batch.offset
                return batch
            if topics.draining or topics.clock.monotonic() >= deadline:
                return None

    def _patience(self) -> float:
        ttl = self._head.topic.ttl
        return float("inf") if ttl is None else ttl / _TOUCHES

    async def _read(self, max_bytes: int, seconds: float) -> TopicBatch:
        """What there is; where that is nothing, it is empty, and something has happened or the time is over."""
        topics, id = self._topics, self._head.id
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        rung = False

        def wake() -> None:
            nonlocal rung
            rung = True
            resolve(woken)

        batch = await topics.log.read(id, self.offset, max_bytes=max_bytes, wake=wake)
        try:
            if not batch.records and not batch.ended and seconds > 0 and not topics.draining:
                await self._wait(woken, seconds)
        finally:
            if not rung:
                topics.log.forget(id, wake)
        return batch

    async def _wait(self, woken: "asyncio.Future[None]", seconds: float) -> None:
        wake = partial(resolve, woken)
        timer = self._topics.clock.call_later(seconds, wake)
        self._topics.following.add(wake)
        try:
            await woken
        finally:
            timer.cancel()
            self._topics.following.discard(wake)
