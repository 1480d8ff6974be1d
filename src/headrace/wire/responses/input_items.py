"""Turns of a prompt as the items of a request's input."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from headrace.model.dialect import RESPONSES
from headrace.model.prompt import AnyPart, Declined, Media, Thought, ToolResult, ToolUse, Turn, Words
from headrace.wire.carried import refusal, said
from headrace.wire.data_url import DataUrl
from headrace.wire.seal import Seal

Item = dict[str, Any]

_PDF = "application/pdf"


def items_of(turns: Sequence[Turn]) -> list[Item]:
    """The items. Raises RequestError for what has no place in them."""
    return closed(item for turn in turns for item in _items(turn))


def closed(items: Iterable[Item]) -> list[Item]:
    """The items without reasoning that nothing comes of: OpenAI wants each with the text or the call that it led to."""
    kept: list[Item] = []
    for item in reversed(list(items)):
        follower = kept[-1] if kept else {}
        if item.get("type") != "reasoning" or _is_answered(follower):
            kept.append(item)
    return kept[::-1]


def _is_answered(item: Item) -> bool:
    """Whether an item is the model's own."""
    kind = item.get("type", "message")
    if kind == "message":
        return item.get("role") == "assistant"
    return isinstance(kind, str) and not kind.endswith("_output")


def _items(turn: Turn) -> Iterator[Item]:
    """The items of a turn, in its order; what stands together in it and is no item of its own makes a message."""
    for is_item, parts in groupby(turn.parts, lambda part: isinstance(part, ToolUse | ToolResult | Thought)):
        if is_item:
            yield from filter(None, map(_item, parts))
        else:
            yield from _message(turn, list(parts))


def _message(turn: Turn, parts: list[AnyPart]) -> Iterator[Item]:
    content = _own_text(parts) if turn.role == "assistant" else [content_of(part) for part in parts]
    if content:
        yield {"type": "message", "role": turn.role, "content": content}


def _own_text(parts: list[AnyPart]) -> str:
    """What the model said, as one text: the other form needs an id of an item, and many servers know this one only."""
    for part in parts:
        if isinstance(part, Media):
            raise refusal(part.at, "what a model says is text and tool calls only")
    return "".join(part.text for part in parts if isinstance(part, Words | Declined))


def _item(part: AnyPart) -> Item | None:
    if isinstance(part, ToolUse):
        return {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": part.arguments}
    if isinstance(part, ToolResult):
        return {"type": "function_call_output", "call_id": part.id, "output": _output(part)}
    return _reasoning(part) if isinstance(part, Thought) else None


def _reasoning(part: Thought) -> Item | None:
    """A thought that a Responses server sealed; it can make nothing of another's."""
    seal = own_seal(part)
    if seal is None:
        return None
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    return {"type": "reasoning", **said({"id": seal.id}), "summary": summary, "encrypted_content": seal.payload}


def own_seal(part: AnyPart) -> Seal | None:
    """The seal of a thought, where a Responses server made it."""
    if not isinstance(part, Thought) or not part.seal:
        return None
    seal = Seal.parse(part.seal, RESPONSES)
    return seal if seal.payload and seal.issuer == RESPONSES else None


def _output(part: ToolResult) -> str | list[dict[str, Any]]:
    """What a call came to. That it failed has no field, so it is said."""
    texts = [each.text for each in part.content if isinstance(each, Words)]
    if len(texts) == len(part.content):
        text = "\n".join(texts)
        return f"Error: {text}" if part.failed else text
    prefix = [{"type": "input_text", "text": "Error:"}] if part.failed else []
    return prefix + [content_of(each) for each in part.content]


def content_of(part: AnyPart) -> dict[str, Any]:
    """A piece of what is said to the model. Raises RequestError."""
    if isinstance(part, Words | Declined):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, Media) and part.kind == "image":
        return {"type": "input_image", "detail": part.detail or "auto", **_image(part)}
    if isinstance(part, Media) and part.kind == "file":
        return {"type": "input_file", **_file(part)}
    raise refusal(part.at, "it takes text, images and files, and no sound")


def _image(part: Media) -> dict[str, str]:
    if part.file_id:
        return {"file_id": part.file_id}
    return {"image_url": part.url or str(DataUrl(part.media_type, part.data))}


def _file(part: Media) -> dict[str, str]:
    if part.file_id:
        return {"file_id": part.file_id}
    if part.url:
        return {"file_url": part.url}
    name = "file.pdf" if part.media_type == _PDF else "file.txt" if part.media_type.startswith("text/") else "file"
    data = str(DataUrl(part.media_type or "application/octet-stream", part.data))
    return {"filename": part.name or name, "file_data": data}
