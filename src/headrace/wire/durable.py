"""The Durable Streams protocol: bodies, server-sent events and the values of headers.

Source: PROTOCOL.md of durable-streams/durable-streams, 1.0. A topic's type says how its records are shown: JSON values
as an array, text as it is, everything else in events as base64.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from headrace.errors import BodyTooLarge, RequestError
from headrace.wire.json_object import MAX_CONTAINERS, check_nesting, encode, has_more_than

#: An append that is larger becomes several records.
PIECE = 64 << 10
#: The type of which each record is one value.
JSON = "application/json"
#: Cursors count intervals of so many seconds since then (2024-10-09).
INTERVAL = 20
_SINCE = 1_728_432_000

_NATURAL = re.compile(r"0|[1-9][0-9]*")
#: RFC 3339; what else Python reads as a date is none.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}\s*(;[\x20-\x7e]{0,200})?")
_LINES = re.compile(rb"\r\n|\r|\n")
_values = msgspec.json.Decoder(list[msgspec.Raw]).decode


# --- values of headers


def natural(text: str, param: str, most: int = (1 << 53) - 1) -> int:
    """A number in its shortest form. Raises RequestError."""
    if not _NATURAL.fullmatch(text) or len(text) > 16 or int(text) > most:
        raise RequestError(f"{param} is a whole number without signs and leading zeros.", param=param)
    return int(text)


def timestamp(text: str, param: str) -> float:
    """An RFC 3339 time as Unix seconds. Raises RequestError."""
    try:
        if _TIME.fullmatch(text):
            seconds = datetime.fromisoformat(text.upper()).timestamp()
            shown_time(seconds)  # at either end of the calendar a zone may lead out of it
            return seconds
    except (ValueError, OverflowError):
        pass
    raise RequestError(f"{param} is a time such as 2026-12-31T23:59:59Z.", param=param)


def shown_time(seconds: float) -> str:
    """Unix seconds as an RFC 3339 time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def content_type(text: str) -> str:
    """A content type that can stand in a header. Raises RequestError."""
    if not _TYPE.fullmatch(text):
        raise RequestError("The content type is not one.", param="Content-Type")
    return text


def cursor(now: float, shown: str | None, jitter: int) -> str:
    """The cursor of a live reply: the interval that it is now, and always more than the one that the client shows.

    ``jitter`` is how many intervals more, so that those who ask alike are told apart by a cache.
    """
    current = max(0, int(now - _SINCE) // INTERVAL)
    if shown is not None and _NATURAL.fullmatch(shown) and len(shown) <= 15 and int(shown) >= current:
        return str(int(shown) + max(1, jitter))
    return str(current)


# --- bodies


def json_values(body: bytes) -> list[bytes]:
    """The values of a JSON body, each in one line: those of an array, or the one that it is. Raises RequestError."""
    check_nesting(body)
    try:
        body.decode()
        compact = msgspec.json.format(body, indent=-1)
        if compact[:1] == b"[" and has_more_than(MAX_CONTAINERS, compact):
            raise BodyTooLarge(f"An append holds at most {MAX_CONTAINERS} messages.")
        return [bytes(value) for value in _values(compact)] if compact[:1] == b"[" else [compact]
    except (ValueError, RecursionError):
        raise RequestError("The body is not valid JSON in UTF-8.") from None


def pieces(body: bytes) -> list[bytes]:
    """A body as records. No character of UTF-8 is cut in two."""
    found, start = [], 0
    while len(body) - start > PIECE:
        end = start + PIECE
        while end > start + PIECE - 4 and body[end] & 0xC0 == 0x80:
            end -= 1
        found.append(body[start:end])
        start = end
    return [*found, body[start:]] if body else []


def json_array(records: Sequence[bytes]) -> bytes:
    """JSON values as an array."""
    return b"[" + b",".join(records) + b"]"


# --- events


def is_text(kind: str) -> bool:
    """Whether records of a type (without parameters) can stand in an event as they are."""
    return kind.startswith("text/") or kind == JSON


def data_event(records: Sequence[bytes], kind: str) -> bytes:
    """Records as one event."""
    if kind == JSON:
        data = json_array(records)
    else:
        data = b"".join(records)
        if not is_text(kind):
            return b"event: data\ndata:" + b64encode(data) + b"\n\n"
    lines = (b"data: " + line if line[:1] == b" " else b"data:" + line for line in _LINES.split(data))
    return b"event: data\n" + b"\n".join(lines) + b"\n\n"


def control_event(offset: str, cursor: str, *, up_to_date: bool, closed: bool) -> bytes:
    """What follows every event with data: where the client is. Its id is the offset, for ``EventSource``."""
    told: dict[str, object] = {"streamNextOffset": offset}
    if closed:
        told["streamClosed"] = True
    else:
        told["streamCursor"] = cursor
    if up_to_date:
        told["upToDate"] = True
    return b"id: %b\nevent: control\ndata:%b\n\n" % (offset.encode(), encode(told))
