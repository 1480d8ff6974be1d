"""A log file as one process sees it: its live streams, and how a reader's cursor finds its records.

The process that writes the file feeds its own view by its commits. For the files of others the view follows: one
question for all streams finds the rows above the last one seen.
"""

import asyncio
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from headrace.core.log import Batch, Head
from headrace.errors import OffsetAhead, StoreCorrupt, StreamGone
from headrace.model.record import Record
from headrace.stores.sqlite.connection import Durability, store_errors
from headrace.stores.sqlite.file import Reader, Row
from headrace.stores.tail import Tail, clip, payload

#: Rows that one read takes from the hot part: 1.5 us each with decoding, so under a millisecond of the event loop.
READ_ROWS = 512
#: A view that was not refreshed for so many seconds may be far behind, and catches up in a thread.
FAR_BEHIND = 1.0


class Loaded(NamedTuple):
    """What has changed in a file, seen in one transaction."""

    rows: list[Row]
    places: list[tuple[int, int, int, int, int]]


class View:
    """One file. The constructor and the loads may run in a thread; everything else on the event loop."""

    def __init__(self, path: Path, number: int, durability: Durability, vfs: str = "") -> None:
        self.number = number
        self.path = path
        self._durability: Durability = durability
        self._vfs = vfs
        self.reader = Reader(path, durability, vfs)
        self.live: dict[str, Tail] = {}
        #: Streams that somebody in this process waits for.
        self.waited: set[Tail] = set()
        #: Hot rows that belong to no live stream.
        self.strays: list[int] = []
        self._by_number: dict[int, Tail] = {}
        self._seen_row = -1
        self._seen_change = -1
        self._version = -1
        self._fresh_at = -FAR_BEHIND
        self._loading = asyncio.Lock()

    # --- following

    def load(self, reader: Reader) -> Loaded:
        """Ask what has changed since the last time; all that is hot at the first."""
        reader.snapshot(True)
        try:
            rows = reader.hot() if self._seen_change < 0 else reader.changed(self._seen_change)
            return Loaded(rows, reader.places(self._seen_row))
        finally:
            reader.snapshot(False)

    def load_apart(self) -> Loaded:
        """The same in a thread: over a connection of its own, for the event loop goes on using the other one."""
        reader = Reader(self.path, self._durability, self._vfs)
        try:
            return self.load(reader)
        finally:
            reader.close()

    def apply(self, loaded: Loaded) -> None:
        """Take in what has changed, and wake those who wait for it."""
        self._seen_change = max([self._seen_change, 0, *(row.change for row in loaded.rows)])
        for row in loaded.rows:
            if row.number not in self._by_number and not row.compact and not row.head.gone:
                self.add(Tail(row.number, row.head.id, row.head.meta))
        woken = self._grow(loaded.places)
        for row in loaded.rows:
            tail = self._by_number.get(row.number)
            if tail is None:
                continue
            self._settle(tail, row)
            woken.add(tail)
        for tail in woken:
            tail.call_wakes()

    def _grow(self, places: Sequence[tuple[int, int, int, int, int]]) -> set[Tail]:
        woken = set()
        for number, stream, first, last, size in places:
            tail = self._by_number.get(stream)
            if tail is None:
                self.strays.append(number)
                continue
            tail.grow(number, last, size)
            if tail.wakes:
                for _, records in self.reader.chunks(array("q", (number,))):
                    tail.remember(first, records, payload(records))
                woken.add(tail)
        if places:
            self._seen_row = places[-1][0]
        return woken

    def _settle(self, tail: Tail, row: Row) -> None:
        tail.format = row.head.format
        if row.head.gone:
            tail.gone = row.head.gone
        elif row.head.outcome is not None:
            tail.outcome, tail.tail, tail.size = row.head.outcome, row.head.tail, row.head.size
            tail.inherited = False
        if row.compact or row.head.gone:
            self.remove(tail)

    def add(self, tail: Tail) -> None:
        """A stream has begun."""
        self.live[tail.id] = tail
        self._by_number[tail.number] = tail

    def remove(self, tail: Tail) -> None:
        """A stream is no longer hot."""
        self.live.pop(tail.id, None)
        self._by_number.pop(tail.number, None)
        self.waited.discard(tail)

    async def fresh(self) -> None:
        """Be as new as the file; one pragma where nothing has changed."""
        if time.monotonic() - self._fresh_at > FAR_BEHIND or self._loading.locked():
            async with self._loading:
                version = self.reader.version()
                if version != self._version:
                    with store_errors():
                        self.apply(await asyncio.to_thread(self.load_apart))
                    self._version = version
                self._fresh_at = time.monotonic()
        self.refresh()

    def refresh(self) -> None:
        """Be as new as the file, without waiting; nothing while a thread is at it."""
        if self._loading.locked():
            return
        with store_errors():
            version = self.reader.version()
            if version != self._version:
                self.apply(self.load(self.reader))
                self._version = version
        self._fresh_at = time.monotonic()

    def poll(self) -> None:
        """Refresh where somebody waits."""
        if self.waited:
            self.refresh()
            self.waited = {tail for tail in self.waited if tail.wakes}

    # --- reading

    def read(self, tail: Tail, after: int, max_bytes: int) -> Batch:
        """A live stream's records above ``after``; none where it has none yet."""
        if after > tail.tail:
            raise OffsetAhead
        if after == tail.tail:
            return Batch(after + 1, (), after, tail.outcome)
        records = tail.recent(after, max_bytes)
        if records is None:
            records = self._hot(tail, after, max_bytes)
        return self._batch(records, after, tail.head())

    def read_closed(self, head: Head, number: int, after: int, max_bytes: int) -> Batch:
        """A compacted stream's records above ``after``."""
        if head.gone:
            raise StreamGone
        if after > head.tail:
            raise OffsetAhead
        records = self._segments(number, after, head.tail, max_bytes)
        return self._batch(records, after, head)

    def _batch(self, records: Sequence[Record], after: int, head: Head) -> Batch:
        reached = after + len(records)
        if not records and after < head.tail:
            raise StoreCorrupt
        return Batch(after + 1, records, head.tail, head.outcome if reached == head.tail else None)

    def _hot(self, tail: Tail, after: int, max_bytes: int) -> Sequence[Record]:
        gathered: list[Record] = []
        size = 0
        with store_errors():
            parts = self.reader.chunks(tail.rows_above(after, READ_ROWS, max_bytes))
        for first, records in parts:
            start = after + len(gathered) + 1 - first
            if start < 0:
                break
            part = records[start:] if start else records
            gathered.extend(part)
            size += payload(part)
            if size > max_bytes:
                break
        # Another worker may have compacted the stream since this view was refreshed.
        return clip(gathered, 0, max_bytes) if gathered else self._segments(tail.number, after, tail.tail, max_bytes)

    def _segments(self, number: int, after: int, end: int, max_bytes: int) -> Sequence[Record]:
        gathered: list[Record] = []
        size = 0
        with store_errors():
            while after + len(gathered) < end and size <= max_bytes:
                found = self.reader.segment(number, after + len(gathered))
                if found is None:
                    break
                part = found[1][after + len(gathered) + 1 - found[0] :]
                gathered.extend(part)
                size += payload(part)
        return clip(gathered, 0, max_bytes)

    def close(self) -> None:
        """Let go of the file, and wake those who wait: their next read says why."""
        for tail in self.live.values():
            tail.call_wakes()
        self.reader.close()
