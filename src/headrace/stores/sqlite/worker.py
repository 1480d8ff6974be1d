"""One process's place among the workers of a data folder: health, ownership, signals and retention."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from headrace.core.clock import Clock, SystemClock
from headrace.core.log import Head, Kept
from headrace.core.meters import Meters
from headrace.errors import NotFound, StoreCorrupt, StoreError
from headrace.model.outcome import Outcome
from headrace.model.request import Meta
from headrace.stores.sqlite.commit import Append, Transaction
from headrace.stores.sqlite.connection import Durability, store_errors
from headrace.stores.sqlite.file import Lock, Row
from headrace.stores.sqlite.orphan import Orphan, lock_path
from headrace.stores.sqlite.place import Place, log_path
from headrace.stores.sqlite.shared import Signal
from headrace.stores.sqlite.upkeep import Upkeep
from headrace.stores.tail import Tail

#: Streams that are buried in one transaction on the event loop: 80 us each.
OWN_SLICE = 25


class SqliteWorker:
    """A worker with its log file. The log port itself is in :class:`~headrace.stores.sqlite.log.SqliteLog`."""

    def __init__(
        self,
        folder: Path,
        *,
        durability: Durability = "process",
        clock: Clock | None = None,
        boot: str = "",
        vfs: str = "",
        meters: Meters | None = None,
    ) -> None:
        self._folder = folder
        self._meters = meters
        self._durability: Durability = durability
        self._clock: Clock = clock or SystemClock()
        self._boot = boot
        self._vfs = vfs
        self._opened: Place | None = None
        self._cancels: list[Callable[[str], None]] = []
        #: Files of dead workers in which all is closed, and when they were last taken by one.
        self._quiet: dict[int, int] = {}
        self.epoch = 0

    async def open(self) -> Self:
        """Take a log file and its lock. Raises StoreError: newer schema, damaged file, SQLite too old, no access."""
        self._opened = await Place.open(self._folder, self._durability, self._clock, self._boot, self._vfs)
        self._opened.on_signal = self._heard
        if self._meters is not None:
            self._opened.commit.meters = self._meters
        self.epoch = self._opened.epoch
        return self

    @property
    def _place(self) -> Place:
        if self._opened is None:
            raise StoreError("The store is not open.")
        return self._opened

    @property
    def upkeep(self) -> Upkeep:
        """Its housekeeping, for whoever wants a step of it now. Raises StoreError."""
        return self._place.upkeep

    async def close(self) -> None:
        """Commit what is under way and let go of everything. Idempotent."""
        place, self._opened = self._opened, None
        if place is not None:
            await place.close()

    # --- Health

    async def check(self) -> None:
        """Write and read a probe in the own file and in the shared one. Raises StoreError."""
        place, now = self._place, self._clock.time()
        await place.commit.change(lambda txn: txn.writer.probe(now))
        await place.shared.probe(now)

    # --- Ownership

    async def reap(self, close: Callable[[Head], Outcome]) -> Sequence[str]:
        """Close what dead processes left open, the former holder of the own file included."""
        place = self._place
        closed = []
        for tail in [tail for tail in place.own.live.values() if tail.inherited]:
            step = Append(tail, tail.tail, (), close(tail.head()), "", (), (), place.commit.promise())
            tail.inherited = False
            place.commit.submit(step)
            if (await asyncio.shield(step.future)).ok:
                closed.append(tail.id)
        for number in place.others():
            lock = lock_path(log_path(self._folder, number))
            marked = Lock.marked(lock)  # before it is looked at: who comes and dies meanwhile is found the next time
            if Lock.held(lock):
                self._quiet.pop(number, None)
            elif self._quiet.get(number) != marked:
                closed += await self._reap_file(place, number, close, marked)
        return closed

    async def _reap_file(self, place: Place, number: int, close: Callable[[Head], Outcome], marked: int) -> list[str]:
        orphan = await self._orphan(place, number)
        if orphan is None:
            return []
        try:
            streams = await asyncio.to_thread(orphan.open_streams)
            if streams:
                await asyncio.to_thread(orphan.end, [(stream, close(stream.head)) for stream in streams])
            owed = await asyncio.to_thread(orphan.owed)
            if owed:
                await place.shared.settle(owed)
                await asyncio.to_thread(orphan.paid, owed)
        finally:
            await asyncio.to_thread(orphan.close)
        # Nothing can be opened in it until a worker takes its lock again.
        self._quiet[number] = marked
        return [stream.head.id for stream in streams]

    async def _orphan(self, place: Place, number: int) -> Orphan | None:
        path = log_path(self._folder, number)
        return await asyncio.to_thread(Orphan.take, path, self._durability, place.boot, self._vfs)

    def owns(self, id: str) -> bool:
        """Whether this process is the one that writes the stream."""
        tail = None if self._opened is None else self._opened.own.live.get(id)
        return tail is not None and tail.outcome is None and not tail.inherited

    # --- Signals

    def on_cancel(self, callback: Callable[[str], None]) -> None:
        """Have the callback called for each cancel sent to a stream of this process."""
        self._cancels.append(callback)

    async def send_cancel(self, id: str) -> None:
        """Ask the stream's worker to stop it; nothing where it is closed or unknown."""
        place = self._place
        if self.owns(id):
            self._cancel(id)
            return
        try:
            view, found = await place.find(id)
        except NotFound:
            return
        if isinstance(found, Tail) and found.outcome is None and view is not place.own:
            await place.shared.send(view.number, "cancel", id)

    def _cancel(self, id: str) -> None:
        for callback in self._cancels:
            callback(id)

    def _heard(self, signal: Signal) -> None:
        if signal.kind == "cancel" and self.owns(signal.stream):
            self._cancel(signal.stream)
        elif signal.kind == "drop":
            self._place.spawn(self._drop_for_other(signal))

    async def _drop_for_other(self, signal: Signal) -> None:
        place = self._place
        try:
            view, found = await place.find(signal.stream)
        except NotFound:
            return
        if view is place.own and not (isinstance(found, Row) and found.head.gone):
            await self.bury([found], signal.reason, self._clock.time())

    async def set_presence(self, id: str, present: bool) -> None:
        """Tell whether this process has participants on the stream; committed with the appends of the moment."""
        await self._place.commit.change(lambda txn: txn.writer.set_presence(id, present))

    async def present(self, id: str) -> bool:
        """Whether any living process has participants on the stream."""
        place = self._place
        await place.discover()
        with store_errors():
            return place.own.reader.present(id) or any(
                view.reader.present(id) and Lock.held(lock_path(view.path)) for view in place.views.values()
            )

    # --- Retention

    async def bury(self, streams: Sequence[Tail | Row], reason: str, now: float) -> None:
        """Leave tombstones of streams in the own file. Their records are overwritten within seconds."""
        place = self._place
        standing = [s for s in streams if isinstance(s, Row) or not s.gone]

        def write(txn: Transaction) -> None:
            for stream in standing:
                head = stream.head if isinstance(stream, Row) else stream.head()
                txn.writer.bury(stream.number, head.meta.owner, head.meta.created, reason, now)
                if isinstance(stream, Tail):
                    txn.buried.add(stream)

        def leave() -> None:
            place.upkeep.purge = True
            for tail in standing:
                if isinstance(tail, Tail) and not tail.gone:
                    tail.gone = reason
                    place.own.remove(tail)
                    place.upkeep.garbage.extend(tail.all_rows())
                    tail.call_wakes()

        await place.commit.change(write, leave)

    def _orphans(self, place: Place) -> list[int]:
        return [n for n in place.others() if not Lock.held(lock_path(log_path(self._folder, n)))]

    async def unrecorded(self, limit: int = 100) -> Sequence[Head]:
        """Closed streams of this worker's file and of dead ones' that nobody has marked, oldest end first."""
        place = self._place
        await place.discover()
        views = [place.own, *(place.views[n] for n in self._orphans(place) if n in place.views)]
        with store_errors():
            heads = [head for view in views for head in view.reader.unrecorded(limit)]
        heads.sort(key=lambda head: head.outcome.ended_at if head.outcome else 0.0)
        return heads[:limit]

    async def mark_recorded(self, ids: Sequence[str]) -> None:
        """Streams that retention may let go of; those in a living worker's file are that worker's to mark."""
        place = self._place
        await place.commit.change(lambda txn: txn.writer.mark(ids))
        for number in self._orphans(place):
            view = place.views.get(number)
            with store_errors():
                found = [] if view is None else [id for id in ids if view.reader.find(id) is not None]
            orphan = await self._orphan(place, number) if found else None
            if orphan is not None:
                try:
                    await asyncio.to_thread(orphan.mark, found)
                finally:
                    await asyncio.to_thread(orphan.close)

    async def expire(self, now: float, kept: Kept) -> int:
        """Turn old streams of this worker's file and of dead ones' into tombstones, and drop old tombstones."""
        place = self._place
        count = await self._expire_own(place, now, kept)
        for number in self._orphans(place):
            orphan = await self._orphan(place, number)
            if orphan is None:
                continue
            try:
                buried, swept = await asyncio.to_thread(orphan.expire, now, kept)
            finally:
                await asyncio.to_thread(orphan.close)
            await place.shared.unname(buried)
            count += len(buried) + swept
        return count

    async def _expire_own(self, place: Place, now: float, kept: Kept) -> int:
        count = 0
        while True:
            aged: list[tuple[int, str, str, float]] = []
            swept = [0]

            def write(
                txn: Transaction, aged: list[tuple[int, str, str, float]] = aged, swept: list[int] = swept
            ) -> None:
                aged[:] = txn.writer.aged(now, kept, OWN_SLICE)
                swept[0] = txn.writer.sweep_tombstones(now, kept, OWN_SLICE)

            await place.commit.change(write)
            await self.bury([await _standing(place, *row) for row in aged], "expired", now)
            await place.shared.unname([id for _, id, _, _ in aged])
            count += len(aged) + swept[0]
            if len(aged) < OWN_SLICE and swept[0] < OWN_SLICE:
                return count


async def _standing(place: Place, number: int, id: str, owner: str, created: float) -> Tail | Row:
    """A stream that is to be buried. One that cannot be read is let go of too: it would keep all others."""
    try:
        return (await place.find(id))[1]
    except (NotFound, StoreCorrupt):
        left = Meta(owner=owner, dialect="", created=created)
        return Row(number, Head(id, left, "", 0, None, 0), compact=True, change=0)
