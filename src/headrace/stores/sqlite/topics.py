"""Topics in a data folder: one file that all workers write, each from a thread of its own.

Reads are short and happen on the event loop. What another worker has appended is noticed by a look at the file's
version, as long as anybody waits.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

from headrace.core.log import Wake
from headrace.core.topic_log import Note, Offset, Topic, TopicAppended, TopicBatch, TopicHead
from headrace.errors import StoreError
from headrace.stores.sqlite.connection import Durability, check_sqlite, store_errors
from headrace.stores.sqlite.place import POLL, machine_boot
from headrace.stores.sqlite.topics_file import Reader, Writer

#: Batches that are shared by those who read the same, and the largest of them, in bytes.
_BATCHES = 64
_SHARED = 16 << 10

P = ParamSpec("P")
T = TypeVar("T")


class SqliteTopics:
    """The topic port on a file that several processes share. Made by :meth:`open`, after any fork."""

    def __init__(self, threads: ThreadPoolExecutor, writer: Writer, reader: Reader) -> None:
        self._threads = threads
        self._writer = writer
        self._reader = reader
        self._wakes: dict[int, list[Wake]] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        #: What was last read, of the file as it is at this version.
        self._batches: dict[tuple[int, Offset, int], TopicBatch] = {}
        self._version = -1
        self._sweeping: asyncio.Task[None] | None = None
        self._sweep()

    @classmethod
    async def open(cls, folder: Path, *, durability: Durability = "process", boot: str = "", vfs: str = "") -> Self:
        """Open the file in a data folder, or make it. Raises StoreError."""
        threads = ThreadPoolExecutor(1, thread_name_prefix="headrace-topics")

        def work() -> tuple[Writer, Reader]:
            check_sqlite()
            with store_errors():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                path = folder / "topics.db"
                return Writer(path, durability, boot or machine_boot(), vfs), Reader(path, durability, vfs)

        try:
            writer, reader = await asyncio.get_running_loop().run_in_executor(threads, work)
        except BaseException:
            threads.shutdown(wait=False)
            raise
        return cls(threads, writer, reader)

    async def create(
        self, topic: Topic, records: Sequence[bytes] = (), *, closed: bool = False
    ) -> tuple[TopicHead, bool]:
        """Start a topic, or leave what stands at its path."""
        return await self._write(self._writer.create, topic, records, closed)

    async def append(
        self,
        id: int,
        expected_tail: int,
        records: Sequence[bytes],
        *,
        note: Note,
        now: float,
        closed: bool = False,
    ) -> TopicAppended:
        """Add records where the tail is as expected."""
        return await self._write(self._writer.append, id, expected_tail, records, note, now, closed)

    async def read(self, id: int, after: Offset, *, max_bytes: int = 65536, wake: Wake | None = None) -> TopicBatch:
        """Records after a place, or a promise to call ``wake``."""
        if wake is not None and self._timer is None:
            self._read(self._reader.skip)
        batch = self._batch(id, after, max_bytes)
        if wake is not None and batch.reached and not batch.closed:
            self._wakes.setdefault(id, []).append(wake)
            if self._timer is None:
                self._timer = self._loop.call_later(POLL, self._poll)
        return batch

    def forget(self, id: int, wake: Wake) -> None:
        """Drop a wake that has not been called."""
        wakes = self._wakes.get(id, [])
        if wake in wakes:
            wakes.remove(wake)
            if not wakes:
                del self._wakes[id]

    async def head(self, owner: str, path: str) -> TopicHead | None:
        """What stands at a path."""
        return self._read(self._reader.head, owner, path)

    async def list(self, owner: str, *, after: str = "", limit: int = 100) -> Sequence[TopicHead]:
        """An owner's topics by path."""
        return self._read(self._reader.list, owner, after, limit)

    async def count(self, owner: str) -> int:
        """How many topics an owner has."""
        return self._read(self._reader.count, owner)

    async def touch(self, id: int, now: float) -> None:
        """Put off the end of a topic."""
        await self._write(self._writer.touch, id, now)

    async def drop(self, id: int) -> bool:
        """Remove a topic, or mark it as gone; its records go in the background."""
        dropped = await self._write(self._writer.drop, [id])
        self._sweep()
        return dropped > 0

    async def expire(self, now: float) -> int:
        """Drop what is due."""
        count = 0
        while dropped := await self._write(self._writer.expire, now):
            count += dropped
        if count:
            self._sweep()
        return count

    async def close(self) -> None:
        """Let go of the file, and wake those who wait: their next read says why."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        self._wake(list(self._wakes))
        self._reader.close()
        await self._run(self._writer.close)
        self._threads.shutdown(wait=False)

    # --- inside

    async def _write(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._usable()
        result = await self._run(call, *args, **kwargs)
        if not self._closed:
            self._look()
        return result

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        work = partial(self._guarded, partial(call, *args, **kwargs))
        return await self._loop.run_in_executor(self._threads, work)

    def _guarded(self, call: Callable[[], T]) -> T:
        with store_errors():
            result = call()
            if not self._closed:
                self._writer.settle()
            return result

    def _batch(self, id: int, after: Offset, max_bytes: int) -> TopicBatch:
        """A batch, read once for all who follow a topic side by side, as long as nobody writes."""
        version = self._read(self._reader.version)
        if version != self._version or len(self._batches) >= _BATCHES:
            self._version = version
            self._batches.clear()
        batch = self._batches.get((id, after, max_bytes))
        if batch is None:
            batch = self._read(self._reader.read, id, after, max_bytes)
            if sum(map(len, batch.records)) <= _SHARED:
                self._batches[id, after, max_bytes] = batch
        return batch

    def _read(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self._usable()
        with store_errors():
            return call(*args, **kwargs)

    def _usable(self) -> None:
        if self._closed:
            raise StoreError("The store is closed.")

    def _poll(self) -> None:
        self._timer = self._loop.call_later(POLL, self._poll) if self._wakes else None
        self._look()

    def _look(self) -> None:
        """Wake whoever waits for what has changed, by this process or another."""
        if not self._wakes:
            return
        try:
            with store_errors():
                changed = self._reader.news()
        except StoreError:
            changed = list(self._wakes)  # they are told by their own next read
        self._wake(changed)

    def _wake(self, topics: Sequence[int]) -> None:
        for id in topics:
            for wake in self._wakes.pop(id, ()):
                wake()

    def _sweep(self) -> None:
        """Delete what was removed, in pieces between which others write."""
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweep_all())

    async def _sweep_all(self) -> None:
        try:
            while await self._run(self._writer.sweep):
                pass
        except StoreError:
            return  # the next drop tries again
