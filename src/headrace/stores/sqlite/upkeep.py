"""What a worker does for its log file off the hot path: compaction, sweeping, checkpoints."""

import asyncio
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from headrace.errors import StoreCorrupt, StoreError
from headrace.model.record import Record
from headrace.stores.sqlite.commit import GroupCommit, Transaction
from headrace.stores.sqlite.connection import Durability, checkpoint, connect, store_errors
from headrace.stores.sqlite.file import Reader
from headrace.stores.sqlite.shared import Shared
from headrace.stores.sqlite.view import View
from headrace.stores.tail import Tail

#: Seconds between two rounds.
PERIOD = 1.0
#: Payload of a segment: one read decodes one or two of them, 60 us each.
SEGMENT_BYTES = 64 * 1024
#: Segments that are written in one transaction (two milliseconds), and of how many streams at most.
SEGMENTS = 4
BATCH = 50
#: Rows that are swept in one transaction: at least, at most, and the seconds that one should take. Deleting overwrites
#: (secure_delete), so large rows take long: 400 of 16 KiB stopped all streams for tens of milliseconds.
SWEEP_LEAST = 5
SWEEP_MOST = 400
SWEEP_TIME = 0.001
#: Rows that are read at a time, in a thread.
GATHER = 1_000
#: Pages of WAL after which it is checkpointed (4 MiB), and after which commits are held until it is empty (64 MiB).
CHECKPOINT_PAGES = 1_000
RESET_PAGES = 16_000


