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


def decoder(format: str) -> Decoder:
    """A new decoder. Raises ValueError for a format that is none of ours."""
    found = _DECODERS.get(dialect.dialect_of(format))
    if found is None:
        raise ValueError(f"not a format that is known: {format}")
    return found()
