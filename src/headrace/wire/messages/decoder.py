"""Records in the Anthropic Messages dialect to canonical events.

A whole message is read as the stream that it could have been: the start of each block holds all of it.
"""

from collections.abc import Iterator
from typing import Any

from headrace.model import dialect, events
from headrace.model.events import Event
from headrace.model.record import Record
from headrace.wire.halves import Halves
from headrace.wire.json_object import encode, healed, lenient, objects, settled
from headrace.wire.messages.reasons import canonical
from headrace.wire.messages.usage import Counts
from headrace.wire.openai_errors import scrub_value
from headrace.wire.seal import Seal

_SILENT = frozenset({"ping", "message_stop"})
_DELTA_FIELDS = frozenset({"stop_reason", "stop_sequence"})
# The blocks that pieces belong to; a server may begin one without saying so.
_KINDS = {"text_delta": "text", "thinking_delta": "thinking"}
# What canonical usage says again. Written to a cache or not, it is all input there.
_USAGE_FIELDS = frozenset({"input_tokens", "output_tokens", "cache_read_input_tokens", "output_tokens_details"})


class Decoder:
    """Records of a stream, or the one record of a whole message, to canonical events. Never raises.

    What has no event (the provider's own tools, citations, events nobody knows) comes as ``Extra``: an event of the
    dialect with just this. The end of a block that had some is told too.
    """

    def __init__(self) -> None:
        self._started = False
        self._finished = False
        self._calls = 0
        self._open: dict[int, _Block] = {}
        self._last = 0
        self._halves = Halves()
        self._counts = Counts()

    def decode(self, record: Record) -> list[Event]:
        """The events of one record, in the order in which a client reads them."""
        value = lenient(record.data)
        if not isinstance(value, dict):
            return []
        kind = value.get("type")
        if kind == "message":
            return [event for part in _parts(value) for event in self._events(part["type"], part)]
        return list(self._events(kind if isinstance(kind, str) else record.event, value))

    def _events(self, kind: str, value: dict[str, Any]) -> Iterator[Event]:
        if kind == "message_start":
            return self._start(_object(value.get("message")))
        if kind == "content_block_start":
            return self._open_block(self._index(value), _object(value.get("content_block")), value)
        if kind == "content_block_delta":
            return self._grow(self._index(value), _object(value.get("delta")), value)
        if kind == "content_block_stop":
            return self._close(self._index(value), value)
        if kind == "message_delta":
            return self._finish(_object(value.get("delta")), value)
        if kind == "error" or value.get("error"):
            return iter([events.Failed(detail=scrub_value(value))])
        return iter([] if kind in _SILENT or not kind else [_extra(value)])

    def _start(self, message: dict[str, Any]) -> Iterator[Event]:
        self._counts.add(message.get("usage"), final=False)
        if not self._started:
            self._started = True
            yield events.Started(id=_string(message.get("id")), model=_string(message.get("model")))

    def _open_block(self, index: int, content: dict[str, Any], value: dict[str, Any]) -> Iterator[Event]:
        yield from self._close(index, {"type": "content_block_stop", "index": index})
        block = self._open[index] = _Block(_string(content.get("type")))
        match block.kind:
            case "text":
                yield from self._text(index, content.get("text"))
                for citation in objects(content.get("citations")):
                    yield block.other(_delta(index, {"type": "citations_delta", "citation": citation}))
            case "thinking":
                block.signature = _string(content.get("signature"))
                yield from self._reasoning(index, content.get("thinking"))
            case "redacted_thinking":
                seal = Seal(dialect.MESSAGES, _string(content.get("data")), hidden=True)
                yield events.Reasoning(signature=str(seal))
            case "tool_use":
                block.call = self._calls
                self._calls += 1
                block.input = content.get("input")
                id, name = _string(content.get("id")), _string(content.get("name"))
                yield events.ToolCall(call=block.call, id=id, name=name)
            case _:
                yield block.other(value)

    def _grow(self, index: int, delta: dict[str, Any], value: dict[str, Any]) -> Iterator[Event]:
        block = self._open.get(index)
        kind = delta.get("type")
        if block is None:
            block = self._open[index] = _Block(_KINDS.get(_string(kind), ""))
        match block.kind, kind:
            case "text", "text_delta":
                yield from self._text(index, delta.get("text"))
            case "thinking", "thinking_delta":
                yield from self._reasoning(index, delta.get("thinking"))
            case "thinking", "signature_delta":
                block.signature = _string(delta.get("signature")) or block.signature
            case "tool_use", "input_json_delta":
                piece = self._halves.join((index, "input"), delta.get("partial_json"))
                if piece:
                    block.has_arguments = True
                    yield events.ToolCall(call=block.call, arguments=piece)
            case _:
                yield block.other(value)

    def _close(self, index: int, value: dict[str, Any]) -> Iterator[Event]:
        """The end of a block: what was kept back in case that more would come."""
        block = self._open.pop(index, None)
        if block is None:
            return
        if block.kind == "thinking" and block.signature:
            yield events.Reasoning(signature=str(Seal(dialect.MESSAGES, block.signature)))
        if block.kind == "tool_use" and not block.has_arguments:
            yield events.ToolCall(call=block.call, arguments=_json(block.input))
        if block.has_others:
            yield _extra(value)

    def _finish(self, delta: dict[str, Any], value: dict[str, Any]) -> Iterator[Event]:
        self._counts.add(value.get("usage"), final=True)
        yield from self._others(delta, _object(value.get("usage")))
        reason = delta.get("stop_reason")
        if isinstance(reason, str) and reason and not self._finished:
            self._finished = True
            for index in list(self._open):
                yield from self._close(index, {"type": "content_block_stop", "index": index})
            sequence = _string(delta.get("stop_sequence"))
            yield events.Finished(reason=canonical(healed(reason)), stop_sequence=sequence)
        usage = self._counts.usage
        if usage is not None:
            yield events.Used(usage=usage)

    def _others(self, delta: dict[str, Any], usage: dict[str, Any]) -> Iterator[Event]:
        """What the end of the message says beside the reason and the counts that everybody has."""
        other = {name: value for name, value in delta.items() if name not in _DELTA_FIELDS and value is not None}
        payload: dict[str, Any] = {"type": "message_delta", "delta": other} if other else {}
        if any(value for name, value in usage.items() if name not in _USAGE_FIELDS):
            payload = {"type": "message_delta", "delta": other, "usage": self._counts.told}
        if payload:
            yield _extra(payload)

    def _text(self, index: int, value: object) -> Iterator[Event]:
        text = self._halves.join((index, "text"), value)
        if text:
            yield events.Text(text=text)

    def _reasoning(self, index: int, value: object) -> Iterator[Event]:
        text = self._halves.join((index, "thinking"), value)
        if text:
            yield events.Reasoning(text=text)

    def _index(self, value: dict[str, Any]) -> int:
        """Which block it is; the last one where it does not say."""
        index = value.get("index")
        if isinstance(index, int):
            self._last = index
        return self._last


