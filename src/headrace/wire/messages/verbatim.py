"""A stream of Messages events shown as it is."""

from headrace.model.outcome import Outcome, State
from headrace.model.record import Record
from headrace.wire.messages.errors import error_record


class Verbatim:
    """Events as the upstream said them, and an end that it did not tell in our words.

    See :class:`~headrace.wire.encoding.Verbatim`.
    """

    stateless = True

    def record(self, record: Record) -> tuple[Record, ...]:
        """The record itself."""
        return (record,)

    def end(self, outcome: Outcome) -> list[Record]:
        """Nothing for a completed answer, whose last record said so; an error event for any other."""
        return [] if outcome.state is State.COMPLETED else [error_record(outcome)]
