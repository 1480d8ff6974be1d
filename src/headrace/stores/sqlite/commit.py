"""Group commit: what arrived over all streams since the last commit is one transaction, then it is published.

At once as long as that takes little of the time, else a millisecond after the last one: one timer per commit, not one
per append. Under ``process`` a commit runs on the event loop (it does not wait for the disk, and nobody else writes
this file); under ``power`` it waits for the disk, in a thread.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

import apsw

from headrace.core.log import FIRST_COMES, Appended, Name
from headrace.core.meters import Meters
from headrace.errors import HeadraceError, NotFound, StoreError, StoreUnavailable, StreamGone
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.stores.packed import pack
from headrace.stores.sqlite.connection import immediate, store_errors
from headrace.stores.sqlite.file import seal
from headrace.stores.sqlite.view import View
from headrace.stores.sqlite.writer import ChunkRow, Writer
from headrace.stores.tail import Tail, payload

#: Seconds between two commits, at least, where there are many. (Timers of the event loop have whole milliseconds, so it
#: may be two.)
PACE = 0.001
#: The share of the time that commits may take before they keep to that, and the seconds for which it is saved up. So
#: what comes now and then, and the first records of an answer, wait for nothing.
SHARE = 0.05
SAVED = 0.05
#: Seconds between two tries at a file that somebody else has locked, and until they are given up.
RETRY = 0.005
PATIENCE = 2.0

T = TypeVar("T")


#: How a stream stands within a transaction that is not yet committed: its tail, its payload, how it ended.
Growth = tuple[int, int, Outcome | None]

# As in :mod:`headrace.wire.sse`: one is made for every append.
_appended = tuple.__new__


class Transaction:
    """One commit while it is made."""

    def __init__(self, writer: Writer, now: float) -> None:
        self.writer = writer
        self.now = now
        self.grown: dict[Tail, Growth] = {}
        self.buried: set[Tail] = set()
        #: Hot rows, which are written all at once.
        self.rows: list[ChunkRow] = []

    def flush(self) -> None:
        """Write the rows."""
        if self.rows:
            self.writer.add(self.rows)
            self.rows = []


class Step(Protocol):
    """Something to be committed."""

    def write(self, txn: Transaction) -> None:
        """Inside the transaction; in a thread under ``power``. Touches nothing that others read."""

    def publish(self) -> None:
        """After the commit, on the event loop."""

    def fail(self, error: HeadraceError) -> None:
        """The transaction was rolled back, on the event loop."""


class Change:
    """A step that is anything but an append."""

    __slots__ = ("_then", "_write", "future")

    def __init__(self, write: Callable[[Transaction], object], then: Callable[[], object] | None = None) -> None:
        self._write = write
        self._then = then
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def write(self, txn: Transaction) -> None:
        """Rows of appends that were called before come first."""
        txn.flush()
        self._write(txn)

    def publish(self) -> None:
        """Tell the caller."""
        if self._then is not None:
            self._then()
        if not self.future.done():
            self.future.set_result(None)

    def fail(self, error: HeadraceError) -> None:
        """Tell the caller."""
        if not self.future.done():
            self.future.set_exception(error)


class Append:
    """Records for one stream. ``future`` is done when they are committed and published."""

    __slots__ = (
        "_error",
        "_expected",
        "_first",
        "_format",
        "_freed",
        "_growth",
        "_names",
        "_ok",
        "_outcome",
        "_records",
        "_row",
        "_size",
        "_tail",
        "future",
    )

    #: What writing it came to: how the stream stands then, or why it does not.
    _growth: Growth
    _ok: bool
    _error: HeadraceError | None
    _row: int

    def __init__(
        self,
        tail: Tail,
        expected: int,
        records: Sequence[Record],
        outcome: Outcome | None,
        format: str,
        names: Sequence[Name],
        freed: Sequence[Name],
        future: "asyncio.Future[Appended]",
    ) -> None:
        self._tail = tail
        self._expected = expected
        self._records = records
        self._outcome = outcome
        self._format = format
        self._names = names
        self._freed = freed
        self._size = payload(records)
        self.future = future

    def write(self, txn: Transaction) -> None:
        """Compare the tail, then add."""
        tail, records, writer = self._tail, self._records, txn.writer
        self._growth = last, size, outcome = txn.grown.get(tail) or (tail.tail, tail.size, tail.outcome)
        self._error = StreamGone() if tail.gone or tail in txn.buried else None
        self._ok = self._error is None and outcome is None and last == self._expected
        if not self._ok:
            return
        first, last, size = last + 1, last + len(records), size + self._size
        self._growth = txn.grown[tail] = last, size, self._outcome
        if records:
            data = pack(records)
            self._row = writer.serial()
            txn.rows.append((self._row, tail.number, first, last, size, seal(tail.number, first, data), data))
        if self._format and not tail.format:
            writer.shape(tail.number, tail.id, tail.meta, self._format)
        if self._freed or self._names:
            self._rename(txn)
        if self._outcome is not None:
            writer.end(tail.number, last, size, self._outcome)

    def _rename(self, txn: Transaction) -> None:
        tail, owner = self._tail, self._tail.meta.owner
        txn.writer.free(owner, tail.number, [n for n in self._freed if n.kind not in FIRST_COMES])
        txn.writer.owe(owner, tail.id, [n for n in self._freed if n.kind in FIRST_COMES], free=True)
        txn.writer.bind(owner, tail.number, [n for n in self._names if n.kind not in FIRST_COMES], txn.now)
        txn.writer.owe(owner, tail.id, [n for n in self._names if n.kind in FIRST_COMES], free=False)

    def publish(self) -> None:
        """Readers first, then the one who appended."""
        tail, records = self._tail, self._records
        last, size, outcome = self._growth
        if self._ok:
            tail.format = tail.format or self._format
            if records:
                tail.grow(self._row, last, size)
                tail.remember(self._expected + 1, records, self._size)
            tail.outcome = outcome
            if records or outcome is not None:
                tail.call_wakes()
        if self.future.done():
            return
        if self._error is not None:
            self.future.set_exception(self._error)
        else:
            self.future.set_result(_appended(Appended, (self._ok, last, outcome)))

    def fail(self, error: HeadraceError) -> None:
        """Nothing was written."""
        if not self.future.done():
            self.future.set_exception(error)


class GroupCommit:
    """The queue of steps for one file."""

    def __init__(self, writer: Writer, view: View, *, threaded: bool, now: Callable[[], float]) -> None:
        self._writer = writer
        self._view = view
        self._now = now
        self._loop = loop = asyncio.get_running_loop()
        #: A future of this loop. To ask which one runs is a call of the system, in Python 3.11.
        self.promise: Callable[[], asyncio.Future[Appended]] = loop.create_future
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="headrace-commit") if threaded else None
        self._steps: list[Step] = []
        self._timer: asyncio.Handle | None = None
        self._last = self._begun = 0.0
        #: When the time that commits have taken is no more than their share.
        self._even = 0.0
        self._busy_since = 0.0
        self._held = False
        self._running: asyncio.Future[None] | None = None
        #: Where commits are counted.
        self.meters = Meters()
        #: Pages in the write-ahead log.
        self.wal_pages = 0
        writer.db.set_wal_hook(self._grown)

    def _grown(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self.wal_pages = pages
        return apsw.SQLITE_OK

    def submit(self, step: Step) -> None:
        """Commit this with what else comes."""
        self._steps.append(step)
        if self._timer is None and not self._held and self._running is None:
            self._schedule()

    async def change(self, write: Callable[[Transaction], object], then: Callable[[], object] | None = None) -> None:
        """Commit something that is not an append. Raises StoreError."""
        step = Change(write, then)
        self.submit(step)
        await asyncio.shield(step.future)

    def _schedule(self) -> None:
        now = time.monotonic()
        wait = self._last + PACE - now if now < self._even else 0.0
        self._timer = self._loop.call_later(wait, self._flush) if wait > 0 else self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._timer = None
        steps, self._steps = self._steps, []
        if not steps:
            return
        self._begun = time.monotonic()
        if self._threads is None:
            try:
                self._write(steps)
            except StoreError as error:
                self._done(steps, error)
            except BaseException:
                self._done(steps, StoreError())
                raise
            else:
                self._done(steps, None)
            return
        self._running = self._loop.run_in_executor(self._threads, self._write, steps)
        self._running.add_done_callback(partial(self._ran, steps))

    def _ran(self, steps: list[Step], running: "asyncio.Future[None]") -> None:
        self._running = None
        error = running.exception()
        if error is None or isinstance(error, StoreError):
            self._done(steps, error)
        else:
            self._done(steps, StoreError())
            raise error

    def _done(self, steps: list[Step], error: StoreError | None) -> None:
        """Tell them what came of them, and go on."""
        try:
            if error is None:
                self._published(steps)
            else:
                self._failed(steps, error)
        finally:
            self._next()

    def _next(self) -> None:
        if self._steps and self._timer is None and not self._held:
            self._schedule()

    def _write(self, steps: list[Step]) -> None:
        with store_errors(), immediate(self._writer.db):
            txn = Transaction(self._writer, self._now())
            for step in steps:
                step.write(txn)
            txn.flush()

    def _published(self, steps: list[Step]) -> None:
        self._last = time.monotonic()
        self._busy_since = 0.0
        took = self._last - self._begun
        self._even = max(self._even, self._begun - SAVED) + took / SHARE
        self.meters.commits.of().observe(took)
        for step in steps:
            step.publish()

    def _failed(self, steps: list[Step], error: StoreError) -> None:
        self._last = now = time.monotonic()
        if isinstance(error.__cause__, apsw.BusyError):
            self._busy_since = self._busy_since or now
            if now - self._busy_since < PATIENCE:
                # Somebody else has locked the file; nothing may wait for that on the event loop.
                self._steps = steps + self._steps
                if not self._held:
                    self._timer = self._loop.call_later(RETRY, self._flush)
                return
        self._busy_since = 0.0
        self.meters.commit_failures.add()
        unavailable = error if isinstance(error, StoreUnavailable) else type(error)()
        for step in steps:
            step.fail(unavailable)

    async def hold(self) -> None:
        """Commit nothing until :meth:`release`; what comes in the meantime waits. For a checkpoint."""
        self._held = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._running is not None:
            await asyncio.wait([self._running])

    def release(self) -> None:
        """Go on."""
        self._held = False
        self._next()

    async def close(self) -> None:
        """Commit what is under way."""
        if self._steps or self._running is not None:
            step = Change(lambda _: None)
            self.submit(step)
            await asyncio.wait([step.future])
            if not step.future.cancelled():
                step.future.exception()
        await self.hold()
        if self._threads is not None:
            self._threads.shutdown()

    def refuse(self, id: str) -> HeadraceError:
        """Why a stream that is not live here takes no append."""
        row = self._view.reader.find(id)
        if row is None:
            return NotFound()
        return StreamGone() if row.head.gone else StoreError("This process does not write the stream.")
