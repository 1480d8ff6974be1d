"""What shows an answer in one dialect: its own records as they are, others through canonical events."""

from collections.abc import Sequence
from typing import Protocol

from headrace.model.events import Event
from headrace.model.outcome import Outcome
from headrace.model.record import Record


class Encoder(Protocol):
    """Canonical events to frames: a pure fold, so that the same events always give the same bytes."""

    def start(self) -> list[Record]:
        """What can be told before the upstream answers. SDK dialects say nothing then."""

    def encode(self, event: Event) -> list[Record]:
        """The frames of one event."""

    def end(self, outcome: Outcome) -> list[Record]:
        """The frames that tell how the answer ended; nothing where the dialect cannot, and the reply must be cut."""


class Verbatim(Protocol):
    """Records of the dialect itself, shown as they are."""

    #: Whether the end can be told without having seen the records; then a resumption need not begin at the start.
    stateless: bool

    def record(self, record: Record) -> Sequence[Record]:
        """The record itself."""

    def end(self, outcome: Outcome) -> list[Record]:
        """What the records have not told of the end; nothing where they have."""
