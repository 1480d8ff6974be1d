"""The file that all workers write: names that must be unique over all of them, signals, and the epoch.

Its writes may have to wait for another worker's, so they run in a thread of their own. What is read often (a name, a
poll for signals) is read on the event loop.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import apsw

from headrace.core.log import Bound, Name
from headrace.errors import StoreCorrupt
from headrace.stores.sqlite.connection import Durability, checkpoint, connect, immediate, ready, store_errors
from headrace.stores.sqlite.file import SEAL_NAMES, Owed, seal_of_name

SCHEMA_VERSION = 2
SCHEMA = """
CREATE TABLE facts(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE names(owner TEXT, kind TEXT, name TEXT, stream TEXT NOT NULL, fingerprint TEXT NOT NULL, seal INTEGER,
  PRIMARY KEY(owner, kind, name)) WITHOUT ROWID;
CREATE INDEX names_stream ON names(stream);
CREATE TABLE signals(number INTEGER PRIMARY KEY AUTOINCREMENT, worker INTEGER NOT NULL, kind TEXT NOT NULL,
  stream TEXT NOT NULL, reason TEXT NOT NULL);
"""
#: What leads from each older version to the next.
_OLDER = (SEAL_NAMES,)
#: Pages of WAL after which the thread checkpoints; the file is small and seldom written.
_WAL_PAGES = 256

P = ParamSpec("P")
T = TypeVar("T")


def _holder(connection: apsw.Connection, key: tuple[str, str, str]) -> Bound | None:
    """Who holds a name; where a damaged table leads to another one's row or stream, that is StoreCorrupt."""
    query = "SELECT stream, fingerprint, seal, owner, kind, name FROM names WHERE owner = ? AND kind = ? AND name = ?"
    found: Any = connection.execute(query, key).fetchone()
    if found is None:
        return None
    stream, fingerprint, seal, *held = found
    if tuple(held) != key or seal not in (None, seal_of_name(*key, stream, fingerprint)):
        raise StoreCorrupt
    return Bound(stream, fingerprint)


def _sealed(owner: str, kind: str, name: str, stream: str, fingerprint: str) -> tuple[str | int, ...]:
    return owner, kind, name, stream, fingerprint, seal_of_name(owner, kind, name, stream, fingerprint)


class Signal(NamedTuple):
    """A request to another worker: ``cancel`` or ``drop`` a stream of its."""

    number: int
    kind: str
    stream: str
    reason: str


class Shared:
    """The shared file as one process sees it. ``open`` and the constructor run in a thread."""

    def __init__(self, path: Path, durability: Durability, *, busy_ms: int, vfs: str = "") -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="headrace-shared")
        self._writer = connect(path, durability, busy_ms=busy_ms, vfs=vfs)
        ready(self._writer, path, SCHEMA_VERSION, SCHEMA, _OLDER)
        self._reader = connect(path, durability, write=False, busy_ms=50, vfs=vfs)
        self._durability = durability
        self._pages = 0
        self._version = -1
        self._writer.set_wal_hook(self._grown)

    def _grown(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK

    # --- epoch

    def epoch(self, boot: str, lost: bool) -> int:
        """The epoch, raised once per machine start where ``lost`` says that a file may have lost its end.

        Written through to the disk, whatever the durability is. Runs in the thread that opens the store.
        """
        self._writer.pragma("synchronous", "full")
        with immediate(self._writer):
            rows: list[Any] = self._writer.execute("SELECT key, value FROM facts").fetchall()
            facts: dict[str, Any] = dict(rows)
            epoch = int(facts.get("epoch", 1))
            if facts.get("boot") != boot:
                epoch += 1 if lost and "boot" in facts else 0
                self._writer.executemany(
                    "INSERT OR REPLACE INTO facts VALUES(?, ?)", [("boot", boot), ("epoch", epoch)]
                )
        self._writer.pragma("synchronous", "full" if self._durability == "power" else "normal")
        return epoch

    # --- names

    def holder(self, owner: str, kind: str, name: str) -> Bound | None:
        """Who came first."""
        return _holder(self._reader, (owner, kind, name))

    async def claim(self, owner: str, id: str, names: Sequence[Name]) -> Bound:
        """Bind first-come names, all or, where one is taken, none; the stream that holds them now."""
        return await self._run(self._claim, owner, id, names)

    def _claim(self, owner: str, id: str, names: Sequence[Name]) -> Bound:
        with immediate(self._writer):
            for name in names:
                found = _holder(self._writer, (owner, name.kind, name.name))
                if found is not None:
                    return found
            self._writer.executemany(
                "INSERT INTO names VALUES(?, ?, ?, ?, ?, ?)",
                [_sealed(owner, name.kind, name.name, id, name.fingerprint) for name in names],
            )
        return Bound(id, names[0].fingerprint)

    async def settle(self, owed: Sequence[Owed]) -> None:
        """Bind and free what commits in log files have said; a taken name stays where it is. Idempotent."""
        if owed:
            await self._run(self._settle, owed)

    def _settle(self, owed: Sequence[Owed]) -> None:
        with immediate(self._writer):
            for debt in owed:
                if debt.free:
                    self._writer.execute(
                        "DELETE FROM names WHERE owner = ? AND kind = ? AND name = ? AND stream = ?",
                        (debt.owner, debt.kind, debt.name, debt.stream),
                    )
                else:
                    self._writer.execute(
                        "INSERT OR IGNORE INTO names VALUES(?, ?, ?, ?, ?, ?)",
                        _sealed(debt.owner, debt.kind, debt.name, debt.stream, debt.fingerprint),
                    )

    async def unname(self, ids: Sequence[str]) -> None:
        """Free all names of these streams."""
        await self._run(self._unname, ids)

    def _unname(self, ids: Sequence[str]) -> None:
        with immediate(self._writer):
            self._writer.executemany("DELETE FROM names WHERE stream = ?", [(id,) for id in ids])

    # --- signals

    async def send(self, worker: int, kind: str, id: str, reason: str = "") -> None:
        """Ask another worker for something."""
        await self._run(self._send, worker, kind, id, reason)

    def _send(self, worker: int, kind: str, id: str, reason: str) -> None:
        with immediate(self._writer):
            self._writer.execute(
                "INSERT INTO signals(worker, kind, stream, reason) VALUES(?, ?, ?, ?)", (worker, kind, id, reason)
            )

    def poll(self, worker: int, since: int) -> list[Signal]:
        """What has come for a worker; costs one pragma (3.8 us) where nobody has written."""
        version = int(self._reader.pragma("data_version"))
        if version == self._version:
            return []
        query = "SELECT number, kind, stream, reason FROM signals WHERE worker = ? AND number > ? ORDER BY number"
        rows: list[Any] = self._reader.execute(query, (worker, since)).fetchall()
        self._version = version  # not before: a look that failed is to be repeated
        return [Signal(*row) for row in rows]

    async def done(self, worker: int, until: int) -> None:
        """Signals up to this one were heard."""
        await self._run(self.clear, worker, until)

    def clear(self, worker: int, until: int) -> None:
        """Drop a worker's signals."""
        with immediate(self._writer):
            self._writer.execute("DELETE FROM signals WHERE worker = ? AND number <= ?", (worker, until))

    # --- the file

    async def probe(self, now: float) -> None:
        """Write something."""
        await self._run(self._probe, now)

    def _probe(self, now: float) -> None:
        with immediate(self._writer):
            self._writer.execute("INSERT OR REPLACE INTO facts VALUES('probe', ?)", (now,))

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, partial(self._guarded, partial(call, *args, **kwargs))
        )

    def _guarded(self, call: Callable[[], T]) -> T:
        with store_errors():
            result = call()
            if self._pages > _WAL_PAGES:
                checkpoint(self._writer, truncate=False)
                self._pages = 0
            return result

    async def checkpoint(self) -> None:
        """Move the WAL into the file and overwrite what was deleted there."""
        await self._run(lambda: checkpoint(self._writer, truncate=True))

    def abandon(self) -> None:
        """Let go of the file in the thread that has opened it, before anything else was asked of it."""
        self._reader.close()
        self._writer.close()

    async def close(self) -> None:
        """Let go of the file."""
        await self._run(self._reader.close)
        await self._run(self._writer.close)
        self._threads.shutdown(wait=False)
