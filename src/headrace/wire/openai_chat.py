"""The OpenAI chat dialect: records to canonical events, and events to chunks.

On the way in, see :mod:`headrace.wire.openai_chat_intake`; a whole completion made of chunks is
:mod:`headrace.wire.openai_chat_whole`.
"""

from typing import Any

from headrace.model import events
from headrace.model.events import Event
from headrace.model.outcome import Outcome, State, Usage
from headrace.model.record import Record
from headrace.wire.json_object import encode, healed, lenient, settled
from headrace.wire.openai_calls import CallNumbers, function_of, objects
from headrace.wire.openai_errors import body_of_outcome, scrub_value
from headrace.wire.openai_usage import usage_object, usage_of

#: The format of a stream of chunks, and of a whole completion in one record.
FORMAT = "openai.chat"
WHOLE_FORMAT = "openai.chat.object"
#: The data of the last frame of a completed answer. It is never a record.
DONE = b"[DONE]"

_CHUNK_FIELDS = frozenset({"id", "object", "created", "model", "choices", "usage", "error", "obfuscation"})
_CHOICE_FIELDS = frozenset({"index", "delta", "message", "finish_reason"})
_DELTA_FIELDS = frozenset({"role", "content", "refusal", "reasoning_content", "reasoning", "tool_calls"})


class Decoder:
    """Records of a stream, or the one record of a whole completion, to canonical events. Never raises.

    What has no event (log probabilities, audio, filter results, fields nobody knows) comes as ``Extra``: a chunk with
    just these fields.
    """

    def __init__(self, format: str = FORMAT) -> None:
        if format not in {FORMAT, WHOLE_FORMAT}:
            raise ValueError(f"not a format of this dialect: {format}")
        self._started = False
        self._calls: dict[int, CallNumbers] = {}
        self._halves: dict[tuple[int, str], str] = {}
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
            found += self._pieces(_index(choice), _delta(choice))
        found += self._extra(chunk, choices)
        for choice in choices:
            reason = choice.get("finish_reason")
            if isinstance(reason, str) and reason:
                found.append(events.Finished(reason=healed(reason), choice=_index(choice)))
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
        return events.ToolCall(
            call=number,
            id=_string(piece.get("id")) if first else "",
            name=_string(function.get("name")) if first else "",
            arguments=self._text(choice, f"call {number}", function.get("arguments")),
            choice=choice,
        )

    def _text(self, choice: int, kind: str, value: object) -> str:
        """A piece of text. Half a surrogate pair at its end waits for the other half in the next piece."""
        if isinstance(value, list):
            value = "".join(_string(part.get("text")) for part in objects(value))
        if not isinstance(value, str) or not value:
            return ""
        key = (choice, kind)
        if value.isascii() and key not in self._halves:
            return value
        value = self._halves.pop(key, "") + value
        if "\ud800" <= value[-1] <= "\udbff":
            self._halves[key] = value[-1]
            value = value[:-1]
        return healed(value)

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
            payload["choices"] = [{"index": _index(c), **o} for c, o in zip(choices, others, strict=True) if o]
        return [events.Extra(dialect=FORMAT, payload=settled(payload))] if payload else []


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
        self._usage: Usage | None = None

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
                return [self._delta(event.choice, {}, finish_reason=_reason(event.reason))]
            case events.Extra(dialect=dialect, payload=dict(payload)) if dialect == FORMAT:
                return [self._extra(payload)]
        return []

    def end(self, outcome: Outcome) -> list[Record]:
        """The last frames: usage where it is wanted and known, and what :func:`ending` says."""
        usage = outcome.usage or self._usage
        if outcome.state is not State.COMPLETED or not self._include_usage or usage is None:
            return ending(outcome)
        chunk = {**self._base, "choices": [], "usage": usage_object(usage)}
        return [Record("", encode(chunk)), *ending(outcome)]

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
                "delta": self._opening(_index(choice)) | _delta(choice),
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


def _started(chunk: dict[str, Any]) -> Event:
    created = chunk.get("created")
    return events.Started(
        id=_string(chunk.get("id")),
        model=_string(chunk.get("model")),
        created=int(created) if isinstance(created, int | float) and 0 <= created < 1 << 40 else 0,
    )


def _tool_call(event: events.ToolCall) -> dict[str, Any]:
    if not event.id and not event.name:
        return {"index": event.call, "function": {"arguments": event.arguments}}
    function = {"name": event.name, "arguments": event.arguments}
    return {"index": event.call, "id": event.id, "type": "function", "function": function}


def _reason(reason: str) -> str:
    """The dialect has no word of its own for a refusal."""
    return "content_filter" if reason == "refusal" else reason


def _delta(choice: dict[str, Any]) -> dict[str, Any]:
    """What a choice says: the delta of a chunk, the message of a completion."""
    delta = choice.get("delta") or choice.get("message")
    return delta if isinstance(delta, dict) else {}


def _other_fields(choice: dict[str, Any]) -> dict[str, Any]:
    """What of a choice has no event, without what is empty."""
    other = {name: value for name, value in choice.items() if name not in _CHOICE_FIELDS and value}
    delta = {name: value for name, value in _delta(choice).items() if name not in _DELTA_FIELDS and value}
    return {**other, "delta": delta} if delta else other


def _index(choice: dict[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _string(value: object) -> str:
    return healed(value) if isinstance(value, str) else ""
