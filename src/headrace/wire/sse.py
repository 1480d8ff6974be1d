"""Server-sent events as bytes: a decoder and an encoder.

The rules are those of the WHATWG HTML standard, section 9.2 "Server-sent events". Bytes stay bytes: a line ends at CR,
LF or CRLF and nowhere else (U+0085 and U+2028 are data), and ``data`` is handed on as it came, without a check that it
is UTF-8. Two things go beyond that text: what one event may hold is bounded, and a field ``event`` with a NUL is
ignored, as the standard ignores an ``id`` with one.
"""

from typing import NamedTuple

from headrace.wire.bounds import MAX_EVENT_SIZE, SizeExceeded

# As numbers: to look for a byte as one is several times faster than as bytes of length one.
_LF = 10
_CR = 13
_BOM = b"\xef\xbb\xbf"
_MAX_RETRY_DIGITS = 15
_UNSAFE = frozenset("\r\n\0")


class Frame(NamedTuple):
    """One event. ``id`` is the last id that the stream has named by then, not only this event's own."""

    event: str
    data: bytes
    id: str


# A frame is made for every token of every answer: this skips the Python-level constructor, about 0.1 µs.
_frame = tuple.__new__


class Decoder:
    """Bytes in any pieces to frames. Made for one stream.

    ``max_event_size`` bounds a line and the data of an event, in bytes. Beyond it :class:`SizeExceeded` is raised, once
    the frames that came before have been handed out; nothing more can be fed then.
    """

    #: The last ``retry`` field, in milliseconds.
    retry: int | None
    #: What a client would send as ``Last-Event-ID``.
    last_event_id: str
    #: Comment lines seen: life without progress.
    comments: int
    #: After ``close``: the stream ended within a line or a block, which is lost.
    discarded: bool

    def __init__(self, max_event_size: int = MAX_EVENT_SIZE) -> None:
        self.retry = None
        self.last_event_id = ""
        self.comments = 0
        self.discarded = False
        self._max = max_event_size
        self._at_start = False  # of a block, with nothing held back
        self._head: bytes | None = b""  # what may be the beginning of a BOM; None once that is settled
        self._after_cr = False
        self._line = bytearray()  # the beginning of an unfinished line
        self._in_block = False  # a line of an unfinished block has been taken
        self._event = ""
        self._data: list[bytes] = []
        self._size = 0
        self._id = ""
        self._over = False

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes. Raises SizeExceeded."""
        if self._at_start:
            frames = self._plain(data)
            if frames is not None:
                return frames
        return self._any(data)

    def close(self) -> None:
        """End the stream: an unfinished block is discarded. Raises SizeExceeded where ``feed`` still had to."""
        self.discarded = bool(self._head or self._line or self._data or self._event)
        if self._over:
            raise SizeExceeded

    def _plain(self, data: bytes) -> list[Frame] | None:
        """The frames of what nearly every stream consists of: whole blocks of one ``data: `` line each, ending in LF.

        None where the data is anything else. At the start of a block this gives what ``_take`` would, only faster.
        """
        size = len(data)
        if not data.startswith(b"data: ") or not data.endswith(b"\n\n") or _CR in data or size > self._max:
            return None
        if data.find(_LF) == size - 2:
            return [_frame(Frame, ("", data[6:-2], self.last_event_id))]
        frames = []
        last = self.last_event_id
        for piece in data[6:-2].split(b"\n\ndata: "):
            if _LF in piece:
                return None
            frames.append(_frame(Frame, ("", piece, last)))
        return frames

    def _any(self, data: bytes) -> list[Frame]:
        """The frames of any data. To take its pieces is to take the data, so the middle may go the short way."""
        if self._head is not None:
            data = self._without_bom(data)
        if self._after_cr or _CR in data:
            data = self._with_lf(data)
        frames: list[Frame] = []
        start = 0 if self._between() else data.find(b"\n\n") + 2
        end = data.rfind(b"\n\n") + 2
        if start != 1 and end > max(start, 1):
            self._take(data[:start], frames)
            middle = None if self._over else self._plain(data[start:end])
            if middle is None:
                self._take(data[start:end], frames)
            else:
                frames += middle
            data = data[end:]
        self._take(data, frames)
        self._at_start = self._head is None and not self._after_cr and not self._over and self._between()
        if self._over and not frames:
            raise SizeExceeded
        return frames

    def _between(self) -> bool:
        """Whether no line and no block is unfinished."""
        return not self._line and not self._in_block

    def _without_bom(self, data: bytes) -> bytes:
        """``data`` without the stream's one leading BOM, which may come in pieces."""
        head = (self._head or b"") + data
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._head = head
            return b""
        self._head = None
        return head.removeprefix(_BOM)

    def _with_lf(self, data: bytes) -> bytes:
        """``data`` with LF as its only line end. A CR at its end is a line end at once; an LF after it is none."""
        if not data:
            return data
        ends_with_cr = data.endswith(b"\r")
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = ends_with_cr
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _take(self, data: bytes, frames: list[Frame]) -> None:
        """Read line by line: the standard's algorithm, and what the short way must be equal to."""
        if self._over:
            return
        lines = data.split(b"\n")
        rest = lines.pop()
        for piece in lines:
            line = piece
            if self._line:
                line = bytes(self._line) + piece
                self._line.clear()
            if not line:
                self._dispatch(frames)
                continue
            self._over = len(line) > self._max or not self._field(line)
            if self._over:
                return
        self._line += rest
        if len(self._line) > self._max:
            self._over = True

    def _field(self, line: bytes) -> bool:
        """One line that is not blank. False where the event's data is over its bound."""
        self._in_block = True
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._size += len(value) + 1
            self._data.append(value)
        elif name == b"":
            self.comments += 1
        elif name == b"event":
            if b"\0" not in value:
                self._event = value.decode(errors="replace")
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            self.retry = int(value)
        return self._size - 1 <= self._max

    def _dispatch(self, frames: list[Frame]) -> None:
        """A blank line: the id counts from here on, and there is a frame if there was a ``data`` field."""
        self.last_event_id = self._id
        if self._data:
            frames.append(Frame(self._event, b"\n".join(self._data), self._id))
            self._data.clear()
            self._size = 0
        self._event = ""
        self._in_block = False


def encode(event: str, data: bytes, id: str = "", *, retry: int | None = None) -> bytes:
    """One block: event, data, id, retry, in this order, with LF only. Empty ``event`` and ``id`` are left out.

    Each line of ``data`` (which may end in CR, LF or CRLF) becomes a field of its own. ``retry`` is in milliseconds.
    Raises ValueError where ``event`` or ``id`` has CR, LF, NUL or half a surrogate pair.
    """
    if _CR in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if _LF in data:
        data = data.replace(b"\n", b"\ndata: ")
    block = b"data: %b\n" % data
    if event:
        block = b"event: %b\n%b" % (_safe(event), block)
    if id:
        block = b"%bid: %b\n" % (block, _safe(id))
    if retry is not None:
        block = b"%bretry: %d\n" % (block, retry)
    return block + b"\n"


def comment(text: str) -> bytes:
    """A comment line without a blank line: a block of its own is what some SDKs choke on. Raises ValueError."""
    return b": %b\n" % _safe(text)


def _safe(text: str) -> bytes:
    """The text as bytes of a single field. Raises ValueError where it would forge another one (CWE-93)."""
    if not _UNSAFE.isdisjoint(text):
        raise ValueError("a field of an event must not hold CR, LF or NUL")
    return text.encode()
