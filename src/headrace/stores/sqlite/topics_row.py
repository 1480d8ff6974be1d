"""A topic as its table holds it, under a seal: what is not what was written is StoreCorrupt."""

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw
import msgspec

from headrace.core.topic_log import Fork, Note, Offset, Topic, TopicHead
from headrace.errors import NotFound, StoreCorrupt, StreamGone

SELECT = """SELECT id, owner, path, content_type, created, ttl, expires, fork, lineage, tail, epoch, closed, note,
  size, touched, gone, seal FROM topics"""
#: How many of these, from the first on, are under the seal.
_SEALED = 13

encode = msgspec.msgpack.Encoder().encode
_fork = msgspec.msgpack.Decoder(Fork | None).decode
_lineage = msgspec.msgpack.Decoder(list[tuple[int, int]]).decode
_note = msgspec.msgpack.Decoder(Note).decode

#: The topics whose records one reads before its own, nearest first, each with the number of the last that counts.
Lineage = Sequence[tuple[int, int]]


class Row(NamedTuple):
    """A topic as its table holds it."""

    head: TopicHead
    lineage: Lineage


def seal_of(topic: int, place: int, epoch: int, data: bytes) -> int:
    """A checksum over a record and over where it belongs."""
    return zlib.crc32(data, zlib.crc32(b"%d %d %d" % (topic, place, epoch)))


def row_of(found: Sequence[Any]) -> Row:
    """What was selected. Raises StoreCorrupt; a row of an older version has no seal, and is believed."""
    seal = found[-1]
    if seal is not None and seal != zlib.crc32(encode(found[:_SEALED])):
        raise StoreCorrupt
    try:
        return _row(found)
    except msgspec.DecodeError as error:
        raise StoreCorrupt from error


def _row(found: Sequence[Any]) -> Row:
    id, owner, path, content_type, created, ttl, expires, fork, lineage, tail, epoch, *rest = found
    closed, note, size, touched, gone, _ = rest
    topic = Topic(owner, path or "", content_type, created, ttl, expires, _fork(fork))
    sources = _lineage(lineage)
    offset = Offset(epoch, tail)
    head = TopicHead(id, topic, tail, offset, bool(closed), size, touched, _note(note), bool(gone), len(sources))
    return Row(head, sources)


def sealed(connection: apsw.Connection, id: int) -> TopicHead:
    """Put the seal on a topic that was just changed, at the end of the same transaction."""
    found: Any = connection.execute(f"{SELECT} WHERE id = ?", (id,)).fetchone()
    connection.execute("UPDATE topics SET seal = ? WHERE id = ?", (zlib.crc32(encode(found[:_SEALED])), id))
    return _row(found).head


def standing(connection: apsw.Connection, id: int) -> Row:
    """A topic that is there. Raises NotFound and StreamGone."""
    found = connection.execute(f"{SELECT} WHERE id = ? AND path IS NOT NULL", (id,)).fetchone()
    if found is None:
        raise NotFound
    row = row_of(found)
    if row.head.gone:
        raise StreamGone
    return row


def at_path(connection: apsw.Connection, owner: str, path: str) -> TopicHead | None:
    """What stands at a path, gone or not. Where a damaged index leads elsewhere, that is StoreCorrupt."""
    found = connection.execute(f"{SELECT} WHERE owner = ? AND path = ?", (owner, path)).fetchone()
    if found is None:
        return None
    head = row_of(found).head
    if (head.topic.owner, head.topic.path) != (owner, path):
        raise StoreCorrupt
    return head
