"""A log file whose process is dead, while another one holds its lock for a moment. Runs in a thread."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from headrace.core.log import Head, Kept
from headrace.model.outcome import Outcome
from headrace.stores.sqlite.connection import Durability, immediate, store_errors
from headrace.stores.sqlite.file import Lock, Owed, Reader
from headrace.stores.sqlite.writer import Writer

#: Milliseconds that a thread waits for somebody outside who has locked the file.
BUSY_MS = 2000
#: Streams that are buried in one transaction.
SLICE = 200


class OpenStream(NamedTuple):
    """A stream that nobody writes any more."""

    number: int
    head: Head


def lock_path(path: Path) -> Path:
    """The lock beside a log file."""
    return path.with_suffix(".lock")


class Orphan:
    """A dead process's file, held until :meth:`close`."""

    def __init__(self, path: Path, lock: Lock, durability: Durability, boot: str, vfs: str) -> None:
        self._lock = lock
        self._writer = Writer(path, durability, boot=boot, busy_ms=BUSY_MS, vfs=vfs)
        self._reader = Reader(path, durability, vfs)

    @classmethod
    def take(cls, path: Path, durability: Durability, boot: str, vfs: str = "") -> "Orphan | None":
        """The file, or None where its process lives."""
        with store_errors():
            lock = Lock.take(lock_path(path))
            if lock is None:
                return None
            taken = False
            try:
                orphan = cls(path, lock, durability, boot, vfs)
                taken = True
            finally:
                if not taken:
                    lock.release()
            return orphan

    def open_streams(self) -> list[OpenStream]:
        """What it left open."""
        with store_errors():
            rows = [row for row in self._reader.hot() if row.head.outcome is None]
            ends = {stream: (last, size) for _, stream, _, last, size in self._reader.places(-1)} if rows else {}
        found = []
        for row in rows:
            tail, size = ends.get(row.number, (0, 0))
            found.append(OpenStream(row.number, row.head._replace(tail=tail, size=size)))
        return found

    def end(self, outcomes: Sequence[tuple[OpenStream, Outcome]]) -> None:
        """Close them."""
        with store_errors(), immediate(self._writer.db):
            for stream, outcome in outcomes:
                self._writer.end(stream.number, stream.head.tail, stream.head.size, outcome)

    def owed(self) -> list[Owed]:
        """The first-come names that the shared file has still to be told of."""
        with store_errors():
            return self._reader.owed()

    def paid(self, owed: Sequence[Owed]) -> None:
        """It knows them."""
        with store_errors(), immediate(self._writer.db):
            self._writer.paid(owed)

    def mark(self, ids: Sequence[str]) -> None:
        """Retention may have these."""
        with store_errors(), immediate(self._writer.db):
            self._writer.mark(ids)

    def drop(self, id: str, reason: str, now: float) -> bool:
        """Bury one stream; False where there is none."""
        with store_errors():
            row = self._reader.find(id)
            if row is None or row.head.gone:
                return False
            with immediate(self._writer.db):
                self._bury(row.number, row.head.meta.owner, row.head.meta.created, reason, now)
        return True

    def _bury(self, number: int, owner: str, created: float, reason: str, now: float) -> None:
        self._writer.bury(number, owner, created, reason, now)
        self._writer.db.execute("DELETE FROM chunks WHERE stream = ?", (number,))

    def expire(self, now: float, kept: Kept) -> tuple[list[str], int]:
        """The ids of what was buried, and how many tombstones were dropped."""
        buried: list[str] = []
        swept = 0
        with store_errors():
            while True:
                with immediate(self._writer.db):
                    aged = self._writer.aged(now, kept, SLICE)
                    for number, _, owner, created in aged:
                        self._bury(number, owner, created, "expired", now)
                    count = self._writer.sweep_tombstones(now, kept, SLICE)
                buried.extend(id for _, id, _, _ in aged)
                swept += count
                if len(aged) < SLICE and count < SLICE:
                    return buried, swept

    def close(self) -> None:
        """Let others have it."""
        try:
            with store_errors():
                self._reader.close()
                self._writer.close()
        finally:
            self._lock.release()
