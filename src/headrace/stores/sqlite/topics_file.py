"""The file of topics: its tables, and what is done with them. No event loop in here.

All workers write it, each from one thread. ``records`` only grows at its end, and its index has no data in it. What
forks have in common is stored once: a topic's ``lineage`` says which topics' records it reads before its own.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw

from headrace.core.topic_log import START, Note, Offset, Topic, TopicAppended, TopicBatch, TopicHead
from headrace.errors import NotFound, OffsetAhead, StoreCorrupt, StreamGone
from headrace.stores.sqlite.connection import Durability, checkpoint, connect, immediate, ready
from headrace.stores.sqlite.topics_row import SELECT, Lineage, Row, at_path, encode, row_of, seal_of, sealed, standing

SCHEMA_VERSION = 2
#: A removed topic has no path any more; its records go piece by piece.
SCHEMA = """
CREATE TABLE facts(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE topics(
  id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, path TEXT, content_type TEXT NOT NULL,
  created REAL NOT NULL, ttl INTEGER, expires REAL, source INTEGER, fork BLOB, lineage BLOB NOT NULL,
  tail INTEGER NOT NULL, epoch INTEGER NOT NULL, closed INTEGER NOT NULL, size INTEGER NOT NULL,
  touched REAL NOT NULL, due REAL, note BLOB NOT NULL, gone INTEGER NOT NULL DEFAULT 0, changed INTEGER NOT NULL,
  seal INTEGER
);
CREATE UNIQUE INDEX topics_path ON topics(owner, path);
CREATE INDEX topics_changed ON topics(changed);
CREATE INDEX topics_due ON topics(due) WHERE due IS NOT NULL AND gone = 0;
CREATE INDEX topics_source ON topics(source) WHERE source IS NOT NULL;
CREATE INDEX topics_removed ON topics(id) WHERE path IS NULL;
CREATE TABLE records(number INTEGER PRIMARY KEY, topic INTEGER NOT NULL, place INTEGER NOT NULL,
  epoch INTEGER NOT NULL, data BLOB NOT NULL, seal INTEGER);
CREATE INDEX records_place ON records(topic, place);
"""
#: What older versions lack. What they have written has no seals, and is believed.
_OLDER = ("ALTER TABLE topics ADD COLUMN seal INTEGER; ALTER TABLE records ADD COLUMN seal INTEGER;",)

#: Milliseconds that a write waits for another worker's.
BUSY_MS = 5000
#: Pages of WAL after which they are moved into the file.
_WAL_PAGES = 1000
#: Records that are deleted at once, so that no append waits long.
_SWEEP = 500
#: Topics that are dropped at once because they are due.
_DUE = 200


def _number(connection: apsw.Connection, key: str) -> int:
    found: Any = connection.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
    return 0 if found is None else int(found[0])


class Writer:
    """The connection that writes. All of it runs in one thread."""

    def __init__(self, path: Path, durability: Durability, boot: str, vfs: str = "") -> None:
        self._file = connect(path, durability, busy_ms=BUSY_MS, vfs=vfs)
        ready(self._file, path, SCHEMA_VERSION, SCHEMA, _OLDER)
        self._pages = 0
        self._file.set_wal_hook(self._grown)
        self._begin(boot, durability)

    def _begin(self, boot: str, durability: Durability) -> None:
        """Raise the epoch where the machine has stopped since: the ends of topics may be lost.

        That is written through to the disk, whatever the durability is.
        """
        self._file.pragma("synchronous", "full")
        with immediate(self._file):
            found: Any = self._file.execute("SELECT value FROM facts WHERE key = 'boot'").fetchone()
            if found is None or found[0] != boot:
                self._set("boot", boot)
                self._set("epoch", self._epoch() + 1)
        self._file.pragma("synchronous", "full" if durability == "power" else "normal")

    def create(self, topic: Topic, records: Sequence[bytes], closed: bool) -> tuple[TopicHead, bool]:
        """Start a topic, or leave what stands at its path."""
        with immediate(self._file):
            found = at_path(self._file, topic.owner, topic.path)
            if found is not None:
                return found, False
            id = self._insert(topic, closed)
            self._add(id, topic.fork.inherited if topic.fork else 0, records)
            return sealed(self._file, id), True

    def _insert(self, topic: Topic, closed: bool) -> int:
        fork, offset = topic.fork, START
        lineage: Lineage = ()
        if fork is not None:
            source = self._source(fork.source)
            lineage = _inherited(source, fork.inherited)
            offset = place(self._file, source, fork.inherited)
        due = topic.expires if topic.ttl is None else topic.created + topic.ttl
        self._file.execute(
            """INSERT INTO topics(owner, path, content_type, created, ttl, expires, source, fork, lineage, tail, epoch,
               closed, size, touched, due, note, changed) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)""",
            (
                topic.owner,
                topic.path,
                topic.content_type,
                topic.created,
                topic.ttl,
                topic.expires,
                fork.source if fork else None,
                encode(fork),
                encode(lineage),
                offset.number,
                offset.epoch,
                closed,
                topic.created,
                due,
                encode(Note()),
                self._change(),
            ),
        )
        return self._file.last_insert_rowid()

    def _source(self, id: int) -> Row:
        try:
            return standing(self._file, id)
        except NotFound:
            raise StreamGone from None

    def append(
        self, id: int, expected_tail: int, records: Sequence[bytes], note: Note, now: float, closed: bool
    ) -> TopicAppended:
        """Add records where the tail is as expected."""
        with immediate(self._file):
            head = standing(self._file, id).head
            if head.closed or head.tail != expected_tail:
                return TopicAppended(False, head)
            self._add(id, head.tail, records)
            self._file.execute(
                "UPDATE topics SET closed = ?, note = ?, touched = ?, due = coalesce(? + ttl, expires), changed = ?"
                " WHERE id = ?",
                (closed, encode(note), now, now, self._change(), id),
            )
            return TopicAppended(True, sealed(self._file, id))

    def _add(self, id: int, tail: int, records: Sequence[bytes]) -> None:
        if not records:
            return
        epoch = self._epoch()
        self._file.executemany(
            "INSERT INTO records(topic, place, epoch, data, seal) VALUES(?, ?, ?, ?, ?)",
            ((id, place, epoch, data, seal_of(id, place, epoch, data)) for place, data in enumerate(records, tail + 1)),
        )
        self._file.execute(
            "UPDATE topics SET tail = ?, epoch = ?, size = size + ? WHERE id = ?",
            (tail + len(records), epoch, sum(map(len, records)), id),
        )

    def touch(self, id: int, now: float) -> None:
        """Put off the end of a topic."""
        with immediate(self._file):
            self._file.execute(
                "UPDATE topics SET touched = ?1, due = coalesce(?1 + ttl, expires) WHERE id = ?2 AND touched < ?1",
                (now, id),
            )

    def drop(self, ids: Sequence[int]) -> int:
        """Remove topics, or mark them as gone; how many were there."""
        with immediate(self._file):
            return sum(self._drop(id) for id in ids)

    def expire(self, now: float) -> int:
        """Drop some of what is due, and forget what others have seen by now to be removed."""
        query = "SELECT id FROM topics WHERE due <= ? AND gone = 0 LIMIT ?"
        with immediate(self._file):
            self._file.execute("DELETE FROM topics WHERE path IS NULL AND size = -1")
            due: list[Any] = self._file.execute(query, (now, _DUE)).fetchall()
            return sum(self._drop(id) for (id,) in due)

    def _drop(self, id: int) -> bool:
        found = self._file.execute("SELECT gone FROM topics WHERE id = ?", (id,)).fetchone()
        if found is None or found[0]:
            return False
        self._file.execute("UPDATE topics SET gone = 1, changed = ? WHERE id = ?", (self._change(), id))
        self._remove(id)
        return True

    def _remove(self, id: int | None) -> None:
        """Let go of a topic that is gone and that nobody reads from, and of those that it alone read from."""
        unread = (
            "UPDATE topics SET path = NULL WHERE id = ?1 AND gone = 1"
            " AND NOT EXISTS (SELECT 1 FROM topics WHERE source = ?1) RETURNING source"
        )
        while id is not None:
            removed: list[Any] = self._file.execute(unread, (id,)).fetchall()
            if not removed:
                return
            self._file.execute("UPDATE topics SET source = NULL WHERE id = ?", (id,))
            self._set("epoch", self._epoch() + 1)
            ((id,),) = removed

    def sweep(self) -> bool:
        """Delete some records of a removed topic; whether there may be more."""
        with immediate(self._file):
            query = "SELECT id FROM topics WHERE path IS NULL AND size >= 0 LIMIT 1"
            found: Any = self._file.execute(query).fetchone()
            if found is None:
                return False
            self._file.execute(
                "DELETE FROM records WHERE number IN (SELECT number FROM records WHERE topic = ? LIMIT ?)",
                (found[0], _SWEEP),
            )
            if self._file.changes() < _SWEEP:
                self._file.execute("UPDATE topics SET size = -1 WHERE id = ?", found)
            return True

    def _set(self, key: str, value: object) -> None:
        self._file.execute("INSERT OR REPLACE INTO facts VALUES(?, ?)", (key, value))

    def _epoch(self) -> int:
        return _number(self._file, "epoch")

    def _change(self) -> int:
        number = _number(self._file, "changed") + 1
        self._set("changed", number)
        return number

    def _grown(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK

    def settle(self) -> None:
        """Move the WAL into the file where it has grown; after a commit, never in it."""
        if self._pages > _WAL_PAGES:
            checkpoint(self._file, truncate=False)
            self._pages = 0

    def close(self) -> None:
        """Let go of the file."""
        checkpoint(self._file, truncate=True)
        self._file.close()


class Reader:
    """The connection that reads, on the event loop: what it asks for is found by index and bounded."""

    def __init__(self, path: Path, durability: Durability, vfs: str = "") -> None:
        self._file = connect(path, durability, write=False, busy_ms=50, vfs=vfs)
        self._version = -1
        self._seen = 0

    def skip(self) -> None:
        """Take what has changed up to now as known."""
        self._seen = _number(self._file, "changed")

    def version(self) -> int:
        """What changes with each write of anybody."""
        return int(self._file.pragma("data_version"))

    def news(self) -> list[int]:
        """The topics that anybody has changed since this was last asked; one pragma where nothing was written."""
        version = self.version()
        if version == self._version:
            return []
        self._version = version
        rows: list[Any] = self._file.execute(
            "SELECT id, changed FROM topics WHERE changed > ? ORDER BY changed", (self._seen,)
        ).fetchall()
        if rows:
            self._seen = rows[-1][1]
        return [id for id, _ in rows]

    def head(self, owner: str, path: str) -> TopicHead | None:
        """What stands at a path."""
        return at_path(self._file, owner, path)

    def read(self, id: int, after: Offset, max_bytes: int) -> TopicBatch:
        """Records after a place."""
        self._file.execute("BEGIN")
        try:
            row = standing(self._file, id)
            if place(self._file, row, after.number) != after:
                raise OffsetAhead
            return self._batch(row, after, max_bytes)
        finally:
            self._file.execute("COMMIT")

    def _batch(self, row: Row, after: Offset, max_bytes: int) -> TopicBatch:
        records: list[bytes] = []
        size, offset = 0, after
        for number, epoch, data in self._records(row, after.number):
            if number != offset.number + 1:
                raise StoreCorrupt
            records.append(data)
            offset = Offset(epoch, number)
            size += len(data)
            if size >= max_bytes:
                break
        else:
            if offset.number < row.head.tail:
                raise StoreCorrupt
        return TopicBatch(records, offset, row.head.tail, row.head.closed)

    def _records(self, row: Row, after: int) -> Iterator[tuple[int, int, bytes]]:
        query = (
            "SELECT place, epoch, data, seal FROM records"
            " WHERE topic = ? AND place > ? AND place <= ? ORDER BY topic, place"
        )
        for topic, first, last in _spans(row, after):
            cursor = self._file.cursor()
            try:
                found: Any = cursor.execute(query, (topic, first, last))
                for number, epoch, data, seal in found:
                    if seal is not None and seal != seal_of(topic, number, epoch, data):
                        raise StoreCorrupt
                    yield number, epoch, data
            finally:
                cursor.close()

    def list(self, owner: str, after: str, limit: int) -> list[TopicHead]:
        """An owner's topics by path."""
        query = f"{SELECT} WHERE owner = ? AND path > ? AND gone = 0 ORDER BY path LIMIT ?"
        return [row_of(found).head for found in self._file.execute(query, (owner, after, limit))]

    def count(self, owner: str) -> int:
        """How many topics an owner has."""
        query = "SELECT count(*) FROM topics WHERE owner = ? AND path IS NOT NULL"
        (count,) = self._file.execute(query, (owner,)).fetchone() or (0,)
        return int(count)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def place(connection: apsw.Connection, row: Row, number: int) -> Offset:
    """The place after a topic's record ``number``. Raises OffsetAhead where it has none."""
    if number == 0:
        return START
    if number >= row.head.tail:
        if number > row.head.tail:
            raise OffsetAhead
        return row.head.offset
    topic, _, _ = next(_spans(row, number - 1))
    found: Any = connection.execute("SELECT epoch FROM records WHERE topic = ? AND place = ?", (topic, number))
    for (epoch,) in found:
        return Offset(epoch, number)
    raise StoreCorrupt


def _inherited(source: Row, last: int) -> list[tuple[int, int]]:
    """What a fork after record ``last`` reads; a topic that has nothing of its own in there is left out."""
    sources = [(source.head.id, last), *((id, min(own, last)) for id, own in source.lineage)]
    below = [own for _, own in sources[1:]] + [0]
    return [pair for pair, least in zip(sources, below, strict=True) if pair[1] > least]


def _spans(row: Row, after: int) -> Iterator[tuple[int, int, int]]:
    """Where the records after a number are: topics, each with the number before the first and the last, in order."""
    sources = [*reversed(row.lineage), (row.head.id, row.head.tail)]
    least = 0
    for topic, last in sources:
        if last > max(least, after):
            yield topic, max(least, after), last
        least = max(least, last)
