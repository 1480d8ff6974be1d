"""An answer while it comes in, streamed or in one piece, in whatever dialect its upstream speaks."""

from collections.abc import Callable, Mapping, Sequence

from headrace.core.routing import Answer
from headrace.errors import UpstreamProtocol
from headrace.model import dialect
from headrace.model.outcome import Usage
from headrace.model.record import Record
from headrace.upstreams.http import Exchange
from headrace.wire.chat import object as chat
from headrace.wire.facts import Facts
from headrace.wire.intake import Intake
from headrace.wire.json_object import lenient
from headrace.wire.messages import object as messages
from headrace.wire.responses import object as responses
from headrace.wire.sse import Decoder

#: Bytes of an answer that is not streamed.
MAX_WHOLE = 16 << 20
#: Seconds that a body may take to end once its answer has, before its connection is given up.
PATIENCE = 1.0

_SSE_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")
_BOM = b"\xef\xbb\xbf"
#: Content types that say nothing, so that the first bytes have to.
_VAGUE = frozenset({"", "application/octet-stream", "text/plain", "binary/octet-stream"})

#: What a whole body says of itself. Raises UpstreamFault for an error, UpstreamProtocol for what is no answer.
_FACTS: Mapping[str, Callable[[object], Facts]] = {
    dialect.CHAT: chat.facts,
    dialect.RESPONSES: responses.facts,
    dialect.MESSAGES: messages.facts,
}


async def answer_in(exchange: Exchange, intake: Intake) -> Answer:
    """The answer by its content type, or where that says nothing by its first bytes; a body may come for a stream.

    Raises UpstreamProtocol for what is neither; the connection is closed where it raises.
    """
    try:
        kind, first = await _kind(exchange)
    except BaseException:
        exchange.abort()
        raise
    if kind == "text/event-stream":
        return StreamedAnswer(exchange, intake, first)
    if kind == "application/json" or kind.endswith("+json"):
        return WholeAnswer(exchange, intake.format, first)
    exchange.abort()
    raise UpstreamProtocol


async def _kind(exchange: Exchange) -> tuple[str, bytes]:
    """The content type, and the bytes that were read to find it out."""
    kind = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _VAGUE:
        return kind, b""
    first = await exchange.read_some()
    start = first.removeprefix(_BOM).lstrip()
    if start.startswith(_SSE_STARTS):
        return "text/event-stream", first
    return ("application/json" if start.startswith(b"{") else kind), first


class _Coming:
    """What is known of an answer while it comes in. See :class:`~headrace.core.routing.Answer`."""

    def __init__(self, format: str, exchange: Exchange, first: bytes) -> None:
        self.format = format
        self.upstream_id = ""
        self.model = ""
        self.finish_reason = ""
        self.usage: Usage | None = None
        self.ignored = 0
        self.ended = False
        self._exchange = exchange
        self._first = first


class StreamedAnswer(_Coming):
    """An answer that comes as server-sent events."""

    def __init__(self, exchange: Exchange, intake: Intake, first: bytes = b"") -> None:
        super().__init__(intake.format, exchange, first)
        self._intake = intake
        self._decoder = Decoder()

    async def read(self) -> Sequence[Record]:
        """The records of the bytes that have come. See the port."""
        while (records := self.take()) is None:
            await self._exchange.wait()
        return records

    def listen(self, news: Callable[[], None] | None) -> None:
        """Have ``news`` called when something has come."""
        self._exchange.listen(news)

    def take(self) -> Sequence[Record] | None:
        """The same, where something has come."""
        intake = self._intake
        if intake.error is not None:
            raise intake.error
        data: bytes | None
        data, self._first = self._first, b""
        if not data:
            data = self._exchange.take()
            if data is None:
                return None
        try:
            if data:
                records = intake.take(self._decoder.feed(data))
            else:
                records = []
                self._decoder.close()
                intake.finish()
        finally:
            self._note(intake)
        if not records and intake.error is not None:
            raise intake.error
        return records

    def close(self) -> None:
        """Close the connection at once, or keep it for others where the answer came to its end."""
        self._exchange.release(PATIENCE if self.ended else 0.0)

    def _note(self, intake: Intake) -> None:
        self.upstream_id = intake.upstream_id
        self.model = intake.model
        self.finish_reason = intake.finish_reason
        self.usage = intake.usage
        self.ignored = intake.ignored
        self.ended = intake.ended


class WholeAnswer(_Coming):
    """An answer in one piece: one record with the whole body."""

    def __init__(self, exchange: Exchange, spoken: str, first: bytes = b"") -> None:
        super().__init__(dialect.whole(spoken), exchange, first)
        self._facts = _FACTS[spoken]

    async def read(self) -> Sequence[Record]:
        """The body. Raises LimitExceeded over ``MAX_WHOLE``, UpstreamFault for an error, UpstreamProtocol."""
        body = self._first + await self._exchange.read_all(MAX_WHOLE)
        # A CR in JSON is white space; in a record a line ends in LF.
        body = body.removeprefix(_BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n").strip()
        self.upstream_id, self.model, self.finish_reason, self.usage = self._facts(lenient(body))
        self.ended = True
        return [Record("", body)]

    def close(self) -> None:
        """Close the connection at once, or keep it for others where the answer was read."""
        self._exchange.release()
