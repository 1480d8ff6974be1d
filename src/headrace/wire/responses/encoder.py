"""Canonical events to frames in the OpenAI Responses dialect."""

from collections.abc import Mapping
from typing import Any

from headrace.model.events import Event
from headrace.model.outcome import Outcome
from headrace.model.record import Record


class Encoder:
    """See :class:`~headrace.wire.encoding.Encoder`."""

    def __init__(self, id: str, model: str = "", created: int = 0, echo: Mapping[str, Any] | None = None) -> None:
        raise NotImplementedError

    def start(self) -> list[Record]:
        """What can be told before the upstream answers."""
        raise NotImplementedError

    def encode(self, event: Event) -> list[Record]:
        """The frames of one event."""
        raise NotImplementedError

    def end(self, outcome: Outcome) -> list[Record]:
        """The frames that tell how the answer ended."""
        raise NotImplementedError
