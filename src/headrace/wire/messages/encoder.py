"""Canonical events to frames in the Anthropic Messages dialect."""

from typing import Any

from headrace.model import dialect, events
from headrace.model.events import Event
from headrace.model.outcome import Outcome, State, Usage
from headrace.model.record import Record
from headrace.wire.blocks import Added, Blocks, Closed, Kind, Opened, Step
from headrace.wire.json_object import encode
from headrace.wire.messages.errors import error_record
from headrace.wire.messages.reasons import stop_reason
from headrace.wire.messages.usage import usage_object
from headrace.wire.seal import Seal


class Encoder:
    """Canonical events to frames: a pure fold. See :class:`~headrace.wire.encoding.Encoder`.

    ``input_tokens`` is what to say of the prompt before anybody knows. Only choice 0 is told, and a refusal as text:
    the dialect has no other place for them.
    """

    def __init__(self, id: str, model: str = "", *, input_tokens: int = 0) -> None:
        self._id = id
        self._model = model
        self._input_tokens = input_tokens
        self._begun = False
        self._blocks = Blocks()
        #: The number of the last block that was opened. Blocks of the dialect's own stand between the others.
        self._index = -1
        self._own_open = False
        #: An open reasoning of which nothing was told: what comes first says which kind of block it is.
        self._silent = False
        self._told: set[Kind] = set()
        self._finished: events.Finished | None = None
        self._usage: Usage | None = None
        self._own_delta: dict[str, Any] = {}
        self._own_usage: dict[str, Any] = {}

    def start(self) -> list[Record]:
        """Nothing is said before the upstream answers: it could still refuse."""
        return []

    def encode(self, event: Event) -> list[Record]:
        """The frames of one event. The first begins the message."""
        if isinstance(event, events.Failed):
            return []
        frames = [] if self._begun else self._begin(event)
        match event:
            case events.Used():
                self._usage = event.usage
            case events.Finished(choice=0):
                self._finished = self._finished or event
                frames += self._close()
            case events.Extra(dialect=dialect.MESSAGES, payload=dict(payload)):
                frames += self._extra(payload)
            case events.Text(choice=0) | events.Reasoning(choice=0) | events.Refusal(choice=0):
                frames += self._content(event)
            case events.ToolCall(choice=0):
                frames += self._content(event)
        return frames

    def end(self, outcome: Outcome) -> list[Record]:
        """The end of the message for a completed answer, an error event for any other."""
        if outcome.state is not State.COMPLETED:
            return [error_record(outcome)]
        finished = self._finished or events.Finished(reason=outcome.reason)
        frames = [] if self._begun else self._begin(finished)
        sequence = finished.stop_sequence
        delta = {
            "stop_reason": stop_reason(
                finished.reason,
                stop_sequence=sequence,
                called=Kind.CALL in self._told,
                refused=Kind.REFUSAL in self._told,
            ),
            "stop_sequence": sequence or None,
            **self._own_delta,
        }
        usage = {**usage_object(outcome.usage or self._usage, self._input_tokens), **self._own_usage}
        return [*frames, *self._close(), _frame("message_delta", delta=delta, usage=usage), _frame("message_stop")]

    def _begin(self, event: Event) -> list[Record]:
        self._begun = True
        if isinstance(event, events.Started):
            self._model = self._model or event.model
        message = message_object(self._id, self._model, usage_object(None, self._input_tokens))
        return [_frame("message_start", message=message)]

    def _content(self, event: Event) -> list[Record]:
        return self._close_own() + self._steps(self._blocks.take(event))

    def _close(self) -> list[Record]:
        """Close whatever is open, and tell what waited."""
        return self._close_own() + self._steps(self._blocks.finish())

    def _steps(self, steps: list[Step]) -> list[Record]:
        return [frame for step in steps for frame in self._step(step)]

    def _step(self, step: Step) -> list[Record]:
        match step:
            case Opened(kind=Kind.REASONING):
                self._silent = True
                return []
            case Opened():
                self._told.add(step.kind)
                return [self._open(self._empty(step))]
            case Added():
                return [*self._speak(), self._grow(_delta(step))]
            case Closed():
                return self._close_block(step)

    def _speak(self) -> list[Record]:
        """Open the reasoning of which something is told now."""
        if not self._silent:
            return []
        self._silent = False
        return [self._open({"type": "thinking", "thinking": "", "signature": ""})]

    def _close_block(self, step: Closed) -> list[Record]:
        """The end of a block; that of a reasoning is its seal, which is all there is where the text is not shown."""
        if step.kind is not Kind.REASONING or not step.seal:
            return [self._stop()]
        seal = Seal.parse(step.seal, dialect.MESSAGES)
        text = seal.payload if seal.issuer == dialect.MESSAGES else step.seal
        if self._silent and seal.hidden:
            self._silent = False
            return [self._open({"type": "redacted_thinking", "data": text}), self._stop()]
        return [*self._speak(), self._grow({"type": "signature_delta", "signature": text}), self._stop()]

    def _extra(self, payload: dict[str, Any]) -> list[Record]:
        """What is the dialect's own, as it is and in its place. It comes from whole messages, and in order."""
        match payload:
            case {"type": "content_block_start", "content_block": dict(block)}:
                frames = self._close()
                self._own_open = True
                return [*frames, self._open(block)]
            case {"type": "content_block_delta", "delta": dict(delta)}:
                return [self._grow(delta)] if self._takes_own() else []
            case {"type": "content_block_stop"}:
                return self._close()
            case {"type": "message_delta", "delta": dict(delta)}:
                self._own_delta.update(delta)
                self._own_usage.update(payload.get("usage") or {})
        return []

    def _takes_own(self) -> bool:
        """Whether a block is open that may have pieces of the dialect's own: one that is, or a text with citations."""
        block = self._blocks.open
        return self._own_open or (block is not None and block.kind is Kind.TEXT)

    def _close_own(self) -> list[Record]:
        if not self._own_open:
            return []
        self._own_open = False
        return [self._stop()]

    def _empty(self, step: Opened) -> dict[str, Any]:
        """The block as it opens. A call needs an id, by which the client says what it came to; not all servers tell."""
        if step.kind is Kind.CALL:
            id = step.id or f"toolu_{self._id}_{self._index + 1}"
            return {"type": "tool_use", "id": id, "name": step.name, "input": {}}
        return {"type": "text", "text": ""}

    def _open(self, content_block: dict[str, Any]) -> Record:
        self._index += 1
        return _frame("content_block_start", index=self._index, content_block=content_block)

    def _grow(self, delta: dict[str, Any]) -> Record:
        return _frame("content_block_delta", index=self._index, delta=delta)

    def _stop(self) -> Record:
        return _frame("content_block_stop", index=self._index)


def message_object(id: str, model: str, usage: dict[str, Any]) -> dict[str, Any]:
    """A message of which nothing was said yet."""
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _frame(event: str, **fields: object) -> Record:
    return Record(event, encode({"type": event, **fields}))


def _delta(step: Added) -> dict[str, Any]:
    match step.kind:
        case Kind.CALL:
            return {"type": "input_json_delta", "partial_json": step.text}
        case Kind.REASONING:
            return {"type": "thinking_delta", "thinking": step.text}
    return {"type": "text_delta", "text": step.text}
