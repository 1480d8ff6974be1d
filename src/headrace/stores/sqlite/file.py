"""One worker's log file: its lock, its tables, and what is done with them. No event loop in here.

Layout, as measured on one core with rows of 230 bytes:

- ``chunks`` holds what is hot, one row per append, with no index but the row number: 5.7 us a row at ten rows a commit.
  A cursor finds its row by an index in memory (:class:`~headrace.stores.tail.Tail`), a reader elsewhere by the row
  numbers above the one it has seen. Row numbers are never used again: they begin with the number of the file's opening.
- ``segments`` holds closed streams in blobs of about 64 KiB, found by (stream, last): 60 us to check and decode one.
- Rows are deleted many streams at a time, in the order of their numbers. Deleting stream by stream touches each page
  once per stream that has rows in it: 4.3 KiB of WAL a row instead of 0.4, 10 us instead of 2.3.
"""

import fcntl
import logging
import os
import time
import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from headrace.core.log import Bound, Head
from headrace.errors import StoreCorrupt
from headrace.model.record import Record
from headrace.stores.packed import meta_in, outcome_in, records_in, unsealed
from headrace.stores.sqlite.connection import Durability, connect

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 2
SCHEMA = """
CREATE TABLE facts(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE streams(
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, created REAL NOT NULL, meta BLOB NOT NULL,
  format TEXT NOT NULL DEFAULT '', tail INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT 0,
  outcome BLOB, ended REAL, stored INTEGER NOT NULL DEFAULT 0, recorded INTEGER NOT NULL DEFAULT 0,
  compact INTEGER NOT NULL DEFAULT 0, gone TEXT NOT NULL DEFAULT '', gone_at REAL, change INTEGER NOT NULL
);
CREATE INDEX streams_change ON streams(change);
CREATE INDEX streams_hot ON streams(number) WHERE compact = 0 AND gone = '';
CREATE INDEX streams_owner ON streams(owner, created, id) WHERE gone = '';
CREATE INDEX streams_unrecorded ON streams(ended) WHERE outcome IS NOT NULL AND recorded = 0 AND gone = '';
CREATE INDEX streams_aging ON streams(stored, ended) WHERE recorded = 1 AND gone = '';
CREATE INDEX streams_gone ON streams(gone_at) WHERE gone <> '';
CREATE TABLE chunks(number INTEGER PRIMARY KEY, stream INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  size INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE segments(number INTEGER PRIMARY KEY, stream INTEGER NOT NULL, first INTEGER NOT NULL,
  last INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX segments_place ON segments(stream, last);
CREATE TABLE names(owner TEXT, kind TEXT, name TEXT, stream INTEGER NOT NULL, fingerprint TEXT NOT NULL,
  at REAL NOT NULL, seal INTEGER, PRIMARY KEY(owner, kind, name)) WITHOUT ROWID;
CREATE INDEX names_stream ON names(stream);
CREATE TABLE owed(number INTEGER PRIMARY KEY, stream TEXT NOT NULL, owner TEXT NOT NULL, kind TEXT NOT NULL,
  name TEXT NOT NULL, fingerprint TEXT NOT NULL, free INTEGER NOT NULL);
CREATE TABLE presence(stream TEXT PRIMARY KEY) WITHOUT ROWID;
"""
#: What tables of names lack that are older. What stands in them has no seals, and is believed.
SEAL_NAMES = "ALTER TABLE names ADD COLUMN seal INTEGER;"
#: What leads from each older version to the next.
OLDER = (SEAL_NAMES,)

_SELECT = "SELECT number, id, meta, format, tail, size, outcome, compact, gone, change FROM streams"


class Row(NamedTuple):
    """A stream as its table holds it. For an open one ``tail`` and ``size`` are in its chunks, not here."""

    number: int
    head: Head
    compact: bool
    change: int


class Owed(NamedTuple):
    """A first-come name that a commit here has bound or freed, and that the shared file does not know of yet."""

    number: int
    stream: str
    owner: str
    kind: str
    name: str
    fingerprint: str
    free: bool


class Lock:
    """An exclusive lock on a file, held until it is released or the process dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> "Lock | None":
        """The lock, or None where a living process has it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    @staticmethod
    def held(path: Path) -> bool:
        """Whether a living process has it. Shared, so that those who ask don't disturb each other."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    @staticmethod
    def marked(path: Path) -> int:
        """When a worker took it last (nanoseconds), and not one who only looked after what it left; 0 for never."""
        try:
            return path.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def mark(self) -> None:
        """Say that a worker has it from now on."""
        now = time.time_ns()  # the system's own is as coarse as its ticks
        os.utime(self._descriptor, ns=(now, now))

    def release(self) -> None:
        """Let others have it. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def seal(stream: int, first: int, data: bytes) -> int:
    """A checksum over a blob and over where it belongs."""
    return zlib.crc32(data, (stream * 1_000_003 + first) & 0xFFFFFFFF)


def seal_of_name(owner: str, kind: str, name: str, stream: int | str, fingerprint: str, at: float = 0.0) -> int:
    """A checksum over all that a row of names says."""
    return zlib.crc32(repr((owner, kind, name, stream, fingerprint, at)).encode())


def unpack(stream: int, first: int, last: int, crc: int, data: bytes) -> list[Record]:
    """A blob's records. Raises StoreCorrupt where they are not what was written."""
    if seal(stream, first, data) != crc:
        raise StoreCorrupt
    records = records_in(data)
    if len(records) != last - first + 1:
        raise StoreCorrupt
    return records


def _row(values: Sequence[Any]) -> Row:
    number, id, meta, format, tail, size, outcome, compact, gone, change = values
    end = outcome_in(outcome and unsealed(outcome, number, tail, size))
    head = Head(id, meta_in(unsealed(meta, number, id, format)), format, tail, end, size, gone)
    return Row(number, head, bool(compact), change)


