"""The live part of a stream in one process: how far it is, its latest records, and who waits for more."""

from array import array
from bisect import bisect_right
from collections.abc import Sequence

from headrace.core.log import Head, Wake
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.model.request import Meta

#: Bytes of payload that are kept per live stream, so that readers at its end never touch the database.
RING_BYTES = 256 * 1024
#: How far it shrinks when it is full: a list's first entries are dear to drop one by one, and an idle deque is 0.7 KB.
_SHRUNK = RING_BYTES - RING_BYTES // 8


def payload(records: Sequence[Record]) -> int:
    """Bytes of event names and data."""
    size = 0
    for event, data in records:
        size += len(event) + len(data)
    return size


def clip(records: Sequence[Record], start: int, max_bytes: int) -> Sequence[Record]:
    """From ``start`` on, as many as fit; at least one."""
    size, end = 0, start
    for end in range(start, len(records)):
        size += len(records[end].data)
        if size > max_bytes and end > start:
            return records[start:end]
    return records[start:]


class Tail:
    """A stream that is open, or closed and not yet compacted. Used on the event loop only."""

    __slots__ = (
        "_lasts",
        "_ring",
        "_ring_bytes",
        "_rows",
        "compact",
        "format",
        "gone",
        "id",
        "inherited",
        "meta",
        "number",
        "outcome",
        "size",
        "tail",
        "wakes",
    )

    def __init__(self, number: int, id: str, meta: Meta, format: str = "") -> None:
        self.number = number
        self.id = id
        self.meta = meta
        self.format = format
        self.tail = 0
        self.size = 0
        self.outcome: Outcome | None = None
        self.gone = ""
        self.compact = False
        #: The process that wrote it is dead, and nobody has closed it yet.
        self.inherited = False
        self.wakes: list[Wake] = []
        # Where each hot row is: its last record's number, and its place in the table. Sixteen bytes a row.
        self._lasts = array("q")
        self._rows = array("q")
        self._ring: list[tuple[int, Sequence[Record], int]] = []
        self._ring_bytes = 0

    def head(self) -> Head:
        """As the port tells it."""
        return Head(self.id, self.meta, self.format, self.tail, self.outcome, self.size, self.gone)

    def grow(self, row: int, last: int, size: int) -> None:
        """A row was committed; ``size`` is the payload of all records so far."""
        self._lasts.append(last)
        self._rows.append(row)
        self.tail = last
        self.size = size

    def remember(self, first: int, records: Sequence[Record], size: int) -> None:
        """Keep a row's records for those who read at the end."""
        ring = self._ring
        if ring and ring[-1][0] + len(ring[-1][1]) != first:
            ring.clear()
            self._ring_bytes = 0
        ring.append((first, records, size))
        self._ring_bytes += size
        if self._ring_bytes > RING_BYTES:
            gone = 0
            while self._ring_bytes > _SHRUNK and gone < len(ring) - 1:
                self._ring_bytes -= ring[gone][2]
                gone += 1
            del ring[:gone]

    def recent(self, after: int, max_bytes: int) -> Sequence[Record] | None:
        """Records above ``after`` where they are still kept here; None where the database must be asked."""
        ring = self._ring
        if not ring or ring[0][0] > after + 1 or ring[-1][0] + len(ring[-1][1]) <= after + 1:
            return None
        first, records, size = ring[-1]
        if first <= after + 1:
            return records if first == after + 1 and size <= max_bytes else clip(records, after + 1 - first, max_bytes)
        found = []
        for entry in reversed(ring):
            found.append(entry)
            if entry[0] <= after + 1:
                break
        gathered: list[Record] = []
        room, start = max_bytes, after + 1 - found[-1][0]
        for _, records, size in reversed(found):
            gathered.extend(records)
            room -= size
            if room < 0:
                break
        return clip(gathered, start, max_bytes)

    def rows_above(self, after: int, limit: int, size: int) -> "array[int]":
        """Where the records above ``after`` are: rows of about ``size`` bytes together, at most ``limit`` of them."""
        place = bisect_right(self._lasts, after)
        enough = 1 + size * len(self._rows) // max(1, self.size)
        return self._rows[place : place + min(limit, enough)]

    def all_rows(self) -> "array[int]":
        """Where all of it is."""
        return self._rows

    def call_wakes(self) -> None:
        """There may be news."""
        if self.wakes:
            wakes, self.wakes = self.wakes, []
            for wake in wakes:
                wake()
