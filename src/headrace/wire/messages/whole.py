"""A whole message, made of the records of a stream.

Text, thinking and the input of tools are put together verbatim. Fields that nobody here knows survive: texts of a delta
are joined, lists are chained, and of anything else the last one counts.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic_core import from_json

from headrace.model import dialect
from headrace.model.outcome import Outcome, Usage
from headrace.model.record import Record
from headrace.wire.formats import decoder
from headrace.wire.json_object import Pieces, encode, healed, lenient, settled
from headrace.wire.messages.encoder import Encoder, message_object
from headrace.wire.messages.usage import Counts, usage_object

# Texts that come whole, if more than once.
_ATOMIC = frozenset({"signature"})
_INPUT = "partial_json"


def message(
    records: Iterable[Record], format: str, outcome: Outcome, *, id: str, model: str, input_tokens: int = 0
) -> bytes:
    """One ``message`` object; ``id``, ``model`` and ``input_tokens`` are what to say where the records do not.

    A stream of ``anthropic.messages.object`` is that object already. Raises ValueError where it has no record, and for
    a format that is none of ours.
    """
    if format == dialect.whole(dialect.MESSAGES):
        for record in records:
            return record.data
        raise ValueError("a whole message has one record")
    if format != dialect.MESSAGES:
        records = _converted(records, format, outcome, Encoder(id, model, input_tokens=input_tokens))
    collector = Collector()
    for record in records:
        collector.add(record)
    return collector.message(id, model, outcome.usage or Usage(input=input_tokens, output=0))


class Collector:
    """Events to a message, one record at a time."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._ends: dict[str, Any] = {}
        self._counts = Counts()

    def add(self, record: Record) -> None:
        """Take one event; what adds nothing to a message is left out."""
        value = lenient(record.data)
        if not isinstance(value, dict):
            return
        match value:
            case {"type": "message_start", "message": dict(head)}:
                self._head = self._head or head
                self._counts.add(head.get("usage"), final=False)
            case {"type": "content_block_start", "index": int(index), "content_block": dict(block)}:
                self._blocks[index] = {n: list(v) if isinstance(v, list) else v for n, v in block.items()}
            case {"type": "content_block_delta", "index": int(index), "delta": dict(delta)}:
                if index in self._blocks:
                    _merge(self._blocks[index], delta)
            case {"type": "message_delta"}:
                self._end(value)

    def message(self, id: str, model: str, usage: Usage) -> bytes:
        """What there is so far, as a ``message`` object."""
        told = {name: value for name, value in self._head.items() if value is not None}
        value = {
            **message_object(id, model, {}),
            **told,
            **self._ends,
            "content": [_block(block) for _, block in sorted(self._blocks.items())],
            "usage": {**usage_object(usage), **self._counts.told},
        }
        return encode(settled(value))

    def _end(self, event: dict[str, Any]) -> None:
        delta = event.get("delta")
        if isinstance(delta, dict):
            self._ends.update((name, value) for name, value in delta.items() if value is not None)
        self._counts.add(event.get("usage"), final=True)


def _converted(records: Iterable[Record], format: str, outcome: Outcome, encoder: Encoder) -> Iterator[Record]:
    """The records of another dialect as events of this one."""
    decode = decoder(format).decode
    for record in records:
        for event in decode(record):
            yield from encoder.encode(event)
    yield from encoder.end(outcome)


def _merge(block: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a piece to a block."""
    for name, value in delta.items():
        there = block.get(name)
        if name == "type" or value is None:
            continue
        if name == "citation":
            _merge(block, {"citations": [value]})
        elif isinstance(value, str) and name not in _ATOMIC:
            if not isinstance(there, Pieces):
                block[name] = there = Pieces([there] if isinstance(there, str) else [])
            there.append(value)
        elif isinstance(value, list) and isinstance(there, list) and not isinstance(there, Pieces):
            there.extend(value)
        else:
            block[name] = value


def _block(block: dict[str, Any]) -> dict[str, Any]:
    """A block with its input as JSON. What follows the start of a block counts, if anything does."""
    pieces = block.get(_INPUT)
    if not isinstance(pieces, Pieces):
        return block
    rest = {name: value for name, value in block.items() if name != _INPUT}
    text = "".join(pieces)
    return {**rest, "input": _input(text)} if text else rest


def _input(text: str) -> dict[str, Any]:
    """The input of a tool. Where it was cut, what there is of it: so the SDKs read a stream."""
    data = healed(text).encode()
    value = lenient(data)
    if value is None:
        try:
            value = from_json(data, allow_partial=True)
        except ValueError:
            value = None
    return value if isinstance(value, dict) else {}