class Reader:
    """What can be asked of a log file, by any process."""

    def __init__(self, path: Path, durability: Durability, vfs: str = "") -> None:
        self._db = connect(path, durability, write=False, busy_ms=50, vfs=vfs)
        self._name = path.name
        self._damaged: set[int] = set()

    def version(self) -> int:
        """A number that changes with each commit of others (3.8 us)."""
        return int(self._db.pragma("data_version"))

    def find(self, id: str) -> Row | None:
        """A stream by its id. Where a damaged index leads to another's row, that is StoreCorrupt."""
        values = self._db.execute(_SELECT + " WHERE id = ?", (id,)).fetchone()
        if values is None:
            return None
        row = _row(values)
        if row.head.id != id:
            raise StoreCorrupt
        return row

    def hot(self) -> list[Row]:
        """All streams that are not compacted."""
        query = _SELECT + " WHERE compact = 0 AND gone = ''"
        return [_row(v) for v in self._db.execute(query).fetchall()]

    def changed(self, since: int) -> list[Row]:
        """Streams that were created, closed, dropped or compacted since then, in this order."""
        query = _SELECT + " WHERE change > ? ORDER BY change"
        return [_row(v) for v in self._db.execute(query, (since,)).fetchall()]

    def places(self, since: int) -> list[tuple[int, int, int, int, int]]:
        """Rows above ``since``: number, stream, first, last, payload so far."""
        query = "SELECT number, stream, first, last, size FROM chunks WHERE number > ?"
        found: list[Any] = self._db.execute(query, (since,)).fetchall()
        return found

    def snapshot(self, rows: bool) -> None:
        """Begin or end a read transaction, so that several questions have one answer."""
        self._db.execute("BEGIN" if rows else "COMMIT")

    def chunks(self, numbers: "array[int]") -> list[tuple[int, list[Record]]]:
        """The first number and the records of each of these hot rows, in this order; swept ones are left out.

        One statement for all of them: 0.5 us a row instead of 3.3 by one statement each.
        """
        query = (
            "SELECT stream, first, last, crc, data FROM carray(?) AS wanted"
            " CROSS JOIN chunks ON chunks.number = wanted.value"
        )
        if not numbers:
            return []
        rows: list[Any] = self._db.execute(query, (apsw.carray(numbers),)).fetchall()
        return [(row[1], unpack(*row)) for row in rows]

    def segment(self, stream: int, after: int) -> tuple[int, list[Record]] | None:
        """The first number and the records of the segment that holds ``after + 1``."""
        query = (
            "SELECT stream, first, last, crc, data FROM segments WHERE stream = ? AND last > ? ORDER BY last LIMIT 1"
        )
        found = self._db.execute(query, (stream, after)).fetchone()
        if found is None:
            return None
        if found[0] != stream:
            raise StoreCorrupt
        return found[1], unpack(*found)

    def resolve(self, owner: str, kind: str, name: str) -> tuple[float, Bound] | None:
        """Who got a name last in this file, and when."""
        query = (
            "SELECT at, streams.id, fingerprint, names.owner, kind, name, stream, seal FROM names"
            " JOIN streams ON streams.number = stream WHERE names.owner = ? AND kind = ? AND name = ?"
        )
        found = self._db.execute(query, (owner, kind, name)).fetchone()
        if found is None:
            return None
        at, id, fingerprint, *held, stream, crc = found
        if held != [owner, kind, name] or crc not in (None, seal_of_name(owner, kind, name, stream, fingerprint, at)):
            raise StoreCorrupt
        return at, Bound(id, fingerprint)

    def owned(self, owner: str, before: tuple[float, str] | None, limit: int) -> list[Row]:
        """An owner's streams, newest first, below a place in the order of (created, id)."""
        created, id = before or (float("inf"), "")
        query = (
            _SELECT + " WHERE owner = ? AND gone = '' AND (created, id) < (?, ?) ORDER BY created DESC, id DESC LIMIT ?"
        )
        return [_row(v) for v in self._db.execute(query, (owner, created, id, limit)).fetchall()]

    def unrecorded(self, limit: int) -> list[Head]:
        """Closed streams that are not marked as recorded, oldest end first. The damaged hold up nobody."""
        query = _SELECT + " WHERE outcome IS NOT NULL AND recorded = 0 AND gone = '' ORDER BY ended LIMIT ?"
        found: list[Any] = self._db.execute(query, (limit,)).fetchall()
        return [head for values in found if (head := self._readable(values)) is not None]

    def _readable(self, values: Sequence[Any]) -> Head | None:
        """A row's head; None where it is damaged, which is said once."""
        try:
            return _row(values).head
        except StoreCorrupt:
            if values[0] not in self._damaged:
                self._damaged.add(values[0])
                logger.error("%s: stream %d is damaged; it is not recorded and stays", self._name, values[0])  # noqa: TRY400
            return None

    def owed(self) -> list[Owed]:
        """What the shared file has still to be told, in the order of the commits."""
        return [Owed(*found) for found in self._owed()]

    def _owed(self) -> list[Any]:
        return self._db.execute("SELECT * FROM owed ORDER BY number").fetchall()

    def present(self, id: str) -> bool:
        """Whether this file's worker has said that it has participants."""
        return self._db.execute("SELECT 1 FROM presence WHERE stream = ?", (id,)).fetchone() is not None

    def schema(self) -> int:
        """The version of the file's tables; 0 while it is being made."""
        return int(self._db.pragma("user_version"))

    def fact(self, key: str) -> object:
        """A fact about the file."""
        if self.schema() == 0:
            return None
        found = self._db.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return None if found is None else found[0]

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
