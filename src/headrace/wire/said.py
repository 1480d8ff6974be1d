"""What an answer says, as a whole: the text that people read, and all else in parts of their own."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from headrace.model.events import Event, Reasoning, Refusal, Text, ToolCall
from headrace.model.record import Record
from headrace.wire.formats import decoder
from headrace.wire.json_object import healed


class Said(NamedTuple):
    """``parts`` are reasoning, refusals and tool calls, in the order in which they began."""

    text: str
    parts: list[dict[str, Any]]


def said(records: Iterable[Record], format: str) -> Said:
    """What is said by records of a format, as far as they go; of several choices the first."""
    collector = _Collector()
    if format:
        decode = decoder(format).decode
        for record in records:
            for event in decode(record):
                collector.add(event)
    return collector.said()


class _Collector:
    """Events to texts; pieces are joined at the end, which takes linear time."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._parts: list[tuple[dict[str, Any], str, list[str]]] = []
        self._calls: dict[int, int] = {}

    def add(self, event: Event) -> None:
        """Take one event; what says nothing adds nothing."""
        if isinstance(event, Text | Reasoning | Refusal | ToolCall) and event.choice:
            return
        if isinstance(event, Text):
            self._text.append(event.text)
        elif isinstance(event, Reasoning) and event.text:
            self._piece({"type": "reasoning"}, event.text)
        elif isinstance(event, Refusal):
            self._piece({"type": "refusal"}, event.text)
        elif isinstance(event, ToolCall):
            self._call(event)

    def said(self) -> Said:
        """What there is so far."""
        parts = [{**part, field: healed("".join(pieces))} for part, field, pieces in self._parts]
        return Said(healed("".join(self._text)), parts)

    def _piece(self, part: dict[str, Any], text: str) -> None:
        """A piece of the last part, where that is of the same kind; else of a new one."""
        if not self._parts or self._parts[-1][0] != part:
            self._parts.append((part, "text", []))
        self._parts[-1][2].append(text)

    def _call(self, event: ToolCall) -> None:
        number = self._calls.setdefault(event.call, len(self._parts))
        if number == len(self._parts):
            self._parts.append(({"type": "tool", "name": ""}, "arguments", []))
        part, _, pieces = self._parts[number]
        part["name"] = part["name"] or healed(event.name)
        pieces.append(event.arguments)
