"""Byte ranges: what a ``Range`` header asks of a body of a known size, and how several are framed as one.

Source: RFC 9110, sections 14.1.2, 14.2, 14.4 and 14.6. A header that is not understood asks for nothing, as that says.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from headrace.errors import RangeNotSatisfiable

#: More ranges than this in one header are refused: no player and no download manager asks for so many (CVE-2025-62727).
MAX_RANGES = 16

#: More digits than any size has; what is longer is no number here.
_ONE = re.compile(r"[ \t]*(?:([0-9]{1,30})-([0-9]{0,30})|-([0-9]{1,30}))?[ \t]*")


class Range(NamedTuple):
    """Bytes from ``start`` up to ``stop``, which is not one of them. Never empty, but where the whole is."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.stop - self.start

    def of(self, size: int) -> str:
        """The value of ``Content-Range``."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


#: What a reply's body is made of: bytes of ours, and ranges of what is sent.
Body = Sequence[bytes | Range]


def asked(header: str, size: int) -> Sequence[Range]:
    """The ranges that a header asks for, in its order; none where the whole is to be sent.

    Ranges that overlap are no download's, and repeat what is sent: there the whole is less. Raises RangeNotSatisfiable
    where nothing of what is asked for is there, and for too many ranges, before they are looked at.
    """
    unit, _, ranges = header.partition("=")
    if unit.strip().lower() != "bytes":
        return ()
    if ranges.count(",") >= MAX_RANGES:
        raise RangeNotSatisfiable(f"A Range header has at most {MAX_RANGES} ranges.", size=size)
    matches = [_ONE.fullmatch(one) for one in ranges.split(",")]
    found = [_clipped(match, size) for match in matches if match is not None and match[0].strip()]
    if not found or None in matches or any(one is None for one in found):
        return ()
    there = [one for one in found if one is not None and one.length > 0]
    if not there:
        if not size and any(match is not None and int(match[3] or 0) for match in matches):
            return ()
        raise RangeNotSatisfiable("Nothing of the ranges is there.", size=size)
    return () if _overlap(there) else there


def length(body: Body) -> int:
    """How long a body is."""
    return sum(part.length if isinstance(part, Range) else len(part) for part in body)


def multipart(ranges: Sequence[Range], size: int, media_type: str, boundary: str) -> Body:
    """Several ranges as a body of ``multipart/byteranges``."""
    parts: list[bytes | Range] = []
    for one in ranges:
        head = f"\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {one.of(size)}\r\n\r\n"
        parts += [head.encode("latin-1"), one]
    return [*parts, f"\r\n--{boundary}--\r\n".encode("latin-1")]


def _clipped(match: re.Match[str], size: int) -> Range | None:
    """One range within the body, empty where it is beyond it; None where it is none."""
    first, last, suffix = match.groups()
    if suffix is not None:
        return Range(max(0, size - int(suffix)), size)
    start = int(first)
    if last and int(last) < start:
        return None
    return Range(min(start, size), min(int(last) + 1, size) if last else size)


def _overlap(ranges: Sequence[Range]) -> bool:
    ordered = sorted(ranges)
    return any(one.stop > other.start for one, other in pairwise(ordered))
