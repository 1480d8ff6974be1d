"""The stream: its id, its life and the places in it.

A stream's steps are numbered: step 0 is what its dialect says before the first record, steps 1 to n are its records,
and step n + 1 is how its end is told. A cursor names a place between two frames: *this* and everything before it has
been seen. One rule follows for all dialects: the frames after a cursor are what a client that shows it is sent.
"""

import re
import secrets
from typing import NamedTuple, Self

from headrace.core.log import Head
from headrace.errors import OffsetAhead, RequestError
from headrace.model.outcome import State

#: Every change of state that there is. A state that is no key is an end, and a stream ends once.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.OPEN: frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.INTERRUPTED}),
}

_MAX_DIGITS = 15
_PREFIX = "st_"
#: A letter for each byte, all 32 equally often.
_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567" * 8
#: Ids of streams, also under the prefixes of dialects.
_ID = re.compile(r"[a-z]{1,12}[_-]([a-z2-7]{26})")


def new_id() -> str:
    """An id that cannot be guessed: 130 random bits, safe in URLs, headers and event ids."""
    return _PREFIX + secrets.token_bytes(26).translate(_LETTERS).decode()


def id_under(prefix: str, id: str) -> str:
    """A stream's id as a dialect writes ids, such as ``resp_…``: the same letters under another prefix."""
    return prefix + id.removeprefix(_PREFIX)


def id_in(reference: str) -> str:
    """The id of the stream that a reference may mean, whatever its prefix; empty where it is no such thing."""
    if reference.startswith(_PREFIX):
        return reference
    match = _ID.fullmatch(reference)
    return _PREFIX + match[1] if match else ""


class Cursor(NamedTuple):
    """How far a client has seen: all of ``step``, and ``part`` frames of the step after it.

    Written, that is ``12``, or ``13.2`` for the first two frames of step 13.
    """

    step: int
    part: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the written form. Raises RequestError for anything else (signs, spaces, NUL, over 15 digits)."""
        whole, dot, part = text.partition(".")
        if not _is_number(whole) or (dot and not _is_number(part)):
            raise RequestError("A cursor is a number such as 12, or 12.1.", param="cursor")
        if not dot:
            return cls(int(whole))
        if int(whole) == 0 or int(part) == 0:
            raise RequestError("The parts of a cursor such as 12.1 count from 1.", param="cursor")
        return cls(int(whole) - 1, int(part))

    def __str__(self) -> str:
        return f"{self.step + 1}.{self.part}" if self.part else str(self.step)


#: Nothing has been seen, not even what comes before the first record.
NOTHING_SEEN = Cursor(-1)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS


def parse_event_id(text: str) -> tuple[str, Cursor]:
    """Split an event id, ``<stream>:<cursor>`` or the cursor alone (then the stream is empty). Raises RequestError."""
    stream, colon, cursor = text.rpartition(":")
    if colon and not stream:
        raise RequestError("An event id is a cursor, or a stream's id and a cursor.", param="Last-Event-ID")
    return stream, Cursor.parse(cursor)


def past_end(head: Head, cursor: Cursor) -> bool:
    """Whether a client at ``cursor`` has seen everything, the end included.

    Raises OffsetAhead where the cursor is beyond what the stream holds: what it shows has been lost, or never was.
    """
    last = head.tail + (head.outcome is not None)
    if cursor.step > last or (cursor.step == last and cursor.part):
        raise OffsetAhead(param="cursor")
    return head.outcome is not None and cursor.step == last
