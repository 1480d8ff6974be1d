"""The forms of a reply: what an item becomes, how that is written, and how the end is told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from pydantic import BaseModel

from headrace.core.log import Head
from headrace.core.rendering import Fold, View
from headrace.fastapi.source import Maker
from headrace.model.outcome import Outcome, State
from headrace.model.record import Record
from headrace.wire import csv, ndjson, sse
from headrace.wire.endings import ending

#: What does not fit in a field of an event (CWE-93).
_UNSAFE = frozenset("\r\n\0")

_PING = b": ping\n\n"


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event: any ``data``, the name ``event`` and an ``id`` of your own.

    Text and bytes are sent as they are, each line as a ``data`` field; everything else as JSON. A durable stream has
    ids of its own, by which it is resumed, and sends none of yours.
    Raises ValueError for a name or an id with CR, LF, NUL or half a surrogate pair, which would forge other fields.
    """

    data: Any = None
    event: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        for name, text in (("event", self.event), ("id", self.id)):
            if not _UNSAFE.isdisjoint(text):
                raise ValueError(f"an event's {name} is text without CR, LF and NUL")
            text.encode()


class Items(Maker[Record]):
    """Makes one record of each item. Made for one stream."""

    def make(self, item: object) -> Record:
        """What one item becomes."""
        return Record("", data_of(item))

    def last(self) -> Sequence[Record]:
        """Nothing comes after the last item."""
        return ()

    def size(self, made: Record) -> int:
        """Its bytes."""
        return len(made.data)


class Events(Items):
    """Server-sent events."""

    def make(self, item: object) -> Record:
        """An event; the name ``message`` is that of events without one."""
        if type(item) is dict:
            return Record("", to_json(item))
        if type(item) is Event:
            return Record(item.event, _lines(data_of(item.data)))
        return Record("", _lines(data_of(item)))


class Rows(Items):
    """JSON values, one a line; bytes are taken for JSON."""

    def make(self, item: object) -> Record:
        """A line."""
        return Record("", item if isinstance(item, bytes) else to_json(_fields(item)))


class Cells(Items):
    """Rows of CSV. The names of the columns stand in the first line: the given ones, else the first row's own."""

    def __init__(self, columns: Sequence[str] | None) -> None:
        self._columns = columns
        self._begun = False

    def make(self, item: object) -> Record:
        """A line; the first one with the names of the columns before it."""
        row = _fields(item)
        if not self._begun and self._columns is None and isinstance(row, Mapping):
            self._columns = [*row]
        if isinstance(row, Mapping):
            cells: Sequence[object] = [row.get(name) for name in self._columns or ()]
        elif isinstance(row, list | tuple):
            cells = row
        else:
            raise TypeError(f"a row is a mapping or a sequence, not {type(row).__name__}")
        return Record("", csv.encode((*self._head(), cells)))

    def last(self) -> Sequence[Record]:
        """Where there was no row, the names all the same."""
        head = self._head()
        return (Record("", csv.encode(head)),) if head else ()

    def _head(self) -> Sequence[Sequence[str]]:
        begun, self._begun = self._begun, True
        return () if begun or self._columns is None else (self._columns,)


class Words(Items):
    """Pieces of text."""

    def make(self, item: object) -> Record:
        """The piece in UTF-8."""
        return Record("", item if isinstance(item, bytes) else str(item).encode(errors="replace"))


class Chunks(Items):
    """Pieces of bytes."""

    def make(self, item: object) -> Record:
        """The piece. Raises TypeError where it is no bytes."""
        if not isinstance(item, bytes | bytearray | memoryview):
            raise TypeError(f"a chunk is bytes, not {type(item).__name__}")
        return Record("", bytes(item))


class Form(NamedTuple):
    """One of the forms. ``tells`` is how it says that an answer has ended badly; without it the reply is cut."""

    name: str
    media_type: str
    frame: Callable[[Record, str], bytes]
    tells: Callable[[Outcome], Record] | None = None
    #: The event with which it ends, and what keeps it alive.
    close: Sequence[Record] = ()
    ping: bytes = b""

    def end(self, outcome: Outcome, *, close: bool) -> Sequence[Record]:
        """The frames that tell how it ended; nothing where the form has none."""
        closing = self.close if close else ()
        if outcome.state is State.COMPLETED:
            return closing
        return (self.tells(outcome), *closing) if self.tells else ()


