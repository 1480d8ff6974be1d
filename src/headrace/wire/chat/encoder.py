"""Canonical events to chunks in the OpenAI chat dialect."""

from typing import Any

from headrace.model import dialect, events
from headrace.model.events import Event
from headrace.model.outcome import Outcome, State, Usage
from headrace.model.record import Record
from headrace.wire.chat.decoder import delta_of, index_of
from headrace.wire.chat.usage import usage_object
from headrace.wire.json_object import encode, objects
from headrace.wire.openai_errors import body_of_outcome

#: The data of the last frame of a completed answer. It is never a record.
DONE = b"[DONE]"


class Encoder:
    """Canonical events to chunks: a pure fold, so that the same events always give the same bytes.

    ``id``, ``model`` and ``created`` (Unix seconds) stand in every chunk; what is empty comes from ``Started``.
    """

    def __init__(self, id: str = "", model: str = "", created: int = 0, *, include_usage: bool = False) -> None:
        self._base: dict[str, Any] = {
            "id": id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._include_usage = include_usage
        self._opened: set[int] = set()
        #: Why each choice finished. That is told at the end alone: after its last word an answer may still fail.
        self._reasons: dict[int, str] = {}
        self._usage: Usage | None = None

    def start(self) -> list[Record]:
        """Nothing is said before the first record: the SDKs take any block for a chunk."""
        return []

    def encode(self, event: Event) -> list[Record]:
        """The chunks of one event: one or none."""
        match event:
            case events.Started():
                for name in ("id", "created", "model"):
                    self._base[name] = self._base[name] or getattr(event, name)
            case events.Used():
                self._usage = event.usage
            case events.Text():
                return [self._delta(event.choice, {"content": event.text})]
            case events.Reasoning():
                return [self._delta(event.choice, {"reasoning_content": event.text})] if event.text else []
            case events.Refusal():
                return [self._delta(event.choice, {"refusal": event.text})]
            case events.ToolCall():
                return [self._delta(event.choice, {"tool_calls": [_tool_call(event)]})]
            case events.Finished():
                self._reasons.setdefault(event.choice, _reason(event.reason))
            case events.Extra(dialect=dialect.CHAT, payload=dict(payload)):
                return [self._extra(payload)]
        return []

    def end(self, outcome: Outcome) -> list[Record]:
        """The last frames: of a completed answer its finish, and usage where it is wanted and known; then the end."""
        if outcome.state is not State.COMPLETED:
            return ending(outcome)
        usage = outcome.usage or self._usage
        if not self._include_usage or usage is None:
            return [*self.finish(), *ending(outcome)]
        chunk = {**self._base, "choices": [], "usage": usage_object(usage)}
        return [*self.finish(), Record("", encode(chunk)), *ending(outcome)]

    def finish(self) -> list[Record]:
        """The chunks that say why each choice finished, once the answer is known to be complete."""
        return [self._delta(choice, {}, finish_reason=reason) for choice, reason in self._reasons.items()]

    def _delta(self, choice: int, delta: dict[str, Any], finish_reason: str | None = None) -> Record:
        delta = self._opening(choice) | delta
        return self._chunk({"choices": [{"index": choice, "delta": delta, "finish_reason": finish_reason}]})

    def _opening(self, choice: int) -> dict[str, Any]:
        """The role, which some SDKs insist on, in the first delta of a choice."""
        if choice in self._opened:
            return {}
        self._opened.add(choice)
        return {"role": "assistant", "content": ""}

    def _extra(self, payload: dict[str, Any]) -> Record:
        choices = [
            {
                **choice,
                "delta": self._opening(index_of(choice)) | delta_of(choice),
                "finish_reason": None,
            }
            for choice in objects(payload.get("choices"))
        ]
        return self._chunk({**payload, "choices": choices})

    def _chunk(self, fields: dict[str, Any]) -> Record:
        usage = {"usage": None} if self._include_usage else {}
        return Record("", encode({**self._base, **fields, **usage}))


def ending(outcome: Outcome) -> list[Record]:
    """The frame that tells an answer's end: ``[DONE]`` for a completed one, the error object for any other."""
    return [Record("", DONE if outcome.state is State.COMPLETED else body_of_outcome(outcome))]


def _tool_call(event: events.ToolCall) -> dict[str, Any]:
    if not event.id and not event.name:
        return {"index": event.call, "function": {"arguments": event.arguments}}
    function = {"name": event.name, "arguments": event.arguments}
    return {"index": event.call, "id": event.id, "type": "function", "function": function}


def _reason(reason: str) -> str:
    """The dialect has no word of its own for a refusal."""
    return "content_filter" if reason == "refusal" else reason
