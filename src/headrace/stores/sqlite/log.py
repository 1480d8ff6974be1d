"""Streams on one machine: a data folder of SQLite files, for any number of worker processes.

Each worker writes a log file of its own, on which it holds a lock for life; all workers read all files. What must be
unique over the workers (first-come names, signals, the epoch) is in one shared file.

A first-come name that comes with an append is committed with it as owed, and the shared file is told before the caller
is; after a crash in between, by whoever takes the file over. A process that is killed within ``create`` may leave a
stream without its name: nobody was told of it, and it is found as interrupted.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from headrace.core.log import FIRST_COMES, Appended, Batch, Bound, Head, Name, Wake
from headrace.errors import HeadraceError, NotFound, StoreError, StoreUnavailable, StreamGone
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.model.request import Meta
from headrace.stores.sqlite.commit import Append, Transaction
from headrace.stores.sqlite.connection import store_errors
from headrace.stores.sqlite.file import Row
from headrace.stores.sqlite.orphan import Orphan
from headrace.stores.sqlite.place import POLL, Place
from headrace.stores.sqlite.view import View
from headrace.stores.sqlite.worker import SqliteWorker
from headrace.stores.tail import Tail

#: Seconds that a request to another worker may take.
PATIENCE = 5.0

# As in :mod:`headrace.wire.sse`: one is made for every append.
_batch = tuple.__new__


class SqliteLog(SqliteWorker):
    """The log port over a data folder, with all abilities. One instance per process, opened after any fork.

    ``durability`` is ``process`` (what was acknowledged survives ``kill -9``; a power cut may cost the last moments,
    which raises the epoch) or ``power`` (it survives a power cut; each commit waits for the disk). ``boot`` and ``vfs``
    are for tests: another boot id of the machine, another way to the disk.
    """

    async def create(self, id: str, meta: Meta, names: Sequence[Name] = ()) -> Bound:
        """Start the stream, or attach to the one that holds one of its first-come names."""
        place = self._place
        first = [name for name in names if name.kind in FIRST_COMES]
        latest = [name for name in names if name.kind not in FIRST_COMES]
        with store_errors():
            for name in first:
                holder = place.shared.holder(meta.owner, name.kind, name.name)
                if holder is not None:
                    return holder
            if id in place.own.live or place.own.reader.find(id) is not None:
                raise StoreError("There is already a stream with this id.")
        tail = await self._start(place, id, meta, latest)
        if not first:
            return Bound(id)
        try:
            bound = await place.shared.claim(meta.owner, id, first)
        except StoreError:
            await self._take_back(place, tail)
            raise
        if bound.id != id:
            await self._take_back(place, tail)
        return bound

    async def _start(self, place: Place, id: str, meta: Meta, latest: Sequence[Name]) -> Tail:
        started: list[Tail] = []

        def write(txn: Transaction) -> None:
            number = txn.writer.serial()
            txn.writer.create(number, id, meta)
            txn.writer.bind(meta.owner, number, latest, txn.now)
            started[:] = [Tail(number, id, meta)]

        await place.commit.change(write, lambda: place.own.add(started[0]))
        return started[0]

    async def _take_back(self, place: Place, tail: Tail) -> None:
        def write(txn: Transaction) -> None:
            txn.writer.erase(tail.number)

        await place.commit.change(write, lambda: place.own.remove(tail))

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
        """Add records where the tail is as expected; done when committed and, for readers here, published."""
        place = self._opened
        tail = None if place is None else place.own.live.get(id)
        if place is None or tail is None:
            return self._refuse(id)
        commit = place.commit
        step = Append(tail, expected_tail, records, outcome, format, names, freed, commit.promise())
        commit.submit(step)
        if (names or freed) and any(name.kind in FIRST_COMES for name in (*names, *freed)):
            return self._named(place, step)
        return step.future

    def _refuse(self, id: str) -> "asyncio.Future[Appended]":
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()

        async def look(place: Place) -> None:
            try:
                _, found = await place.find(id)
                head = found.head if isinstance(found, Row) else found.head()
                if head.gone:
                    raise StreamGone
                if head.outcome is None:
                    raise StoreError("Another process writes this stream.")
            except HeadraceError as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(Appended(False, head.tail, head.outcome))

        if self._opened is None:
            future.set_exception(StoreError("The store is not open."))
        else:
            self._opened.spawn(look(self._opened))
        return future

    def _named(self, place: Place, step: Append) -> "asyncio.Future[Appended]":
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()

        async def bind() -> None:
            try:
                appended = await step.future
            except HeadraceError as error:
                if not future.done():
                    future.set_exception(error)
                return
            # Where that fails it stays committed as owed, and is paid as soon as the shared file takes it.
            with suppress(StoreError):
                await place.upkeep.pay()
            if not future.done():
                future.set_result(appended)

        place.spawn(bind())
        return future

    async def read(self, id: str, after: int, *, max_bytes: int = 65536, wake: Wake | None = None) -> Batch:
        """Records above ``after``, or a promise to call ``wake``."""
        place = self._place
        tail = place.own.live.get(id)
        view: View = place.own
        if tail is None:
            view, found = await place.find(id)
            if isinstance(found, Row):
                return view.read_closed(found.head, found.number, after, max_bytes)
            tail = found
        batch = view.read(tail, after, max_bytes)
        if wake is not None and batch.waits:
            tail.wakes.append(wake)
            if view is not place.own:
                view.waited.add(tail)
        return batch

    def newest(self, id: str, after: int, *, max_bytes: int, wake: Wake) -> Batch | None:
        """Records above ``after`` of a stream that this process writes, where its tail remembers them."""
        tail = (self._opened or self._place).own.live.get(id)  # the property is a call, and this comes with each chunk
        if tail is None or after > tail.tail:
            return None
        reached, outcome = tail.tail, tail.outcome
        records = () if after == reached else tail.recent(after, max_bytes)
        if records is None:
            return None
        if after + len(records) < reached:
            outcome = None
        elif outcome is None:
            tail.wakes.append(wake)
        return _batch(Batch, (after + 1, records, reached, outcome))

    def forget(self, id: str, wake: Wake) -> None:
        """Drop a wake that has not been called; harmless once the store is closed."""
        place = self._opened
        if place is None:
            return
        for view in (place.own, *place.views.values()):
            tail = view.live.get(id)
            if tail is not None and wake in tail.wakes:
                tail.wakes.remove(wake)

    async def head(self, id: str) -> Head | None:
        """The stream or its tombstone."""
        try:
            _, found = await self._place.find(id)
        except NotFound:
            return None
        return found.head if isinstance(found, Row) else found.head()

    async def resolve(self, owner: str, name: str, kinds: Sequence[str]) -> Bound | None:
        """The stream that holds the name."""
        place = self._place
        await place.discover()
        with store_errors():
            for kind in kinds:
                if kind in FIRST_COMES:
                    bound = place.shared.holder(owner, kind, name)
                    if bound is not None:
                        return bound
                    continue
                views = (place.own, *place.views.values())
                found = [f for view in views if (f := view.reader.resolve(owner, kind, name)) is not None]
                if found:
                    return max(found)[1]
        return None

    async def list(self, owner: str, *, before: str = "", limit: int = 100) -> Sequence[Head]:
        """An owner's streams, newest first: by the time of their creation, then by id."""
        place = self._place
        await place.discover()
        mark = None
        if before:
            head = await self.head(before)
            if head is None:
                return ()
            mark = (head.meta.created, head.id)
        heads = []
        for view in (place.own, *place.views.values()):
            if view is not place.own:
                await view.fresh()
            with store_errors():
                for row in view.reader.owned(owner, mark, limit):
                    tail = view.live.get(row.head.id)
                    heads.append(row.head if tail is None else tail.head())
        heads.sort(key=lambda head: (head.meta.created, head.id), reverse=True)
        return heads[:limit]

    async def open_streams(self, limit: int = 200) -> Sequence[Head]:
        """All owners' open streams, newest first."""
        place = self._place
        await place.discover()
        heads = []
        for view in (place.own, *place.views.values()):
            if view is not place.own:
                await view.fresh()
            heads += [tail.head() for tail in view.live.values() if tail.outcome is None and not tail.gone]
        heads.sort(key=lambda head: (head.meta.created, head.id), reverse=True)
        return heads[:limit]

    async def drop(self, id: str, reason: str = "deleted") -> bool:
        """Leave a tombstone with owner and reason; the file's own worker does it."""
        place = self._place
        try:
            view, found = await place.find(id)
        except NotFound:
            return False
        if isinstance(found, Row) and found.head.gone:
            return False
        if view is place.own:
            await self.bury([found], reason, self._clock.time())
        else:
            await self._drop_elsewhere(place, view, id, reason)
        await place.shared.unname([id])
        return True

    async def _drop_elsewhere(self, place: Place, view: View, id: str, reason: str) -> None:
        orphan = await asyncio.to_thread(Orphan.take, view.path, self._durability, place.boot, self._vfs)
        if orphan is not None:
            try:
                await asyncio.to_thread(orphan.drop, id, reason, self._clock.time())
            finally:
                await asyncio.to_thread(orphan.close)
            return
        await place.shared.send(view.number, "drop", id, reason)
        for _ in range(int(PATIENCE / POLL)):
            head = await self.head(id)
            if head is None or head.gone:
                return
            await asyncio.sleep(POLL)
        raise StoreUnavailable("The worker that writes this stream does not answer.")
