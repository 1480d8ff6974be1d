"""Streams in memory, for one process: the reference of what every store means, and for tests and throw-away use."""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence

from headrace.core.clock import Clock, SystemClock
from headrace.core.log import FIRST_COMES, Appended, Batch, Bound, Head, Kept, Name, Wake
from headrace.errors import NotFound, OffsetAhead, StoreError, StreamGone
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.model.request import Meta


class _Stream:
    """One log, its readers' wakes and the names that lead to it."""

    __slots__ = ("format", "gone", "gone_at", "id", "meta", "names", "outcome", "records", "serial", "size", "wakes")

    def __init__(self, id: str, meta: Meta, serial: int) -> None:
        self.id = id
        self.meta = meta
        self.serial = serial
        self.format = ""
        self.records: list[Record] = []
        self.size = 0
        self.outcome: Outcome | None = None
        self.gone = ""
        self.gone_at = 0.0
        self.names: set[tuple[str, str, str]] = set()
        self.wakes: list[Wake] = []

    def head(self) -> Head:
        return Head(self.id, self.meta, self.format, len(self.records), self.outcome, self.size, self.gone)

    def call_wakes(self) -> None:
        wakes, self.wakes = self.wakes, []
        for wake in wakes:
            wake()


class MemoryLog:
    """The log port in memory, with all abilities that make sense in one process. Nothing survives the process.

    What it keeps is bounded by retention alone (:meth:`expire`); a process that must not grow calls that.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.epoch = 1
        self._clock: Clock = clock or SystemClock()
        self._streams: dict[str, _Stream] = {}
        self._names: dict[tuple[str, str, str], Bound] = {}
        self._unrecorded: list[tuple[float, int, str]] = []
        self._serial = 0
        self._present: set[str] = set()
        self._cancels: list[Callable[[str], None]] = []
        self._closed = False

    # --- Log

    async def create(self, id: str, meta: Meta, names: Sequence[Name] = ()) -> Bound:
        """Start the stream, or attach to the one that holds one of its first-come names."""
        self._usable()
        for name in names:
            bound = self._names.get((meta.owner, name.kind, name.name)) if name.kind in FIRST_COMES else None
            if bound is not None:
                return bound
        if id in self._streams:
            raise StoreError("There is already a stream with this id.")
        self._serial += 1
        stream = self._streams[id] = _Stream(id, meta, self._serial)
        self._bind(stream, names)
        return Bound(id, next((name.fingerprint for name in names if name.kind in FIRST_COMES), ""))

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
        """Add records where the tail is as expected. The future is done when this returns."""
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        try:
            self._usable()
            stream = self._standing(id)
        except (StoreError, NotFound, StreamGone) as error:
            future.set_exception(error)
            return future
        if stream.outcome is not None or len(stream.records) != expected_tail:
            future.set_result(Appended(False, len(stream.records), stream.outcome))
            return future
        stream.records.extend(records)
        stream.size += sum(len(record.event) + len(record.data) for record in records)
        stream.format = stream.format or format
        if outcome is not None:
            stream.outcome = outcome
            insort(self._unrecorded, (outcome.ended_at, stream.serial, id))
        self._free(stream, ((stream.meta.owner, name.kind, name.name) for name in freed))
        self._bind(stream, names)
        future.set_result(Appended(True, len(stream.records), stream.outcome))
        if records or outcome is not None:
            stream.call_wakes()
        return future

    async def read(self, id: str, after: int, *, max_bytes: int = 65536, wake: Wake | None = None) -> Batch:
        """Records above ``after``, or a promise to call ``wake``."""
        return self._read(id, after, max_bytes, wake)

    def newest(self, id: str, after: int, *, max_bytes: int, wake: Wake) -> Batch:
        """The same: all is in memory."""
        return self._read(id, after, max_bytes, wake)

    def _read(self, id: str, after: int, max_bytes: int, wake: Wake | None) -> Batch:
        self._usable()
        stream = self._standing(id)
        tail = len(stream.records)
        if after > tail:
            raise OffsetAhead
        end, size = after, 0
        while end < tail and (end == after or size + len(stream.records[end].data) <= max_bytes):
            size += len(stream.records[end].data)
            end += 1
        if end == tail and stream.outcome is None and wake is not None:
            stream.wakes.append(wake)
        return Batch(after + 1, stream.records[after:end], tail, stream.outcome if end == tail else None)

    def forget(self, id: str, wake: Wake) -> None:
        """Drop a wake that has not been called."""
        stream = self._streams.get(id)
        if stream is not None and wake in stream.wakes:
            stream.wakes.remove(wake)

    async def head(self, id: str) -> Head | None:
        """The stream or its tombstone."""
        stream = self._streams.get(id)
        return None if stream is None else stream.head()

    async def resolve(self, owner: str, name: str, kinds: Sequence[str]) -> Bound | None:
        """The stream that holds the name."""
        return next((b for kind in kinds if (b := self._names.get((owner, kind, name))) is not None), None)

    async def list(self, owner: str, *, before: str = "", limit: int = 100) -> Sequence[Head]:
        """An owner's streams, newest first: by the time of their creation, then by id."""
        found = sorted(
            ((s.meta.created, s.id) for s in self._streams.values() if s.meta.owner == owner and not s.gone),
        )
        end = len(found)
        if before:
            mark = self._streams.get(before)
            end = 0 if mark is None else bisect_left(found, (mark.meta.created, before))
        return [self._streams[key].head() for _, key in reversed(found[max(0, end - limit) : end])]

    async def open_streams(self, limit: int = 200) -> Sequence[Head]:
        """All owners' open streams, newest first."""
        found = [s for s in self._streams.values() if s.outcome is None and not s.gone]
        return [s.head() for s in sorted(found, key=lambda s: (s.meta.created, s.id), reverse=True)[:limit]]

    async def drop(self, id: str, reason: str = "deleted") -> bool:
        """Leave a tombstone with owner and reason."""
        self._usable()
        stream = self._streams.get(id)
        if stream is None or stream.gone:
            return False
        self._bury(stream, reason, self._clock.time())
        return True

    async def close(self) -> None:
        """Nothing works after this; those who wait are woken, and their next read says so."""
        self._closed = True
        for stream in self._streams.values():
            stream.call_wakes()

    # --- Health, Ownership, Signals

    async def check(self) -> None:
        """Memory can always be written."""
        self._usable()

    async def reap(self, close: Callable[[Head], Outcome]) -> Sequence[str]:  # noqa: ARG002  (the port's)
        """Nobody else can have died: the data lives and dies with this process."""
        return ()

    def owns(self, id: str) -> bool:
        """Whether the stream is open: all of them are this process's."""
        stream = self._streams.get(id)
        return stream is not None and stream.outcome is None and not stream.gone

    def on_cancel(self, callback: Callable[[str], None]) -> None:
        """Have the callback called for each cancel."""
        self._cancels.append(callback)

    async def send_cancel(self, id: str) -> None:
        """Call the callbacks, where the stream is open."""
        if self.owns(id):
            for callback in self._cancels:
                callback(id)

    async def set_presence(self, id: str, present: bool) -> None:
        """Tell whether there are participants on the stream."""
        (self._present.add if present else self._present.discard)(id)

    async def present(self, id: str) -> bool:
        """Whether there are participants on the stream."""
        return id in self._present

    # --- Retention

    async def unrecorded(self, limit: int = 100) -> Sequence[Head]:
        """Closed streams that nobody has marked as recorded, oldest end first."""
        return [self._streams[key].head() for _, _, key in self._unrecorded[:limit]]

    async def mark_recorded(self, ids: Sequence[str]) -> None:
        """Let retention have these streams."""
        marked = set(ids)
        self._unrecorded = [entry for entry in self._unrecorded if entry[2] not in marked]

    async def expire(self, now: float, kept: Kept) -> int:
        """Bury what is old and recorded, and drop old tombstones."""
        waiting = {key for _, _, key in self._unrecorded}
        count = 0
        for stream in [*self._streams.values()]:
            if stream.gone:
                if stream.gone_at + kept.tombstone <= now:
                    del self._streams[stream.id]
                    count += 1
            elif stream.outcome is not None and stream.id not in waiting:
                seconds = kept.stored if stream.meta.stored else kept.frames
                if stream.outcome.ended_at + seconds <= now:
                    self._bury(stream, "expired", now)
                    count += 1
        return count

    # --- inside

    def _usable(self) -> None:
        if self._closed:
            raise StoreError("The store is closed.")

    def _standing(self, id: str) -> _Stream:
        stream = self._streams.get(id)
        if stream is None:
            raise NotFound
        if stream.gone:
            raise StreamGone
        return stream

    def _bind(self, stream: _Stream, names: Sequence[Name]) -> None:
        for kind, name, fingerprint in names:
            key = (stream.meta.owner, kind, name)
            holder = self._names.get(key)
            if holder is not None:
                if kind in FIRST_COMES:
                    continue
                self._streams[holder.id].names.discard(key)
            self._names[key] = Bound(stream.id, fingerprint)
            stream.names.add(key)

    def _free(self, stream: _Stream, keys: Iterable[tuple[str, str, str]]) -> None:
        for key in [*keys]:
            if key in stream.names:
                stream.names.remove(key)
                del self._names[key]

    def _bury(self, stream: _Stream, reason: str, now: float) -> None:
        self._free(stream, stream.names)
        self._unrecorded = [entry for entry in self._unrecorded if entry[2] != stream.id]
        self._present.discard(stream.id)
        stream.meta = Meta(owner=stream.meta.owner, dialect="", created=stream.meta.created)
        stream.records, stream.size, stream.format = [], 0, ""
        stream.outcome, stream.gone, stream.gone_at = None, reason, now
        stream.call_wakes()
