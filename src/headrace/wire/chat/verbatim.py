"""A stream of chunks shown as it is."""

from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.wire.chat.encoder import ending


class Verbatim:
    """Chunks as the upstream said them, and the end in our words. See :class:`~headrace.wire.encoding.Verbatim`."""

    stateless = True

    def record(self, record: Record) -> tuple[Record, ...]:
        """The record itself."""
        return (record,)

    def end(self, outcome: Outcome) -> list[Record]:
        """``[DONE]`` for a completed answer, the error object for any other."""
        return ending(outcome)
