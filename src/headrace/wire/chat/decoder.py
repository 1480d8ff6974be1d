"""Records in the OpenAI chat dialect to canonical events.

On the way in, see :mod:`headrace.wire.chat.intake`; a whole completion made of chunks is in
:mod:`headrace.wire.chat.whole`.
"""

from typing import Any

from headrace.model import dialect, events
from headrace.model.events import Event
from headrace.model.record import Record
from headrace.wire.chat.calls import CallNumbers, function_of
from headrace.wire.chat.usage import usage_of
from headrace.wire.halves import Halves
from headrace.wire.json_object import encode, healed, lenient, objects, settled
from headrace.wire.openai_errors import scrub_value

_CHUNK_FIELDS = frozenset({"id", "object", "created", "model", "choices", "usage", "error", "obfuscation"})
_CHOICE_FIELDS = frozenset({"index", "delta", "message", "finish_reason"})
_DELTA_FIELDS = frozenset({"role", "content", "refusal", "reasoning_content", "reasoning", "tool_calls"})


class Decoder:
    """Records of a stream, or the one record of a whole completion, to canonical events. Never raises.

    What has no event (log probabilities, audio, filter results, fields nobody knows) comes as ``Extra``: a chunk with
    just these fields.
    """

    def __init__(self) -> None:
        self._started = False
        self._calls: dict[int, CallNumbers] = {}
        self._halves = Halves()
        self._told: dict[str, Any] = {}

    def decode(self, record: Record) -> list[Event]:
        """The events of one record, in the order in which a client reads them."""
        chunk = lenient(record.data)
        if not isinstance(chunk, dict):
            return []
        if chunk.get("error"):
            return [events.Failed(detail=scrub_value(chunk))]
        choices = objects(chunk.get("choices"))
        found: list[Event] = []
        if not self._started and (choices or chunk.get("id")):
            self._started = True
            found.append(_started(chunk))
        for choice in choices:
            found += self._pieces(index_of(choice), delta_of(choice))
        found += self._extra(chunk, choices)
        for choice in choices:
            reason = choice.get("finish_reason")
            if isinstance(reason, str) and reason:
                found.append(events.Finished(reason=healed(reason), choice=index_of(choice)))
        usage = usage_of(chunk.get("usage"))
        if usage is not None:
            found.append(events.Used(usage=usage))
        return found

    def _pieces(self, choice: int, delta: dict[str, Any]) -> list[Event]:
        """What a delta, or a whole message, adds to a choice."""
        found: list[Event] = []
        reasoning = self._text(choice, "reasoning", delta.get("reasoning_content") or delta.get("reasoning"))
        if reasoning:
            found.append(events.Reasoning(text=reasoning, choice=choice))
        text = self._text(choice, "content", delta.get("content"))
        if text:
            found.append(events.Text(text=text, choice=choice))
        refusal = self._text(choice, "refusal", delta.get("refusal"))
        if refusal:
            found.append(events.Refusal(text=refusal, choice=choice))
        found.extend(self._call(choice, piece) for piece in objects(delta.get("tool_calls")))
        return found

    def _call(self, choice: int, piece: dict[str, Any]) -> Event:
        number, first = self._calls.setdefault(choice, CallNumbers()).number(piece)
        function = function_of(piece)
        arguments = function.get("arguments")
        if isinstance(arguments, dict):  # of servers that hand on what their model's template gave them
            arguments = encode(settled(arguments)).decode()
        return events.ToolCall(
            call=number,
            id=_string(piece.get("id")) if first else "",
            name=_string(function.get("name")) if first else "",
            arguments=self._text(choice, f"call {number}", arguments),
            choice=choice,
        )

    def _text(self, choice: int, kind: str, value: object) -> str:
        """A piece of text. Half a surrogate pair at its end waits for the other half in the next piece."""
        if isinstance(value, list):
            value = "".join(_string(part.get("text")) for part in objects(value))
        return self._halves.join((choice, kind), value)

    def _extra(self, chunk: dict[str, Any], choices: list[dict[str, Any]]) -> list[Event]:
        """The fields without an event: of choices always, of the chunk where they say something new."""
        payload = {
            name: value
            for name, value in chunk.items()
            if name not in _CHUNK_FIELDS and value is not None and self._told.get(name) != value
        }
        self._told.update(payload)
        others = [_other_fields(choice) for choice in choices]
        if any(others):
            payload["choices"] = [{"index": index_of(c), **o} for c, o in zip(choices, others, strict=True) if o]
        return [events.Extra(dialect=dialect.CHAT, payload=settled(payload))] if payload else []


def _started(chunk: dict[str, Any]) -> Event:
    created = chunk.get("created")
    return events.Started(
        id=_string(chunk.get("id")),
        model=_string(chunk.get("model")),
        created=int(created) if isinstance(created, int | float) and 0 <= created < 1 << 40 else 0,
    )


def delta_of(choice: dict[str, Any]) -> dict[str, Any]:
    """What a choice says: the delta of a chunk, the message of a completion."""
    delta = choice.get("delta") or choice.get("message")
    return delta if isinstance(delta, dict) else {}


def _other_fields(choice: dict[str, Any]) -> dict[str, Any]:
    """What of a choice has no event, without what is empty."""
    other = {name: value for name, value in choice.items() if name not in _CHOICE_FIELDS and value}
    delta = {name: value for name, value in delta_of(choice).items() if name not in _DELTA_FIELDS and value}
    return {**other, "delta": delta} if delta else other


def index_of(choice: dict[str, Any]) -> int:
    """Which choice it is; 0 where it does not say."""
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _string(value: object) -> str:
    return healed(value) if isinstance(value, str) else ""
