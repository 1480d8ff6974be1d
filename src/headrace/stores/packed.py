"""Records, metas and outcomes as blobs (MessagePack). What cannot be read is StoreCorrupt."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from headrace.errors import StoreCorrupt
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.model.request import Meta

T = TypeVar("T")

encode = msgspec.msgpack.Encoder().encode
_records = msgspec.msgpack.Decoder(list[Record]).decode
_meta = msgspec.msgpack.Decoder(Meta).decode
_outcome = msgspec.msgpack.Decoder(Outcome).decode


def pack(records: Sequence[Record]) -> bytes:
    """Records as a blob."""
    return encode(records)


def records_in(data: bytes) -> list[Record]:
    """A blob's records."""
    return _read(_records, data)


def meta_in(data: bytes) -> Meta:
    """A blob's meta."""
    return _read(_meta, data)


def outcome_in(data: bytes | None) -> Outcome | None:
    """A blob's outcome; None where there is none."""
    return _read(_outcome, data) if data else None


def _read(decode: Callable[[Any], T], data: bytes) -> T:
    try:
        return decode(data)
    except msgspec.DecodeError as error:  # of which ValidationError is one
        raise StoreCorrupt from error
