"""Streams on several machines: Redis or Valkey, for any number of worker processes.

A stream is a Redis Stream and a hash beside it, written by the one process that started it. What this process writes it
also keeps the end of, so that its own readers ask Redis for nothing while they keep up.
"""

import asyncio
import logging
from collections.abc import Sequence

from headrace.core.log import Appended, Batch, Bound, Head, Kept, Name, Wake
from headrace.errors import HeadraceError, NotFound, OffsetAhead, StoreCorrupt, StoreError, StoreUnavailable, StreamGone
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.model.request import Meta
from headrace.stores.packed import encode, outcome_in
from headrace.stores.redis.append import Append, flat_names
from headrace.stores.redis.entry import read_entry
from headrace.stores.redis.scripts import MOST_AGED
from headrace.stores.redis.worker import RedisWorker
from headrace.stores.tail import Tail, clip

logger = logging.getLogger(__name__)


class RedisLog(RedisWorker):
    """The log port over one Redis, with all abilities. One instance per process; it closes its connection."""

    async def create(self, id: str, meta: Meta, names: Sequence[Name] = ()) -> Bound:
        """Start the stream, or attach to the one that holds one of its first-come names."""
        self._usable()
        args = (id, meta.owner, repr(meta.created), encode(meta), self._writer.hex, encode(flat_names(names)))
        try:
            reply = await self._many(self._scripts.create, *args)
        except StoreUnavailable:
            self._doubtful.add(id)
            raise
        if not reply:
            raise StoreError("There is already a stream with this id.")
        bound = Bound(*(part.decode() for part in reply))
        if bound.id == id:
            self._own[id] = Tail(0, id, meta)
        return bound

    def append(
        self,
        id: str,
        expected_tail: int,
        records: Sequence[Record],
        outcome: Outcome | None = None,
        *,
        format: str = "",
        names: Sequence[Name] = (),
        freed: Sequence[Name] = (),
    ) -> "asyncio.Future[Appended]":
        """Add records where the tail is as expected; done when Redis has them and readers here are woken."""
        append = Append(id, expected_tail, records, outcome, format)
        tail = self._own.get(id)
        if self._closed:
            append.fail(StoreError("The store is closed."))
        elif tail is None:
            declining = self._spawn(self._decline(append))
            declining.add_done_callback(lambda _: append.fail(StoreError("The store is closed.")))
        else:
            self._appends.submit(append, tail.meta.stored, names, freed)
        return append.future

    async def _decline(self, append: Append) -> None:
        """Say why this process does not write the stream."""
        try:
            head = await self._standing(append.id)
            if head.outcome is None:
                raise StoreError("Another process writes this stream.")
        except HeadraceError as error:
            append.fail(error)
        else:
            append.tell(False, head.tail, head.outcome)

    async def _standing(self, id: str) -> Head:
        head = await self.head(id)
        if head is None:
            raise NotFound
        if head.gone:
            raise StreamGone
        return head

    async def read(self, id: str, after: int, *, max_bytes: int = 65536, wake: Wake | None = None) -> Batch:
        """Records above ``after``, or a promise to call ``wake``."""
        self._usable()
        tail = self._own.get(id)
        if tail is not None and (batch := _at_hand(tail, after, max_bytes)) is not None:
            if wake is not None and batch.waits:
                tail.wakes.append(wake)
            return batch
        if wake is None:
            return await self._look(id, after, max_bytes)
        # Registered before the look: what comes between the two rings it; taken back where there is more to read.
        if tail is not None:
            tail.wakes.append(wake)
        else:
            await self._followed.wait(id, wake)
        waits = False
        try:
            batch = await self._look(id, after, max_bytes)
            waits = batch.waits
        finally:
            if not waits:
                self.forget(id, wake)
        return batch

    async def _look(self, id: str, after: int, max_bytes: int) -> Batch:
        reply = await self._run(self._scripts.read, id, after, max_bytes)
        if not isinstance(reply, list):
            raise StreamGone if reply == b"gone" else NotFound
        tail, outcome, *blobs = reply
        if after > tail:
            raise OffsetAhead
        records: list[Record] = []
        for blob in blobs:
            first, part = read_entry(blob)
            skip = after + len(records) + 1 - first
            if skip < 0:
                raise StoreCorrupt
            records.extend(part[skip:] if skip else part)
        if not records and after < tail:
            logger.error("stream %s: redis has lost its records", id)
            raise StreamGone
        found = clip(records, 0, max_bytes) if records else ()
        return Batch(after + 1, found, tail, outcome_in(outcome) if after + len(found) == tail else None)

    def forget(self, id: str, wake: Wake) -> None:
        """Drop a wake that has not been called."""
        self._followed.forget(id, wake)
        tail = self._own.get(id)
        if tail is not None and wake in tail.wakes:
            tail.wakes.remove(wake)

    async def resolve(self, owner: str, name: str, kinds: Sequence[str]) -> Bound | None:
        """The stream that holds the name."""
        found = await self._many(self._scripts.resolve, owner, name, *kinds)
        return Bound(*(part.decode() for part in found)) if found else None

    async def list(self, owner: str, *, before: str = "", limit: int = 100) -> Sequence[Head]:
        """An owner's streams, newest first: by the time of their creation, then by id."""
        return await self._heads(self._scripts.list, owner, before, limit)

    async def open_streams(self, limit: int = 200) -> Sequence[Head]:
        """All owners' open streams, newest first."""
        return await self._heads(self._scripts.open, limit)

    async def drop(self, id: str, reason: str = "deleted") -> bool:
        """Leave a tombstone with owner and reason; whoever writes the stream is told."""
        dropped = await self._run(self._scripts.drop, id, reason, repr(self._clock.time()))
        if dropped and (tail := self._own.pop(id, None)) is not None:
            tail.call_wakes()
        return bool(dropped)

    # -- Retention ---------------------------------------------------------------------------------------------------

    async def unrecorded(self, limit: int = 100) -> Sequence[Head]:
        """Closed streams of this worker, and of the dead that it has inherited, that nobody has marked as recorded."""
        return await self._heads(self._scripts.unrecorded, self._writer.hex, limit)

    async def mark_recorded(self, ids: Sequence[str]) -> None:
        """Streams that retention may let go of."""
        await self._run(self._scripts.mark, self._writer.hex, *ids)

    async def expire(self, now: float, kept: Kept) -> int:
        """Turn old streams into tombstones, and drop old tombstones; any worker does it for all."""
        for id in [id for id, tail in self._own.items() if tail.outcome is not None]:
            del self._own[id]
        edges = (now, now - kept.frames, now - kept.stored, now - kept.tombstone)
        count = 0
        while True:
            done = await self._run(self._scripts.expire, *map(repr, edges))
            if not isinstance(done, int):
                raise StoreCorrupt
            count += done
            if done < MOST_AGED:
                return count

    def _usable(self) -> None:
        if self._closed:
            raise StoreError("The store is closed.")


def _at_hand(tail: Tail, after: int, max_bytes: int) -> Batch | None:
    """A batch from what this process keeps of a stream of its own; None where Redis must be asked."""
    if after == tail.tail:
        return Batch(after + 1, (), after, tail.outcome)
    records = tail.recent(after, max_bytes) if after < tail.tail else None
    if records is None:
        return None
    return Batch(after + 1, records, tail.tail, tail.outcome if after + len(records) == tail.tail else None)
