"""A whole chat completion, made of the chunks of a stream.

Text, refusal, reasoning and the arguments of tool calls are put together verbatim. Fields that nobody here knows
survive: texts of a delta are joined, lists are chained, objects merged, and of anything else the last one counts.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from headrace.model.dialect import CHAT, whole
from headrace.model.outcome import Usage
from headrace.model.record import Record
from headrace.wire.chat.calls import CallNumbers
from headrace.wire.chat.decoder import delta_of
from headrace.wire.chat.encoder import Encoder
from headrace.wire.chat.usage import usage_object
from headrace.wire.formats import decoder
from headrace.wire.json_object import Pieces, encode, lenient, objects, settled

# Texts that come whole, if more than once.
_ATOMIC = frozenset({"role", "id", "type", "name", "format"})
# Some servers tell with each delta the whole message so far.
_CHOICE_FIELDS = frozenset({"index", "delta", "message", "finish_reason"})
_CHUNK_FIELDS = frozenset({"id", "object", "created", "model", "choices", "usage", "error", "obfuscation"})


def completion(
    records: Iterable[Record], format: str = CHAT, *, usage: Usage | None = None, id: str = "", created: int = 0
) -> bytes:
    """One ``chat.completion`` object. ``usage`` is what to say where the records do not.

    A stream of ``openai.chat.object`` is that object already. ``id`` and ``created`` (Unix seconds) are for records of
    another dialect. Raises ValueError where there is none.
    """
    if format == whole(CHAT):
        for record in records:
            return record.data
        raise ValueError("a whole completion has one record")
    collector = Collector()
    for record in records if format == CHAT else _chunks(records, format, Encoder(id, created=created)):
        collector.add(record)
    return collector.completion(usage)


def _chunks(records: Iterable[Record], format: str, encoder: Encoder) -> Iterator[Record]:
    """Records of another dialect as chunks."""
    decode = decoder(format).decode
    for record in records:
        for event in decode(record):
            yield from encoder.encode(event)
    yield from encoder.finish()


class Collector:
    """Chunks to a completion, one record at a time."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {"id": "", "created": 0, "model": ""}
        self._fields: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._calls: dict[int, CallNumbers] = {}
        self._usage: dict[str, Any] | None = None

    def add(self, record: Record) -> None:
        """Take one chunk; what is not one adds nothing."""
        chunk = lenient(record.data)
        if not isinstance(chunk, dict) or chunk.get("error"):
            return
        for name in self._head:
            self._head[name] = self._head[name] or chunk.get(name) or self._head[name]
        _merge(self._fields, {n: v for n, v in chunk.items() if n not in _CHUNK_FIELDS}, joined=False)
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        for choice in objects(chunk.get("choices")):
            self._add_choice(choice)

    def completion(self, usage: Usage | None = None) -> bytes:
        """What there is so far, as a ``chat.completion`` object."""
        told = self._usage or (usage_object(usage) if usage else None)
        value = {
            "id": self._head["id"],
            "object": "chat.completion",
            "created": self._head["created"],
            "model": self._head["model"],
            "choices": [_settled_choice(index, choice) for index, choice in sorted(self._choices.items())],
            **({"usage": told} if told else {}),
            **self._fields,
        }
        return encode(settled(value))

    def _add_choice(self, piece: dict[str, Any]) -> None:
        index = piece.get("index")
        index = index if isinstance(index, int) else 0
        choice = self._choices.setdefault(index, {"message": {}, "finish_reason": None})
        choice["finish_reason"] = choice["finish_reason"] or piece.get("finish_reason")
        others = {n: v for n, v in piece.items() if n not in _CHOICE_FIELDS}
        _merge(choice, others, joined=False)
        delta = delta_of(piece)
        _merge(choice["message"], {n: v for n, v in delta.items() if n != "tool_calls"}, joined=True)
        calls = choice["message"].setdefault("tool_calls", []) if delta.get("tool_calls") else []
        for call in objects(delta.get("tool_calls")):
            number, first = self._calls.setdefault(index, CallNumbers()).number(call)
            if first:
                calls.append({"id": "", "type": "function", "function": {}})
            _merge(calls[number], {n: v for n, v in call.items() if n != "index"}, joined=True)


def _merge(into: dict[str, Any], piece: dict[str, Any], *, joined: bool) -> None:
    """Add a piece to what is there; ``joined`` says whether texts are pieces of a text."""
    for name, value in piece.items():
        there = into.get(name)
        if value is None:
            into.setdefault(name, None)
        elif joined and name == "content" and isinstance(value, str | list):
            into[name] = _content(there, value)
        elif isinstance(value, str) and joined and name not in _ATOMIC:
            if not isinstance(there, Pieces):
                into[name] = there = Pieces()
            there.append(value)
        elif isinstance(value, str) and name in _ATOMIC:
            into[name] = there or value
        elif isinstance(value, list) and isinstance(there, list) and not isinstance(there, Pieces):
            there.extend(value)
        elif isinstance(value, dict):
            if not isinstance(there, dict):
                into[name] = there = {}
            _merge(there, value, joined=joined)
        else:
            into[name] = value


def _content(there: object, piece: str | list[Any]) -> list[Any]:
    """A message's content with one more piece: a text, or parts where some have come (a thought before the answer)."""
    is_text = isinstance(there, Pieces) or not isinstance(there, list)
    if is_text and isinstance(piece, str):
        text = there if isinstance(there, Pieces) else Pieces()
        text.append(piece)
        return text
    parts: list[Any] = there if isinstance(there, list) and not is_text else []
    if isinstance(there, Pieces) and any(there):
        parts.append({"type": "text", "text": there})
    if isinstance(piece, list):
        parts.extend(piece)
    elif parts and isinstance(parts[-1], dict) and isinstance(parts[-1].get("text"), Pieces):
        parts[-1]["text"].append(piece)
    elif piece:
        parts.append({"type": "text", "text": Pieces([piece])})
    return parts


def _settled_choice(index: int, choice: dict[str, Any]) -> dict[str, Any]:
    message = choice["message"]
    content = message.get("content")
    if isinstance(content, Pieces) and message.get("tool_calls") and not any(content):
        content = None
    return {
        "index": index,
        **choice,
        "message": {
            "refusal": None,
            **message,
            "role": message.get("role") or "assistant",
            "content": content,
        },
        "logprobs": choice.get("logprobs"),
    }
