"""The record: one frame of an answer, as the upstream said it."""

from typing import NamedTuple


class Record(NamedTuple):
    """A frame's event name and payload.

    Its number is its place in the log, counted from 1, and so is not part of it. ``event`` is empty where the dialect
    does not name its frames, and never holds CR, LF or NUL (they would let a payload forge fields of a reply, CWE-93).
    ``data`` is untouched; within it a line end is LF.
    """

    event: str
    data: bytes
