"""Canonical events to frames in the AI SDK dialect.

Its client takes a frame that its schema does not know, or that refers to a part which has not begun, as the end of the
chat. So only what the schema has is sent, and a part grows between its own start and end.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.model import events
from headrace.model.events import Event
from headrace.model.outcome import Outcome, State, Usage
from headrace.model.record import Record
from headrace.wire.blocks import Added, Blocks, Closed, Kind, Opened, Step
from headrace.wire.endings import ending
from headrace.wire.json_object import encode, lenient

#: The last frame of a completed answer.
DONE = b"[DONE]"

#: Whose part of ``providerMetadata`` is ours, and what stands in it.
PROVIDER, SEAL = "headrace", "seal"

#: A refusal is text to this client.
_PARTS = {Kind.TEXT: "text", Kind.REFUSAL: "text", Kind.REASONING: "reasoning"}

_REASONS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "content_filter": "content-filter",
    "refusal": "content-filter",
}

_BAD_INPUT = "The model called this tool with arguments that are not a JSON object."


class Encoder:
    """See :class:`~headrace.wire.encoding.Encoder`.

    ``id`` is the stream's; ``message`` is the id of the message that the answer continues, where it is no new one.
    """

    def __init__(self, id: str, model: str = "", *, message: str = "") -> None:
        self._id = id
        self._model = model
        self._message = message or id
        self._blocks = Blocks(frozenset({Kind.CALL}))
        self._calls: dict[int, str] = {}
        self._call_ids: set[str] = set()
        self._stepped = False
        self._reason = ""
        self._usage: Usage | None = None

    def start(self) -> list[Record]:
        """The message begins: its id is the same in every replay, which so replaces what was shown before."""
        metadata = {"stream": self._id, "model": self._model}
        return [_frame("start", messageId=self._message, messageMetadata=metadata)]

    def encode(self, event: Event) -> list[Record]:
        """The frames of one event."""
        match event:
            case events.Used():
                self._usage = event.usage
                return []
            case events.Finished(choice=0):
                self._reason = self._reason or event.reason
        frames = self._frames(self._blocks.take(event))
        return self._in_step(frames) if frames else frames

    def end(self, outcome: Outcome) -> list[Record]:
        """The frames that tell how the answer ended; only a completed one is finished."""
        match outcome.state:
            case State.COMPLETED:
                return self._in_step([*self._frames(self._blocks.finish()), *self._finished(outcome)])
            case State.CANCELLED:
                return [_frame("abort", reason=ending(outcome).message)]
        return [_frame("error", errorText=ending(outcome).message)]

    def _in_step(self, frames: list[Record]) -> list[Record]:
        """The frames, of which the first ones begin the step: an answer is one."""
        if self._stepped:
            return frames
        self._stepped = True
        return [_frame("start-step"), *frames]

    def _finished(self, outcome: Outcome) -> list[Record]:
        usage = outcome.usage or self._usage
        reason = _REASONS.get(self._reason or outcome.reason, "other")
        metadata = {"messageMetadata": {"usage": _usage(usage)}} if usage else {}
        return [_frame("finish-step"), _frame("finish", finishReason=reason, **metadata), Record("", DONE)]

    def _frames(self, steps: Sequence[Step]) -> list[Record]:
        return [frame for step in steps for frame in self._of(step)]

    def _of(self, step: Step) -> Sequence[Record]:
        """The frames of one step: one, and with a seal two."""
        if step.kind is Kind.CALL:
            return [self._of_call(step)]
        part, id = _PARTS[step.kind], f"t{step.number}"
        match step:
            case Opened():
                return [_frame(f"{part}-start", id=id)]
            case Added():
                return [_frame(f"{part}-delta", id=id, delta=step.text)]
            case Closed():
                sealed = {"providerMetadata": {PROVIDER: {SEAL: step.seal}}} if step.seal else {}
                return [_frame(f"{part}-end", id=id, **sealed)]

    def _of_call(self, step: Step) -> Record:
        match step:
            case Opened():
                # The client tells calls apart by their ids; some servers give none, or one to all.
                taken = not step.id or step.id in self._call_ids
                id = self._calls[step.number] = f"{self._id}_{step.number}" if taken else step.id
                self._call_ids.add(id)
                return _frame("tool-input-start", toolCallId=id, toolName=step.name)
            case Added():
                return _frame("tool-input-delta", toolCallId=self._calls[step.number], inputTextDelta=step.text)
            case Closed():
                return _called(self._calls[step.number], step.name, step.text)


def _called(id: str, name: str, arguments: str) -> Record:
    """A call that is complete. What its client could not take as an object is shown as the text that it is."""
    if not _is_input(arguments):
        told = {"toolCallId": id, "toolName": name, "input": arguments, "errorText": _BAD_INPUT}
        return _frame("tool-input-error", **told)
    # As the model wrote it, on one line: line ends can only stand between its tokens.
    raw = msgspec.Raw(arguments.replace("\r", " ").replace("\n", " ").encode())
    return _frame("tool-input-available", toolCallId=id, toolName=name, input=raw)


def _is_input(arguments: str) -> bool:
    value = lenient(arguments.encode())
    return isinstance(value, dict) and not _has_prototype(value)


def _has_prototype(value: object) -> bool:
    """Whether there is a key in it for which the SDK's parser refuses the frame, and with it the whole answer."""
    if isinstance(value, list):
        return any(map(_has_prototype, value))
    if not isinstance(value, dict):
        return False
    made = value.get("constructor")
    if "__proto__" in value or (isinstance(made, dict) and "prototype" in made):
        return True
    return any(map(_has_prototype, value.values()))


def _usage(usage: Usage) -> dict[str, Any]:
    told: dict[str, Any] = {
        "inputTokens": usage.input,
        "outputTokens": usage.output,
        "totalTokens": usage.input + usage.output,
        "inputTokenDetails": {"cacheReadTokens": usage.cached},
        "outputTokenDetails": {"reasoningTokens": usage.reasoning},
    }
    return told if usage.exact else {**told, "estimated": True}


def _frame(type: str, **fields: object) -> Record:
    return Record("", encode({"type": type, **fields}))