def paced(rows: int, seconds: float) -> int:
    """How many rows to sweep next, where so many took so long."""
    if seconds > SWEEP_TIME:
        return max(SWEEP_LEAST, rows // 2)
    return min(SWEEP_MOST, rows * 2) if seconds < SWEEP_TIME / 2 else rows


def gather(reader: Reader, id: str, rows: "array[int]", tail: int) -> list[list[Record]] | None:
    """A closed stream's records in pieces of about the size of a segment; None where they are damaged.

    None too where the stream is not found by its id: in memory it is, until it is compacted.
    """
    try:
        with store_errors():
            if reader.find(id) is None:
                return None
    except StoreCorrupt:
        return None
    segments: list[list[Record]] = []
    size = SEGMENT_BYTES
    following = 1
    for place in range(0, len(rows), GATHER):
        try:
            with store_errors():
                parts = reader.chunks(rows[place : place + GATHER])
        except StoreCorrupt:
            return None
        for first, records in parts:
            if first != following:
                return None
            following += len(records)
            for record in records:
                if size >= SEGMENT_BYTES:
                    segments.append([])
                    size = 0
                segments[-1].append(record)
                size += len(record.data) + len(record.event)
    return segments if following == tail + 1 else None


def gather_all(reader: Reader, work: "list[tuple[str, array[int], int]]") -> list[list[list[Record]] | None]:
    """The same for several streams, in one visit to the thread."""
    return [gather(reader, id, rows, tail) for id, rows, tail in work]


class Upkeep:
    """One worker's housekeeping. Each step can be called by itself; :meth:`run` calls them every second."""

    def __init__(
        self, path: Path, durability: Durability, view: View, commit: GroupCommit, shared: Shared, vfs: str = ""
    ) -> None:
        self._view = view
        self._commit = commit
        self._shared = shared
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="headrace-upkeep")
        self._reader = Reader(path, durability, vfs)
        self._db = connect(path, durability, busy_ms=50, vfs=vfs)
        self._broken: set[int] = set()
        self._compacting = asyncio.Lock()
        self._sweep = SWEEP_LEAST
        #: Rows to be deleted.
        self.garbage: list[int] = view.strays
        #: Something was deleted that must not be found in the files any more.
        self.purge = False

    async def run(self) -> None:
        """Until cancelled. What can't be done now (a full disk) is tried again the next time."""
        while True:
            await asyncio.sleep(PERIOD)
            try:
                await self.tidy()
            except StoreError:
                continue

    async def tidy(self) -> None:
        """One round. Raises StoreError."""
        await self.pay()
        await self.compact()
        await self.sweep()
        if self.purge:
            self.purge = False
            await self.checkpoint(reset=True)
            await self._shared.checkpoint()
        await self._bound_wal()

    async def pay(self) -> None:
        """Tell the shared file of the first-come names that commits here have bound and freed. Raises StoreError."""
        with store_errors():
            owed = self._view.reader.owed()
        if owed:
            await self._shared.settle(owed)
            await self._commit.change(lambda txn: txn.writer.paid(owed))

    async def _bound_wal(self) -> None:
        if self._commit.wal_pages > RESET_PAGES:
            await self.checkpoint(reset=True)
        elif self._commit.wal_pages > CHECKPOINT_PAGES:
            await self.checkpoint()

    async def compact(self) -> None:
        """Move closed streams into segments, as many at a time as make one short transaction."""
        async with self._compacting:
            closed = [t for t in self._view.live.values() if t.outcome is not None and t.number not in self._broken]
            while closed:
                batch, size = [closed.pop()], 0
                while closed and size + closed[-1].size < SEGMENTS * SEGMENT_BYTES and len(batch) < BATCH:
                    size += closed[-1].size
                    batch.append(closed.pop())
                await self._compact(batch)
                await self._bound_wal()

    async def _compact(self, batch: list[Tail]) -> None:
        loop = asyncio.get_running_loop()
        work = [(tail.id, tail.all_rows()[:], tail.tail) for tail in batch]
        gathered = await loop.run_in_executor(self._threads, gather_all, self._reader, work)
        whole = []
        for tail, (_, rows, _), segments in zip(batch, work, gathered, strict=True):
            if segments is not None:
                whole.append(self._move_all(tail, segments, rows))
            elif not tail.gone:
                # It stays as it is, and its readers are told; the others need not wait for it.
                self._broken.add(tail.number)
        await asyncio.gather(*whole)

    async def _move_all(self, tail: Tail, segments: list[list[Record]], rows: "array[int]") -> None:
        first = 1
        for place in range(0, max(1, len(segments)), SEGMENTS):
            part = segments[place : place + SEGMENTS]
            await self._move(tail, first, part, rows, done=place + SEGMENTS >= len(segments))
            first += sum(map(len, part))

    async def _move(self, tail: Tail, first: int, part: list[list[Record]], rows: "array[int]", *, done: bool) -> None:
        def write(txn: Transaction) -> None:
            if tail.gone or tail in txn.buried:
                return
            if first == 1:
                txn.writer.unsegment(tail.number)
            txn.writer.segment(tail.number, first, part)
            if done:
                txn.writer.compacted(tail.number)

        def leave() -> None:
            if done and not tail.gone:
                tail.compact = True
                self._view.remove(tail)
                self.garbage.extend(rows)

        await self._commit.change(write, leave)

    async def sweep(self) -> None:
        """Delete rows that are no longer needed, page after page."""
        self.garbage.sort(reverse=True)
        while self.garbage:
            rows = [self.garbage.pop() for _ in range(min(self._sweep, len(self.garbage)))]
            try:
                await self._sweep_some(rows)
            except StoreError:
                self.garbage.extend(rows)
                raise

    async def _sweep_some(self, rows: list[int]) -> None:
        begun = 0.0

        def write(txn: Transaction) -> None:
            nonlocal begun
            begun = time.monotonic()
            txn.writer.sweep(rows)

        def committed() -> None:
            self._sweep = paced(self._sweep, time.monotonic() - begun)

        await self._commit.change(write, committed)

    async def checkpoint(self, *, reset: bool = False) -> None:
        """Move the WAL into the file; with ``reset`` hold commits meanwhile, so that it is empty afterwards.

        Under constant load there is always a commit between the end of a checkpoint and the WAL's reset, so it would
        grow for ever without that. The hold is short: most has been moved before it begins.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._checkpoint, False)
        if reset:
            await self._commit.hold()
            try:
                done = await loop.run_in_executor(self._threads, self._checkpoint, True)
                self.purge = self.purge or not done
                self._commit.wal_pages = 0 if done else self._commit.wal_pages
            finally:
                self._commit.release()

    def _checkpoint(self, truncate: bool) -> bool:
        with store_errors():
            return checkpoint(self._db, truncate=truncate)

    def close(self) -> None:
        """Let go of the file; waits for the step under way."""
        self._threads.shutdown()
        self._reader.close()
        self._db.close()
