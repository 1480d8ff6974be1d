"""A decoder for every format in which records are kept."""

from typing import Protocol

from headrace.model import dialect
from headrace.model.events import Event
from headrace.model.record import Record
from headrace.wire.chat.decoder import Decoder as ChatDecoder
from headrace.wire.messages.decoder import Decoder as MessagesDecoder
from headrace.wire.responses.decoder import Decoder as ResponsesDecoder


class Decoder(Protocol):
    """Records to canonical events. Made for one stream; takes the frames of a dialect, and a whole body as well."""

    def decode(self, record: Record) -> list[Event]:
        """The events of one record, in the order in which a client reads them. Never raises."""


_DECODERS: dict[str, type[Decoder]] = {
    dialect.CHAT: ChatDecoder,
    dialect.RESPONSES: ResponsesDecoder,
    dialect.MESSAGES: MessagesDecoder,
}


class _Opaque:
    """A media type: whatever it holds is no answer of a model."""

    def decode(self, _: Record) -> list[Event]:
        return []


def decoder(format: str) -> Decoder:
    """A new decoder; for a media type one that finds nothing. Raises ValueError for what is no format of ours."""
    if "/" in format:
        return _Opaque()
    found = _DECODERS.get(dialect.dialect_of(format))
    if found is None:
        raise ValueError(f"not a format that is known: {format}")
    return found()
