"""JSON values, one a line: a decoder to lines, one to values, and an encoder.

A line ends at LF; a CR before it is not part of it, and blank lines are nothing. Whether a line is JSON only the
decoder to values looks at.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from headrace.wire.bounds import MAX_EVENT_SIZE, SizeExceeded

Errors = Literal["raise", "skip", "pass"]


class MalformedLine(ValueError):
    """A line is not JSON. ``number`` is which of the lines that are not blank, counted from 1."""

    def __init__(self, number: int) -> None:
        super().__init__(f"line {number} is not JSON")
        self.number = number


class Decoder:
    """Bytes in any pieces to lines. Made for one stream.

    ``max_line`` is in bytes. Beyond it :class:`SizeExceeded` is raised, once the lines that came before have been
    handed out; nothing more can be fed then.
    """

    def __init__(self, max_line: int = MAX_EVENT_SIZE) -> None:
        self._max = max_line
        self._line = bytearray()
        self._over = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes. Raises SizeExceeded."""
        lines: list[bytes] = []
        if not self._over:
            self._take(data, lines)
        if self._over and not lines:
            raise SizeExceeded
        return lines

    def close(self) -> list[bytes]:
        """A last line without its LF, if any: only its JSON tells whether it is whole. May raise SizeExceeded."""
        if self._over:
            raise SizeExceeded
        line = bytes(self._line).strip()
        self._line.clear()
        return [line] if line else []

    def _take(self, data: bytes, lines: list[bytes]) -> None:
        head, *middle = data.split(b"\n")
        self._line += head
        for piece in middle:
            if len(self._line) > self._max:
                break
            line = bytes(self._line).strip()
            if line:
                lines.append(line)
            self._line[:] = piece
        self._over = len(self._line) > self._max


class Values:
    """Bytes in any pieces to JSON values. Made for one stream.

    ``errors`` says what becomes of a line that is not JSON: it raises MalformedLine once the values before it have been
    handed out, is left out and counted (``skip``), or is handed on as the bytes that it is (``pass``). ``max_line`` is
    as for :class:`Decoder`, whatever ``errors`` says: what is larger is never held.
    """

    #: Lines so far that were not JSON.
    malformed: int

    def __init__(self, errors: Errors = "raise", *, max_line: int = MAX_EVENT_SIZE) -> None:
        if errors not in ("raise", "skip", "pass"):
            raise ValueError("expected 'raise', 'skip' or 'pass'")
        self.malformed = 0
        self._errors = errors
        self._lines = Decoder(max_line)
        self._number = 0

    def feed(self, data: bytes) -> Iterator[Any]:
        """The values of the lines that ``data`` completes. Raises MalformedLine and SizeExceeded."""
        yield from self._values(self._lines.feed(data))

    def close(self) -> Iterator[Any]:
        """The value of a last line without its LF. Raises MalformedLine and SizeExceeded."""
        yield from self._values(self._lines.close())

    def _values(self, lines: Iterable[bytes]) -> Iterator[Any]:
        for line in lines:
            self._number += 1
            try:
                value = _decode(line)
            except (ValueError, RecursionError):  # the latter is nested deeper than anything that is meant
                self.malformed += 1
                if self._errors == "raise":
                    raise MalformedLine(self._number) from None
                if self._errors == "skip":
                    continue
                value = line
            yield value


def encode(value: bytes) -> bytes:
    """One line of a JSON value. Line ends in it, which can only stand between its tokens, become spaces."""
    return value.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"


_decode = msgspec.json.Decoder().decode
