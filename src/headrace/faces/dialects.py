"""The dialects in which streams are shown: a fold and a framing for each.

A stream is shown verbatim where its records are in the dialect already, else through the canonical events; one or the
other for its whole life.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from headrace.core.log import Head
from headrace.core.rendering import Fold, View
from headrace.core.stream import Cursor, id_under, past_end
from headrace.errors import RequestError
from headrace.model.dialect import CHAT, INFER, MESSAGES, NAMED, RESPONSES, TEXT, UI, UNNAMED
from headrace.model.outcome import Outcome, State
from headrace.model.record import Record
from headrace.wire import ndjson, plain, sse
from headrace.wire.chat.encoder import Encoder as ChatEncoder
from headrace.wire.chat.verbatim import Verbatim as ChatVerbatim
from headrace.wire.encoding import Encoder, Verbatim
from headrace.wire.formats import Decoder, decoder
from headrace.wire.messages.encoder import Encoder as MessagesEncoder
from headrace.wire.messages.verbatim import Verbatim as MessagesVerbatim
from headrace.wire.responses.encoder import Encoder as ResponsesEncoder
from headrace.wire.responses.verbatim import Verbatim as ResponsesVerbatim
from headrace.wire.ui.encoder import Encoder as UiEncoder

EVENT_STREAM = "text/event-stream; charset=utf-8"


class Dialect(NamedTuple):
    """How a dialect is written on HTTP, and who writes it."""

    media_type: str
    #: Shows records of other dialects.
    encoder: Callable[[Head], Encoder]
    frame: Callable[[Record, str], bytes]
    ping: bytes
    #: Shows the dialect's own records; None where no upstream speaks it.
    verbatim: Callable[[Head], Verbatim] | None = None
    #: Whether ``retry:`` rides in the first block.
    retry: bool = True
    #: Whether the last record of a completed answer is its end, so that nothing is left to be told after it.
    ends_in_log: bool = False


class Shown:
    """The fold of a dialect: verbatim or converted, as the records turn out to be."""

    def __init__(self, name: str, head: Head) -> None:
        self.stateless = False
        self._name = name
        self._head = head
        self._encoder = DIALECTS[name].encoder(head)
        self._verbatim: Verbatim | None = None
        self._decoder: Decoder | None = None

    def start(self) -> Sequence[Record]:
        """What is said before the first record."""
        return self._encoder.start()

    def open(self, format: str) -> None:
        """Choose between verbatim and converted."""
        verbatim = DIALECTS[self._name].verbatim
        if format == self._name and verbatim is not None:
            self._verbatim = verbatim(self._head)
            self.stateless = self._verbatim.stateless
        elif format:
            self._decoder = decoder(format)

    def record(self, record: Record) -> Sequence[Record]:
        """Show one record."""
        if self._verbatim is not None:
            return self._verbatim.record(record)
        events = self._decoder.decode(record) if self._decoder is not None else ()
        return [frame for event in events for frame in self._encoder.encode(event)]

    def end(self, outcome: Outcome) -> Sequence[Record]:
        """Tell the end; nothing where it has been told, or this dialect has no words for it."""
        return (self._verbatim or self._encoder).end(outcome)


def _event(record: Record, cursor: str) -> bytes:
    """An event. Most have no name and one line; the cursor is our own, and safe."""
    event, data = record
    if event or not cursor or b"\n" in data or b"\r" in data:
        return sse.encode(event, data, cursor)
    return b"data: %b\nid: %b\n\n" % (data, cursor.encode())


def _line(record: Record, _: str) -> bytes:
    return ndjson.encode(record.data)


def _bare(record: Record, _: str) -> bytes:
    return record.data


def _chat(head: Head) -> Encoder:
    meta = head.meta
    return ChatEncoder(
        id_under("chatcmpl-", head.id), created=int(meta.created), include_usage=bool(meta.echo.get("include_usage"))
    )


def _responses(head: Head) -> Encoder:
    return ResponsesEncoder(*_response(head))


def _responses_verbatim(head: Head) -> Verbatim:
    return ResponsesVerbatim(*_response(head))


def _response(head: Head) -> tuple[str, str, int, Mapping[str, Any]]:
    """What a Responses object says of itself: id, model, creation and what it must echo."""
    meta = head.meta
    return id_under("resp_", head.id), model_of(head), int(meta.created), meta.echo.get("responses", {})


def _messages(head: Head) -> Encoder:
    tokens = int(head.meta.echo.get("prompt_tokens", 0))
    return MessagesEncoder(id_under("msg_", head.id), model_of(head), input_tokens=tokens)


def _ui(head: Head) -> Encoder:
    return UiEncoder(head.id, model_of(head), message=str(head.meta.echo.get("message", "")))


def model_of(head: Head) -> str:
    """The model as the client is told: the upstream's own name for it."""
    return str(head.meta.echo.get("model", head.meta.model))


