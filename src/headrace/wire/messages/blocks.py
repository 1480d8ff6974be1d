"""Parts of a prompt as the blocks of a Messages request."""

import re
from collections.abc import Iterable
from typing import Any

from headrace.model.dialect import MESSAGES
from headrace.model.prompt import AnyPart, Declined, Media, Thought, ToolResult, ToolUse, Words
from headrace.wire.carried import refusal
from headrace.wire.files import text_in
from headrace.wire.json_object import lenient, settled
from headrace.wire.seal import Seal

Block = dict[str, Any]

_IMAGES = {"image/jpg": "image/jpeg"} | {f"image/{kind}": f"image/{kind}" for kind in ("jpeg", "png", "gif", "webp")}
_PDF = "application/pdf"
_NOT_OF_IDS = re.compile(r"[^a-zA-Z0-9_-]")


def blocks_of(parts: Iterable[AnyPart]) -> list[Block]:
    """The blocks of a turn; texts of blanks alone, which Anthropic refuses, are left out. Raises RequestError."""
    return [block for part in parts if (block := _block(part))]


def _block(part: AnyPart) -> Block | None:
    match part:
        case Words() | Declined():
            return {"type": "text", "text": part.text} if part.text.strip() else None
        case Media():
            return _media(part)
        case Thought():
            return _thought(part)
        case ToolUse():
            return {"type": "tool_use", "id": _id(part.id), "name": part.name, "input": _input(part)}
        case ToolResult():
            return _result(part)


def _id(id: str) -> str:
    """The id of a call in the letters that Anthropic takes; a call and its result change alike."""
    return _NOT_OF_IDS.sub("_", id)


def _input(part: ToolUse) -> dict[str, Any]:
    value = lenient(part.arguments.encode())
    if not isinstance(value, dict):
        raise refusal(part.at, "the arguments of a call must be a JSON object")
    made: dict[str, Any] = settled(value)
    return made


def _result(part: ToolResult) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": _id(part.id)}
    if content := blocks_of(part.content):
        block["content"] = content
    if part.failed:
        block["is_error"] = True
    return block


def _thought(part: Thought) -> Block | None:
    """What Anthropic's own models thought goes back as it came. It takes nothing from others."""
    seal = Seal.parse(part.seal, MESSAGES)
    if seal.issuer != MESSAGES or not seal.payload:
        return None
    if seal.hidden:
        return {"type": "redacted_thinking", "data": seal.payload}
    return {"type": "thinking", "thinking": part.text, "signature": seal.payload}


def _media(media: Media) -> Block:
    if media.kind == "audio":
        raise refusal(media.at, "it does not listen to sound")
    if media.kind == "image":
        return {"type": "image", "source": _elsewhere(media) or _image(media)}
    title = {"title": media.name} if media.name else {}
    return {"type": "document", "source": _elsewhere(media) or _document(media), **title}


def _elsewhere(media: Media) -> Block | None:
    if media.file_id:
        return {"type": "file", "file_id": media.file_id}
    return {"type": "url", "url": media.url} if media.url else None


def _image(media: Media) -> Block:
    media_type = _IMAGES.get(media.media_type)
    if media_type is None:
        raise refusal(media.at, "it takes images of the types jpeg, png, gif and webp only")
    return {"type": "base64", "media_type": media_type, "data": media.data}


def _document(media: Media) -> Block:
    if media.media_type == _PDF:
        return {"type": "base64", "media_type": _PDF, "data": media.data}
    if not media.media_type.startswith("text/"):
        raise refusal(media.at, "it takes files of the type PDF and files of text only")
    return {"type": "text", "media_type": "text/plain", "data": text_in(media)}
