"""The dialects in which streams are shown: a fold and a framing for each.

A stream is shown verbatim where its records are in the dialect already, else through the canonical events; one or the
other for its whole life.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from headrace.core.log import Head
from headrace.core.rendering import Fold, View
from headrace.errors import RequestError
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.wire import ndjson, plain, sse
from headrace.wire.openai_chat import Decoder, Encoder, ending

CHAT = "openai.chat"
NAMED = "simple.named"
UNNAMED = "simple.unnamed"
INFER = "simple.infer"
TEXT = "simple.text"

EVENT_STREAM = "text/event-stream; charset=utf-8"


class ChatFold:
    """OpenAI chat: its own records as they are, others through events. Only a completed answer has a ``[DONE]``."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self.stateless = True
        self._decoder: Decoder | None = None
        self._encoder: Encoder | None = None

    def start(self) -> Sequence[Record]:
        """Nothing is said before the first record: the SDKs take any block for a chunk."""
        return ()

    def open(self, format: str) -> None:
        """Choose between verbatim and converted."""
        if format == CHAT:
            return
        self.stateless = False
        meta = self._head.meta
        self._decoder = Decoder(format)
        self._encoder = Encoder(
            created=int(meta.created),
            include_usage=bool(meta.echo.get("include_usage")),
        )

    def record(self, record: Record) -> Sequence[Record]:
        """Show one record."""
        if self._decoder is None or self._encoder is None:
            return (record,)
        return [frame for event in self._decoder.decode(record) for frame in self._encoder.encode(event)]

    def end(self, outcome: Outcome) -> Sequence[Record]:
        """Tell the end."""
        return ending(outcome) if self._encoder is None else self._encoder.end(outcome)


class SimpleFold:
    """One of the simple faces."""

    stateless = False

    def __init__(self, encoder: type[plain.Fold], head: Head) -> None:
        meta = head.meta
        self._encoder = encoder(
            head.id,
            str(meta.echo.get("model", meta.model)),
            int(meta.created),
            prompt_tokens=int(meta.echo.get("prompt_tokens", 0)),
        )
        self._decoder = Decoder(CHAT)

    def start(self) -> Sequence[Record]:
        """Say what comes before the model answers."""
        return self._encoder.start()

    def open(self, format: str) -> None:
        """Choose the decoder."""
        self._decoder = Decoder(format)

    def record(self, record: Record) -> Sequence[Record]:
        """Show one record."""
        return [frame for event in self._decoder.decode(record) for frame in self._encoder.encode(event)]

    def end(self, outcome: Outcome) -> Sequence[Record]:
        """Tell the end; nothing where this face has no words for it."""
        return self._encoder.end(outcome)


class Dialect(NamedTuple):
    """How a dialect is written on HTTP."""

    media_type: str
    fold: Callable[[Head], Fold]
    frame: Callable[[Record, str], bytes]
    ping: bytes
    #: Whether ``retry:`` rides in the first block.
    retry: bool = True


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


def _simple(encoder: type[plain.Fold]) -> Callable[[Head], Fold]:
    return lambda head: SimpleFold(encoder, head)


#: A comment without a blank line: as a block of its own it would break openai-python once an id has been seen.
_PING_IN_BLOCK = b": ping\n"
#: A block of its own: glued in front of an event it would break clients that look at the first letters of a block.
_PING_BLOCK = b": ping\n\n"

DIALECTS: Mapping[str, Dialect] = {
    CHAT: Dialect(EVENT_STREAM, ChatFold, _event, _PING_IN_BLOCK, retry=False),
    NAMED: Dialect(EVENT_STREAM, _simple(plain.Named), _event, _PING_BLOCK),
    UNNAMED: Dialect(EVENT_STREAM, _simple(plain.Unnamed), _event, _PING_BLOCK),
    INFER: Dialect("application/x-ndjson", _simple(plain.Infer), _line, b"\n", retry=False),
    TEXT: Dialect("text/plain; charset=utf-8", _simple(plain.Text), _bare, b"", retry=False),
}

#: What ``?as=`` may ask for.
SHORT: Mapping[str, str] = {"chat": CHAT, "named": NAMED, "unnamed": UNNAMED, "ndjson": INFER, "plain": TEXT}


def view(dialect: str, stream: str = "") -> View:
    """How to show streams in a dialect; with ``stream``, event ids name it, because the URL does not."""
    made = DIALECTS[dialect]
    prefix = f"{stream}:" if stream else ""
    return View(f"{dialect} {bool(prefix)}", made.fold, made.frame, prefix, made.ping)


def named(short: str | None, started_in: str) -> str:
    """The dialect that ``?as=`` asks for, else the one in which the stream was started. Raises RequestError."""
    if short is None:
        return started_in if started_in in DIALECTS else CHAT
    if short not in SHORT:
        raise RequestError(f"A stream can be shown as one of: {', '.join(SHORT)}.", param="as")
    return SHORT[short]
