"""What the holder of a log file's lock writes into it. Each method runs inside a transaction that the caller made."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from headrace.core.log import Kept, Name
from headrace.errors import StoreCorrupt, StoreError
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.model.request import Meta
from headrace.stores.packed import pack, sealed
from headrace.stores.sqlite.connection import Durability, checkpoint, connect, immediate, ready
from headrace.stores.sqlite.file import OLDER, SCHEMA, SCHEMA_VERSION, Owed, seal, seal_of_name

#: Serial numbers per opening of a file; the opening's own number stands above them.
_SERIALS = 40

_encode = msgspec.msgpack.Encoder().encode

#: A hot row: number, stream, first, last, payload so far, checksum, blob.
ChunkRow = tuple[int, int, int, int, int, int, bytes]


class Writer:
    """The one writing connection to a log file. Whoever makes one holds the file's lock.

    Raises StoreError for a newer schema, StoreCorrupt where a file that was not closed cleanly does not pass SQLite's
    ``quick_check``.
    """

    def __init__(self, path: Path, durability: Durability, *, boot: str, busy_ms: int = 0, vfs: str = "") -> None:
        self.db = connect(path, durability, busy_ms=busy_ms, vfs=vfs)
        ready(self.db, path, SCHEMA_VERSION, SCHEMA, OLDER)
        clean = self._fact("clean")
        if clean == 0 and self.db.pragma("quick_check") != "ok":
            self.db.close()
            raise StoreCorrupt(f"{path.name} was not closed cleanly and is damaged; keep a copy and move it away.")
        # That the file is open must outlive a power cut whatever the durability: else what was lost after it would be
        # taken for a file that was closed in order, and the epoch would not rise.
        self.db.pragma("synchronous", "full")
        with immediate(self.db):
            last = self._fact("opening")
            opening = 1 + (last if isinstance(last, int) else 0)
            self._serial = opening << _SERIALS
            self._state({"opening": opening, "clean": 0, "boot": boot, "durability": durability})
            self.db.execute("DELETE FROM presence")
        self.db.pragma("synchronous", "full" if durability == "power" else "normal")

    def serial(self) -> int:
        """The next number; never given twice in this file, whatever is deleted."""
        self._serial += 1
        return self._serial

    def _fact(self, key: str) -> object:
        found = self.db.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return None if found is None else found[0]

    def _state(self, facts: dict[str, Any]) -> None:
        self.db.executemany("INSERT OR REPLACE INTO facts VALUES(?, ?)", facts.items())

    # --- streams

    def create(self, number: int, id: str, meta: Meta) -> None:
        """A new stream under a serial number."""
        self.db.execute(
            "INSERT INTO streams(number, id, owner, created, meta, stored, change) VALUES(?, ?, ?, ?, ?, ?, ?)",
            (number, id, meta.owner, meta.created, sealed(_encode(meta), number, id, ""), meta.stored, number),
        )

    def add(self, rows: Sequence[ChunkRow]) -> None:
        """Hot rows."""
        self.db.executemany("INSERT INTO chunks VALUES(?, ?, ?, ?, ?, ?, ?)", rows)

    def shape(self, number: int, id: str, meta: Meta, format: str) -> None:
        """What the first record tells about all of them."""
        self.db.execute(
            "UPDATE streams SET format = ?, meta = ?, change = ? WHERE number = ?",
            (format, sealed(_encode(meta), number, id, format), self.serial(), number),
        )

    def end(self, number: int, tail: int, size: int, outcome: Outcome) -> None:
        """The stream is closed."""
        self.db.execute(
            "UPDATE streams SET tail = ?, size = ?, outcome = ?, ended = ?, change = ? WHERE number = ?",
            (tail, size, sealed(_encode(outcome), number, tail, size), outcome.ended_at, self.serial(), number),
        )

    def unsegment(self, number: int) -> None:
        """Take back what a compaction that was not finished has written."""
        self.db.execute("DELETE FROM segments WHERE stream = ?", (number,))

    def segment(self, number: int, first: int, segments: Sequence[Sequence[Record]]) -> None:
        """A part of a closed stream's records from ``first`` on."""
        for records in segments:
            data = pack(records)
            last = first + len(records) - 1
            self.db.execute(
                "INSERT INTO segments VALUES(?, ?, ?, ?, ?, ?)",
                (self.serial(), number, first, last, seal(number, first, data), data),
            )
            first = last + 1

    def compacted(self, number: int) -> None:
        """All of the stream is in segments; its hot rows are garbage from here on."""
        self.db.execute("UPDATE streams SET compact = 1, change = ? WHERE number = ?", (self.serial(), number))

    def sweep(self, rows: Sequence[int]) -> None:
        """Delete hot rows, best in the order of their numbers."""
        self.db.executemany("DELETE FROM chunks WHERE number = ?", [(row,) for row in rows])

    def bury(self, number: int, owner: str, created: float, reason: str, now: float) -> None:
        """Leave a tombstone. The hot rows are the caller's to sweep."""
        (id,) = self.db.execute("SELECT id FROM streams WHERE number = ?", (number,)).fetchone() or ("",)
        left = Meta(owner=owner, dialect="", created=created)
        self.db.execute(
            "UPDATE streams SET meta = ?, format = '', tail = 0, size = 0, outcome = NULL, ended = NULL, gone = ?,"
            " gone_at = ?, change = ? WHERE number = ?",
            (sealed(_encode(left), number, id, ""), reason, now, self.serial(), number),
        )
        self.db.execute("DELETE FROM segments WHERE stream = ?", (number,))
        self.db.execute("DELETE FROM names WHERE stream = ?", (number,))
        self.db.execute("DELETE FROM owed WHERE stream = (SELECT id FROM streams WHERE number = ?)", (number,))

    def erase(self, number: int) -> None:
        """Take back a stream that lost the race for its name."""
        self.db.execute("DELETE FROM names WHERE stream = ?", (number,))
        self.db.execute("DELETE FROM streams WHERE number = ?", (number,))

    # --- names and presence

    def bind(self, owner: str, number: int, names: Iterable[Name], now: float) -> None:
        """Names that go to the latest."""
        self.db.executemany(
            "INSERT OR REPLACE INTO names VALUES(?, ?, ?, ?, ?, ?, ?)",
            ((*row, seal_of_name(*row)) for row in ((owner, *name[:2], number, name[2], now) for name in names)),
        )

    def free(self, owner: str, number: int, names: Iterable[Name]) -> None:
        """Unbind names where this stream holds them."""
        self.db.executemany(
            "DELETE FROM names WHERE owner = ? AND kind = ? AND name = ? AND stream = ?",
            ((owner, name.kind, name.name, number) for name in names),
        )

    def owe(self, owner: str, id: str, names: Iterable[Name], *, free: bool) -> None:
        """First-come names that the shared file is to be told of after this commit."""
        self.db.executemany(
            "INSERT INTO owed VALUES(?, ?, ?, ?, ?, ?, ?)",
            [(self.serial(), id, owner, name.kind, name.name, name.fingerprint, free) for name in names],
        )

    def paid(self, owed: Iterable[Owed]) -> None:
        """The shared file knows."""
        self.db.executemany("DELETE FROM owed WHERE number = ?", [(debt.number,) for debt in owed])

    def set_presence(self, id: str, present: bool) -> None:
        """Whether this worker has participants on a stream."""
        if present:
            self.db.execute("INSERT OR IGNORE INTO presence VALUES(?)", (id,))
        else:
            self.db.execute("DELETE FROM presence WHERE stream = ?", (id,))

    # --- retention

    def mark(self, ids: Iterable[str]) -> None:
        """Retention may have these."""
        self.db.executemany("UPDATE streams SET recorded = 1 WHERE id = ? AND gone = ''", ((id,) for id in ids))

    def aged(self, now: float, kept: Kept, limit: int) -> list[tuple[int, str, str, float]]:
        """Number, id, owner and creation time of streams that are to be buried."""
        query = (
            "SELECT number, id, owner, created FROM streams WHERE recorded = 1 AND gone = ''"
            " AND stored = ? AND ended <= ? ORDER BY ended LIMIT ?"
        )
        found: list[Any] = self.db.execute(query, (0, now - kept.frames, limit)).fetchall()
        return found + self.db.execute(query, (1, now - kept.stored, limit)).fetchall()

    def sweep_tombstones(self, now: float, kept: Kept, limit: int) -> int:
        """Drop tombstones that have stood long enough; how many."""
        self.db.execute(
            "DELETE FROM streams WHERE number IN (SELECT number FROM streams WHERE gone <> '' AND gone_at <= ?"
            " ORDER BY gone_at LIMIT ?)",
            (now - kept.tombstone, limit),
        )
        return self.db.changes()

    # --- the file

    def probe(self, now: float) -> None:
        """Write something, and read it back. Raises StoreError where that is not what was written."""
        self._state({"probe": now})
        if self._fact("probe") != now:
            raise StoreError

    def close(self, *, clean: bool = True) -> None:
        """Let go of the file; ``clean`` says that nothing was left to be found after a crash."""
        if clean:
            with immediate(self.db):
                self._state({"clean": 1})
            checkpoint(self.db, truncate=True)
        self.db.close()
