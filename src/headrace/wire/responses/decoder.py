"""Records in the OpenAI Responses dialect to canonical events."""

from headrace.model.events import Event
from headrace.model.record import Record


class Decoder:
    """Records of a stream, or the one record of a whole body, to canonical events. Never raises."""

    def decode(self, record: Record) -> list[Event]:
        """The events of one record, in the order in which a client reads them."""
        raise NotImplementedError
