"""One entry of a stream's log in Redis: a batch of records, and the first one's number, the writer and a checksum."""

import struct
import zlib
from collections.abc import Sequence

from headrace.errors import StoreCorrupt
from headrace.model.record import Record
from headrace.stores.packed import pack, records_in

#: The form of what follows.
VERSION = 1
#: Version, number of the first record, checksum, writer, the writer's number for the append.
_HEAD = struct.Struct(">BQI16sQ")


def write_entry(first: int, writer: bytes, serial: int, records: Sequence[Record]) -> bytes:
    """Records from number ``first`` on. ``writer`` (16 bytes) and ``serial`` tell one append from another like it."""
    data = pack(records)
    return _HEAD.pack(VERSION, first, _seal(first, data), writer, serial) + data


def read_entry(blob: bytes) -> tuple[int, list[Record]]:
    """The first record's number, and the records. Raises StoreCorrupt where they are not what was written."""
    if len(blob) < _HEAD.size:
        raise StoreCorrupt
    version, first, crc, _, _ = _HEAD.unpack_from(blob)
    data = blob[_HEAD.size :]
    if version != VERSION or _seal(first, data) != crc:
        raise StoreCorrupt
    return first, records_in(data)


def _seal(first: int, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(first.to_bytes(8)))
