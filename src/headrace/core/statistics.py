"""The statistics: how much is going on in one process, as values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statistics:
    """How much is going on in this process."""

    open_streams: int
    renderings: int
    readers: int
    #: Bytes that renderings keep for readers who are a little behind.
    held: int
