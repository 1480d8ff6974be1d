"""A stream of Responses events shown as it is."""

from collections.abc import Mapping
from typing import Any

from headrace.model.outcome import Outcome, State
from headrace.model.record import Record
from headrace.wire.json_object import encode
from headrace.wire.responses.envelope import Envelope
from headrace.wire.responses.snapshot import ADDED, DONE, GROWTH, Snapshot
from headrace.wire.responses.terminal import OPENINGS, ended
from headrace.wire.responses.whole import sequence_of


class Verbatim:
    """Events as the upstream said them, and an end that it did not tell. See :class:`~headrace.wire.encoding.Verbatim`.

    For that end the events of the items that are still open are kept, and of the complete ones the last.
    """

    stateless = False

    def __init__(self, id: str, model: str = "", created: int = 0, echo: Mapping[str, Any] | None = None) -> None:
        self._envelope = Envelope(id, model, created, echo)
        self._head: list[Record] = []
        self._done: list[Record] = []
        self._growth: list[Record] = []
        self._open = 0
        self._last: Record | None = None
        self._count = 0

    def record(self, record: Record) -> tuple[Record, ...]:
        """The record itself."""
        self._last = record
        self._count += 1
        event = record.event
        if event in GROWTH:
            self._growth.append(record)
            self._open += event == ADDED
        elif event == DONE:
            self._item_done(record)
        elif event in OPENINGS:
            self._head = [record]
        return (record,)

    def end(self, outcome: Outcome) -> list[Record]:
        """Nothing for a completed answer, whose last record said so; the failed or cancelled response for any other."""
        if outcome.state is State.COMPLETED:
            return []
        frames = [] if self._count else [self._frame("response.created", 0, self._envelope.response([]))]
        snapshot = Snapshot()
        for record in (*self._head, *self._done, *self._growth):
            snapshot.add(record)
        response = snapshot.response(self._envelope, outcome)
        return [*frames, self._frame(ended(outcome).event, self._next() + len(frames), response)]

    def _item_done(self, record: Record) -> None:
        """An item is complete: where no other one is open, the pieces are not needed any more."""
        self._done.append(record)
        self._open -= 1
        if self._open <= 0:
            self._open = 0
            self._growth.clear()

    def _next(self) -> int:
        """The number after the last event's, which may have been counted from anything."""
        number = sequence_of(self._last) if self._last is not None else None
        return self._count if number is None else number + 1

    def _frame(self, event: str, number: int, response: dict[str, Any]) -> Record:
        return Record(event, encode({"type": event, "sequence_number": number, "response": response}))