def _simple(encoder: type[plain.Fold]) -> Callable[[Head], Encoder]:
    def make(head: Head) -> Encoder:
        meta = head.meta
        return encoder(head.id, model_of(head), int(meta.created), prompt_tokens=int(meta.echo.get("prompt_tokens", 0)))

    return make


#: A comment without a blank line: as a block of its own it would break openai-python once an id has been seen.
_PING_IN_BLOCK = b": ping\n"
#: A block of its own: glued in front of an event it would break clients that look at the first letters of a block.
_PING_BLOCK = b": ping\n\n"

#: Anthropic's own.
_PING_EVENT = b'event: ping\ndata: {"type": "ping"}\n\n'

DIALECTS: Mapping[str, Dialect] = {
    CHAT: Dialect(EVENT_STREAM, _chat, _event, _PING_IN_BLOCK, verbatim=lambda _: ChatVerbatim(), retry=False),
    RESPONSES: Dialect(
        EVENT_STREAM,
        _responses,
        _event,
        _PING_IN_BLOCK,
        verbatim=_responses_verbatim,
        retry=False,
        ends_in_log=True,
    ),
    MESSAGES: Dialect(
        EVENT_STREAM,
        _messages,
        _event,
        _PING_EVENT,
        verbatim=lambda _: MessagesVerbatim(),
        retry=False,
        ends_in_log=True,
    ),
    UI: Dialect(EVENT_STREAM, _ui, _event, _PING_IN_BLOCK, retry=False),
    NAMED: Dialect(EVENT_STREAM, _simple(plain.Named), _event, _PING_BLOCK),
    UNNAMED: Dialect(EVENT_STREAM, _simple(plain.Unnamed), _event, _PING_BLOCK),
    INFER: Dialect("application/x-ndjson", _simple(plain.Infer), _line, b"\n", retry=False),
    TEXT: Dialect("text/plain; charset=utf-8", _simple(plain.Text), _bare, b"", retry=False),
}

#: What ``?as=`` may ask for.
SHORT: Mapping[str, str] = {
    "chat": CHAT,
    "responses": RESPONSES,
    "messages": MESSAGES,
    "ui": UI,
    "named": NAMED,
    "unnamed": UNNAMED,
    "ndjson": INFER,
    "plain": TEXT,
}


def view(name: str, stream: str = "") -> View:
    """How to show streams in a dialect; with ``stream``, event ids name it, because the URL does not."""
    made = DIALECTS[name]
    prefix = f"{stream}:" if stream else ""

    def fold(head: Head) -> Fold:
        return Shown(name, head)

    return View(f"{name} {bool(prefix)}", fold, made.frame, prefix, made.ping)


def all_seen(head: Head, cursor: Cursor, name: str) -> bool:
    """Whether a client of a dialect at ``cursor`` has seen everything, the end included. Raises OffsetAhead."""
    if past_end(head, cursor):
        return True
    ended = head.outcome is not None and head.outcome.state is State.COMPLETED and cursor.step == head.tail
    return ended and head.format == name and DIALECTS[name].ends_in_log


def named(short: str | None, started_in: str) -> str:
    """The dialect that ``?as=`` asks for, else the one in which the stream was started. Raises RequestError."""
    if short is None:
        return started_in if started_in in DIALECTS else CHAT
    if short not in SHORT:
        raise RequestError(f"A stream can be shown as one of: {', '.join(SHORT)}.", param="as")
    return SHORT[short]
