"""What Redis holds of a topic, read and written: heads, entries of records, and the batches made of them."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import msgspec

from headrace.core.topic_log import Fork, Note, Offset, Topic, TopicBatch, TopicHead
from headrace.errors import StoreCorrupt

#: Bytes of records that one entry holds, or one record that is larger.
_ENTRY = 64 << 10
#: What a record costs beside its bytes, so that an entry of empty ones is bounded too.
_RECORD_COST = 8

_pack = msgspec.msgpack.Encoder().encode
_records = msgspec.msgpack.Decoder(list[bytes]).decode
_fork = msgspec.msgpack.Decoder(Fork | None).decode
_note = msgspec.msgpack.Decoder(Note).decode


def entries(tail: int, records: Sequence[bytes]) -> Iterator[bytes | int]:
    """Of each entry the number of its last record, counted on from ``tail``, and its data."""
    start, size = 0, 0
    for end, record in enumerate(records):
        cost = len(record) + _RECORD_COST
        if size and size + cost > _ENTRY:
            yield from (tail + end, _pack(records[start:end]))
            start, size = end, 0
        size += cost
    if size:
        yield from (tail + len(records), _pack(records[start:]))


def fork_bytes(fork: Fork | None) -> bytes:
    """A fork as it is stored."""
    return _pack(fork)


def note_bytes(note: Note) -> bytes:
    """A note as it is stored."""
    return _pack(note)


def head_of(found: Sequence[Any]) -> TopicHead:
    """A head of what a script tells (``HEAD_FIELDS`` after the id). Raises StoreCorrupt."""
    id, owner, path, kind, created, ttl, expires, fork, tail, epoch, closed, size, touched, note, gone, depth = found
    try:
        topic = Topic(
            owner.decode(),
            path.decode(),
            kind.decode(),
            float(created),
            int(ttl) if ttl else None,
            float(expires) if expires else None,
            _fork(fork),
        )
        offset = Offset(int(epoch), int(tail))
        return TopicHead(
            int(id),
            topic,
            offset.number,
            offset,
            closed == b"1",
            int(size),
            float(touched),
            _note(note),
            gone == b"1",
            int(depth),
        )
    except (ValueError, AttributeError, TypeError, msgspec.DecodeError):
        raise StoreCorrupt from None


def batch_of(after: Offset, found: Sequence[Any], max_bytes: int) -> TopicBatch:
    """A batch of what a script tells: the tail, whether it is closed, then three parts for each entry.

    Raises StoreCorrupt where a record is missing.
    """
    tail, closed, *parts = found
    records: list[bytes] = []
    size, offset = 0, after
    for until, place, data in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        last, epoch = (int(number) for number in place.split(b"-"))
        held = _held(data)
        first = last - len(held) + 1
        if first > offset.number + 1:
            raise StoreCorrupt
        taken = _cut(held[offset.number + 1 - first : until - first + 1], max_bytes - size)
        records.extend(taken)
        size += sum(map(len, taken))
        offset = Offset(epoch, offset.number + len(taken))
        if size >= max_bytes:
            break
    return TopicBatch(records, offset, int(tail), closed == b"1")


def _cut(records: Sequence[bytes], room: int) -> Sequence[bytes]:
    """As many as it takes to fill the room."""
    sizes = list(accumulate(map(len, records)))
    return records[: bisect_left(sizes, room) + 1]


def _held(data: bytes) -> list[bytes]:
    try:
        return _records(data)
    except msgspec.DecodeError:
        raise StoreCorrupt from None