class _Block:
    """An open block of the upstream's. What a tool call was given at its start counts if nothing follows."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.signature = ""
        self.call = 0
        self.input: object = None
        self.has_arguments = False
        self.has_others = False

    def other(self, payload: dict[str, Any]) -> Event:
        self.has_others = True
        return _extra(payload)


def _parts(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of the stream that a whole message could have been."""
    yield {"type": "message_start", "message": message}
    for index, block in enumerate(objects(message.get("content"))):
        input = block.get("input")
        empty = {**block, "input": {}} if isinstance(input, dict) else block
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        if isinstance(input, dict) and input:  # some clients read it from pieces only
            yield _delta(index, {"type": "input_json_delta", "partial_json": _json(input)})
        yield {"type": "content_block_stop", "index": index}
    ends = {name: message.get(name) for name in ("stop_reason", "stop_sequence", "stop_details", "container")}
    yield {"type": "message_delta", "delta": ends, "usage": message.get("usage")}


def _delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _extra(payload: dict[str, Any]) -> Event:
    return events.Extra(dialect=dialect.MESSAGES, payload=settled(payload))


def _json(input: object) -> str:
    """The arguments of a call as JSON; none are an empty object."""
    return encode(settled(input)).decode() if isinstance(input, dict) else "{}"


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: object) -> str:
    return healed(value) if isinstance(value, str) else ""
