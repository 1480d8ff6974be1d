"""The response that a stream of the dialect's own events has come to so far.

What the upstream says of its answer stands as it is; of what is incomplete the pieces are put together.
"""

from typing import Any

from headrace.model.outcome import Outcome, State
from headrace.model.record import Record
from headrace.wire.json_object import Pieces, lenient, objects, settled
from headrace.wire.responses.envelope import Envelope
from headrace.wire.responses.items import CONVERTED
from headrace.wire.responses.terminal import ENDS, OPENINGS, ended
from headrace.wire.responses.usage import usage_object

# Where the pieces of a text go: the event without ``.delta``, and the field of the item, the field that says which of
# its parts it is, the part's type and the part's own field.
_PARTS = {
    "response.output_text": ("content", "content_index", "output_text", "text"),
    "response.refusal": ("content", "content_index", "refusal", "refusal"),
    "response.reasoning_text": ("content", "content_index", "reasoning_text", "text"),
    "response.reasoning_summary_text": ("summary", "summary_index", "summary_text", "text"),
}
# Pieces of what is a field of the item itself.
_FIELDS = {
    "response.function_call_arguments": "arguments",
    "response.mcp_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
    "response.code_interpreter_call_code": "code",
}
ADDED = "response.output_item.added"
DONE = "response.output_item.done"
#: The events that say something of an item which is not complete.
GROWTH = frozenset({ADDED, *(f"{name}.delta" for name in (*_PARTS, *_FIELDS))})


class Snapshot:
    """Records to a response, one at a time. Never raises."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._final: dict[str, Any] | None = None
        self._done: dict[int, dict[str, Any]] = {}
        self._open: dict[int, dict[str, Any]] = {}

    def add(self, record: Record) -> None:
        """Take one event; what says nothing of the response adds nothing."""
        value = lenient(record.data)
        if not isinstance(value, dict):
            return
        name, _, what = record.event.rpartition(".")
        if record.event in OPENINGS or record.event in ENDS:
            self._response(record.event, value.get("response"))
        elif record.event in {ADDED, DONE}:
            self._item(record.event, value)
        elif what == "delta" and name in _PARTS:
            self._part(*_PARTS[name], value)
        elif what == "delta" and name in _FIELDS:
            _grow(self._open.get(_output_index(value), {}), _FIELDS[name], value.get("delta"))

    def response(self, envelope: Envelope, outcome: Outcome | None = None) -> dict[str, Any]:
        """The response: as its last event has it, else as far as it came; in progress without an outcome.

        ``envelope`` is said where the upstream said nothing yet. Of an answer that did not complete the outcome says
        how it ended, whatever the last event said.
        """
        if self._final is not None and (outcome is None or outcome.state is State.COMPLETED):
            told = self._final.get("output")
            output = told if isinstance(told, list) else self._output(ended=True)
            return _object({**self._final, "output": output})
        head = self._head or self._final or envelope.response([])
        if outcome is None:
            return _object({**head, "output": self._output(ended=False)})
        usage = {"usage": usage_object(outcome.usage)} if outcome.usage else {}
        return _object({**head, "output": self._output(ended=True), **ended(outcome).fields, **usage})

    def _output(self, *, ended: bool) -> list[dict[str, Any]]:
        """The items in their order; once the answer has ended, an open one is incomplete."""
        items = self._open | self._done
        return [_stated(items[n]) if ended and n not in self._done else items[n] for n in sorted(items)]

    def _response(self, event: str, response: object) -> None:
        if not isinstance(response, dict):
            return
        if event in ENDS:
            self._final = response
        else:
            self._head = response

    def _item(self, event: str, value: dict[str, Any]) -> None:
        item, index = value.get("item"), _output_index(value)
        if not isinstance(item, dict) or index in self._done:
            return
        if event == DONE:
            self._done[index] = item
            self._open.pop(index, None)
        else:
            self._open[index] = item

    def _part(self, field: str, where: str, type: str, text: str, value: dict[str, Any]) -> None:
        item = self._open.get(_output_index(value))
        if item is None:
            return
        parts = item[field] = objects(item.get(field))
        index = value.get(where)
        index = max(0, index) if isinstance(index, int) else 0  # as in the decoder: some servers do not say
        if index >= len(parts):
            parts.append({"type": type, text: "", **({"annotations": []} if type == "output_text" else {})})
            index = -1
        _grow(parts[index], text, value.get("delta"))


def _grow(into: dict[str, Any], name: str, piece: object) -> None:
    if not isinstance(piece, str):
        return
    there = into.get(name)
    if not isinstance(there, Pieces):
        into[name] = there = Pieces([there] if isinstance(there, str) else [])
    there.append(piece)


def _stated(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "status": "incomplete"} if item.get("type") in CONVERTED else item


def _object(response: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = settled(response)
    return said


def _output_index(value: dict[str, Any]) -> int:
    index = value.get("output_index")
    return index if isinstance(index, int) else 0
