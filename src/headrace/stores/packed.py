"""Records, metas and outcomes as blobs (MessagePack). What cannot be read is StoreCorrupt."""

import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from headrace.errors import StoreCorrupt
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.model.request import Meta

T = TypeVar("T")

#: MessagePack uses this byte for nothing.
_SEAL = b"\xc1"

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


def sealed(data: bytes, *about: object) -> bytes:
    """A blob under a checksum over it and over what it belongs to."""
    return _SEAL + _checksum(data, about) + data


def unsealed(data: bytes, *about: object) -> bytes:
    """The blob again. Raises StoreCorrupt where it is not what was written; one without a seal is believed."""
    if data[:1] != _SEAL:
        return data
    if data[1:5] != _checksum(data[5:], about):
        raise StoreCorrupt
    return data[5:]


def _checksum(data: bytes, about: tuple[object, ...]) -> bytes:
    return zlib.crc32(data, zlib.crc32(repr(about).encode())).to_bytes(4)


def _read(decode: Callable[[Any], T], data: bytes) -> T:
    try:
        return decode(data)
    except msgspec.DecodeError as error:  # of which ValidationError is one
        raise StoreCorrupt from error
