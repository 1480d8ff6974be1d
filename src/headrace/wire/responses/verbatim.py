"""A stream of Responses events shown as it is."""

from collections.abc import Mapping
from typing import Any

from headrace.model.outcome import Outcome
from headrace.model.record import Record


class Verbatim:
    """See :class:`~headrace.wire.encoding.Verbatim`."""

    stateless = False

    def __init__(self, id: str, model: str = "", created: int = 0, echo: Mapping[str, Any] | None = None) -> None:
        raise NotImplementedError

    def record(self, record: Record) -> tuple[Record, ...]:
        """The record itself."""
        raise NotImplementedError

    def end(self, outcome: Outcome) -> list[Record]:
        """Nothing for a completed answer, whose last record said so; the failed or cancelled response for any other."""
        raise NotImplementedError