class Told(Fold):
    """The fold of a form: records are shown as they are."""

    stateless = True

    def __init__(self, form: Form, *, close: bool) -> None:
        self._form = form
        self._close = close

    def start(self) -> Sequence[Record]:
        """Nothing comes before the first item."""
        return ()

    def open(self, format: str) -> None:
        """The format is the form's."""

    def record(self, record: Record) -> Sequence[Record]:
        """The record."""
        return (record,)

    def end(self, outcome: Outcome) -> Sequence[Record]:
        """How the form tells it."""
        return self._form.end(outcome, close=self._close)


def view(head: Head, *, named: bool = False) -> View:
    """How a stream is shown; ``named`` where event ids must name it, because the URL does not."""
    form = FORMS[head.meta.dialect]
    prefix = f"{head.id}:" if named else ""
    echo = head.meta.echo

    def fold(head: Head) -> Fold:
        return Told(form, close=bool(head.meta.echo.get("close")))

    return View(f"{form.name} {named}", fold, form.frame, prefix, form.ping, float(echo.get("keepalive", 0)))


def problem(outcome: Outcome) -> dict[str, object]:
    """What a client is told of an answer that did not complete: code, message, and whether asking again may help."""
    told = ending(outcome)
    code, message = told.code, told.message
    if outcome.detail is not None:
        code, message = outcome.reason, outcome.detail.message
    return {"code": code, "message": message, "retry": outcome.retryable}


def data_of(item: object) -> bytes:
    """Text and bytes as they are, everything else as JSON. Raises TypeError for what has none."""
    if type(item) is str:
        return item.encode(errors="replace")
    if isinstance(item, bytes):
        return item
    return to_json(item)


def _plain(value: object) -> object:
    """What JSON has no word for, as something that it has one for."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "_asdict"):
        return value._asdict()
    raise TypeError(f"{type(value).__name__} has no JSON")


to_json = msgspec.json.Encoder(enc_hook=_plain).encode


def _fields(row: object) -> object:
    """A row with named fields as a mapping."""
    if type(row) is dict:
        return row
    if isinstance(row, BaseModel):
        return row.model_dump()
    if isinstance(row, msgspec.Struct):
        return msgspec.structs.asdict(row)
    if hasattr(row, "_asdict"):
        return row._asdict()
    if hasattr(row, "__dataclass_fields__"):
        return {name: getattr(row, name) for name in row.__dataclass_fields__}
    return row


def _lines(data: bytes) -> bytes:
    """The data with LF as its only line end, as records have it."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def _event(record: Record, cursor: str) -> bytes:
    """An event. Most have no name and one line; the cursor is our own, and safe."""
    event, data = record
    if event or not cursor or b"\n" in data:
        return sse.encode(event, data, cursor)
    return b"data: %b\nid: %b\n\n" % (data, cursor.encode())


def _line(record: Record, _: str) -> bytes:
    return ndjson.encode(record.data)


def _bare(record: Record, _: str) -> bytes:
    return record.data


def _error_event(outcome: Outcome) -> Record:
    name = "cancelled" if outcome.state is State.CANCELLED else "error"
    return Record(name, to_json(problem(outcome)))


def _error_line(outcome: Outcome) -> Record:
    return Record("", to_json({"error": problem(outcome)}))


SSE = Form(
    "library.sse",
    "text/event-stream; charset=utf-8",
    _event,
    tells=_error_event,
    close=(Record("close", b"{}"),),
    ping=_PING,
)
NDJSON = Form("library.ndjson", "application/x-ndjson", _line, tells=_error_line)
CSV = Form("library.csv", "text/csv; charset=utf-8", _bare)
TEXT = Form("library.text", "text/plain; charset=utf-8", _bare)
BYTES = Form("library.bytes", "application/octet-stream", _bare)

FORMS: Mapping[str, Form] = {form.name: form for form in (SSE, NDJSON, CSV, TEXT, BYTES)}
