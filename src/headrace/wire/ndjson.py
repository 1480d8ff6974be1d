"""JSON values, one a line: a decoder and an encoder.

A line ends at LF; a CR before it is not part of it, and blank lines are nothing. Whether a line is JSON is not looked
at.
"""

from headrace.wire.bounds import MAX_EVENT_SIZE, SizeExceeded


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


def encode(value: bytes) -> bytes:
    """One line of a JSON value. Line ends in it, which can only stand between its tokens, become spaces."""
    return value.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
