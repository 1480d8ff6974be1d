"""An entry holds its batch, and shows whether it is whole."""

import pytest

from headrace.errors import StoreCorrupt
from headrace.stores.redis.entry import read_entry, write_entry
from headrace.testing.contract import numbered

WRITER = bytes(range(16))


def test_a_batch_comes_back():
    """With the number of its first record, however large that is."""
    for first in (1, 2**40):
        assert read_entry(write_entry(first, WRITER, 7, numbered(1, 9))) == (first, numbered(1, 9))


def test_an_append_is_told_from_another_like_it():
    """The same records by another append, or from another place on, are another entry."""
    entries = {write_entry(first, WRITER, serial, numbered(1, 2)) for first in (1, 2) for serial in (1, 2)}
    assert len(entries) == 4


def test_any_changed_or_missing_byte_is_found():
    """But for writer and serial, which are compared and not read."""
    blob = write_entry(3, WRITER, 1, numbered(3, 4))
    for place in [*range(13), *range(37, len(blob))]:
        changed = bytearray(blob)
        changed[place] ^= 1
        with pytest.raises(StoreCorrupt):
            read_entry(bytes(changed))
    for end in range(len(blob)):
        with pytest.raises(StoreCorrupt):
            read_entry(blob[:end])
