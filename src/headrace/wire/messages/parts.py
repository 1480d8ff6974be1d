"""The blocks that stand in a Messages request, as parts of a prompt."""

import base64
from collections.abc import Callable, Iterator, Mapping

from headrace.model.dialect import MESSAGES
from headrace.model.prompt import AnyPart, Media, Role, Thought, ToolResult, ToolUse, Words
from headrace.wire.carried import refusal
from headrace.wire.json_object import encode
from headrace.wire.messages.carried import DOCUMENT
from headrace.wire.place import Place
from headrace.wire.seal import Seal

ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
#: Which blocks may stand where.
_KINDS = {
    "system": ("text",),
    "user": ("text", "image", "document", "tool_result"),
    "assistant": ("text", "image", "document", "thinking", "redacted_thinking", "tool_use"),
    "tool_result": ("text", "image", "document"),
    "document": ("text", "image"),
}
_SOURCES = ("base64", "url", "file", "text", "content")


def content_in(place: Place, field: str, where: str) -> Iterator[AnyPart]:
    """The parts in a field that is a text or a list of blocks. Raises RequestError."""
    given = place.value.get(field)
    if isinstance(given, str):
        yield Words(text=given, at=place.path(field))
        return
    if not isinstance(given, list | None):
        raise place.wrong(field, "must be a text or a list of blocks")
    for block in place.each(field):
        kind = block.needed("type")
        if kind not in _KINDS[where]:
            raise refusal(block.path("type"), f"here stands {' or '.join(_KINDS[where])} only")
        yield from _READ[kind](block)


def _shown_in(place: Place, field: str, where: str) -> Iterator[Words | Media]:
    return (part for part in content_in(place, field, where) if isinstance(part, Words | Media))


def _text(block: Place) -> Iterator[AnyPart]:
    yield Words(text=block.text("text"), at=block.at)


def _image(block: Place) -> Iterator[AnyPart]:
    source = block.inner("source")
    if source.word("type", ("base64", "url", "file")) == "base64":
        yield _data(block, "image")
    else:
        yield Media(kind="image", at=block.at, **_elsewhere(source))


def _document(block: Place) -> Iterator[AnyPart]:
    """A document of blocks is its blocks. What the client tells of it comes first."""
    DOCUMENT.check(block.value, block.at)
    source = block.inner("source")
    if context := block.text("context"):
        yield Words(text=context, at=block.path("context"))
    kind = source.word("type", _SOURCES)
    if kind == "content":
        yield from _shown_in(source, "content", "document")
    elif kind == "text":
        data = base64.b64encode(source.text("data").encode()).decode()
        yield Media(kind="file", media_type="text/plain", data=data, name=block.text("title"), at=block.at)
    elif kind == "base64":
        yield _data(block, "file")
    else:
        yield Media(kind="file", name=block.text("title"), at=block.at, **_elsewhere(source))


def _data(block: Place, kind: str) -> Media:
    source = block.inner("source")
    said = {"media_type": source.needed("media_type"), "data": source.needed("data"), "at": block.at}
    return Media(kind="image", **said) if kind == "image" else Media(kind="file", name=block.text("title"), **said)


def _elsewhere(source: Place) -> dict[str, str]:
    if source.needed("type") == "url":
        return {"url": source.needed("url")}
    return {"file_id": source.needed("file_id")}


def _thinking(block: Place) -> Iterator[AnyPart]:
    signature = block.text("signature")
    seal = str(Seal.parse(signature, MESSAGES)) if signature else ""
    yield Thought(text=block.text("thinking"), seal=seal, at=block.at)


def _redacted(block: Place) -> Iterator[AnyPart]:
    seal = Seal.parse(block.needed("data"), MESSAGES)._replace(hidden=True)
    yield Thought(seal=str(seal), at=block.at)


def _use(block: Place) -> Iterator[AnyPart]:
    arguments = encode(block.json("input") or {}).decode()
    yield ToolUse(id=block.needed("id"), name=block.needed("name"), arguments=arguments, at=block.at)


def _result(block: Place) -> Iterator[AnyPart]:
    content = tuple(_shown_in(block, "content", "tool_result"))
    failed = bool(block.flag("is_error"))
    yield ToolResult(id=block.needed("tool_use_id"), content=content, failed=failed, at=block.at)


_READ: Mapping[str, Callable[[Place], Iterator[AnyPart]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _use,
    "tool_result": _result,
}
