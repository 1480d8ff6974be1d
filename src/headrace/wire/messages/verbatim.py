"""A stream of Messages events shown as it is."""

from headrace.model.outcome import Outcome
from headrace.model.record import Record


class Verbatim:
    """See :class:`~headrace.wire.encoding.Verbatim`."""

    stateless = True

    def record(self, record: Record) -> tuple[Record, ...]:
        """The record itself."""
        return (record,)

    def end(self, outcome: Outcome) -> list[Record]:
        """Nothing for a completed answer, whose last record said so; an error event for any other."""
        raise NotImplementedError
