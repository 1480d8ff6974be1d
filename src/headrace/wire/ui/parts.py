"""The parts of a UI message as parts of turns.

What a page shows and no model reads (sources, data, files that a model has reasoned with) is left out, as the AI SDK
itself does; and so are tool calls that have no result yet.
"""

from collections.abc import Callable
from typing import NamedTuple

from headrace.model.dialect import UI
from headrace.model.prompt import AnyPart, Media, MediaKind, Role, Thought, ToolResult, ToolUse, Turn, Words
from headrace.wire import data_url
from headrace.wire.json_object import encode, settled
from headrace.wire.place import Place
from headrace.wire.seal import Seal
from headrace.wire.ui.carried import FILE
from headrace.wire.ui.encoder import PROVIDER, SEAL

_DENIED = "The call was not allowed."


class Said(NamedTuple):
    """What a part says, and what came of it where it is a tool call."""

    part: AnyPart | None = None
    result: ToolResult | None = None


_NOTHING = Said()


def turns_of(role: Role, message: Place) -> list[Turn]:
    """The turns of a message: a model's calls are followed by their results, step by step. Raises RequestError."""
    turns: list[Turn] = []
    step: list[Said] = []
    for part in message.each("parts"):
        kind = part.needed("type")
        if kind not in ("step-start", "steering-message"):
            step.append(_said(kind, part))
            continue
        turns += _step(role, step, message.at)
        step = []
        if kind == "steering-message":  # the user's own, while the model was at work
            turns += turns_of("user", part)
    return [*turns, *_step(role, step, message.at)]


def _step(role: Role, step: list[Said], at: str) -> list[Turn]:
    parts = tuple(each.part for each in step if each.part is not None)
    results = tuple(each.result for each in step if each.result is not None)
    turns = [Turn(role=role, parts=parts, at=at)] if parts else []
    return [*turns, Turn(role="user", parts=results, at=at)] if results else turns


def _said(kind: str, part: Place) -> Said:
    if kind == "dynamic-tool":
        return _tool(part.needed("toolName"), part)
    if kind.startswith("tool-"):
        return _tool(kind.removeprefix("tool-"), part)
    read = _READERS.get(kind)
    return Said(read(part)) if read else _NOTHING


def _words(part: Place) -> AnyPart | None:
    text = part.text("text")
    return Words(text=text, at=part.at) if text else None


def _thought(part: Place) -> AnyPart | None:
    """Reasoning with the seal that was sent with it; seals of others say nothing to anybody here."""
    text = part.text("text")
    seal = part.inner("providerMetadata").inner(PROVIDER).text(SEAL)
    seal = str(Seal.parse(seal, UI)) if seal else ""
    return Thought(text=text, seal=seal, at=part.at) if text or seal else None


# --- Files


def _file(part: Place) -> AnyPart | None:
    FILE.check(part.value, part.at)
    url, media_type, name = part.needed("url"), _full(part.text("mediaType").lower()), part.text("filename")
    kind = _kind(part.text("mediaType").lower())
    if url[:6].lower().startswith(("https:", "http:")):
        return Media(kind=kind, media_type=media_type, url=url, name=name, at=part.at)
    file = data_url.parse(url)
    if file is None:
        raise part.wrong("url", "must be a URL that begins with https:, http: or data:")
    return Media(kind=kind, media_type=media_type or file.media_type, data=file.data, name=name, at=part.at)


def _full(media_type: str) -> str:
    """A media type that says all; the SDK allows ``image`` and ``image/*`` too."""
    _, slash, subtype = media_type.partition("/")
    return media_type if slash and subtype not in ("", "*") else ""


def _kind(media_type: str) -> MediaKind:
    match media_type.partition("/")[0]:
        case "image":
            return "image"
        case "audio":
            return "audio"
    return "file"


# --- Tools


def _tool(name: str, part: Place) -> Said:
    """A call together with what came of it; a model is not asked with calls of which nothing came yet."""
    id, failed = part.needed("toolCallId"), True
    approval = part.inner("approval")
    match part.text("state"):
        case "output-available":
            output, failed = part.value.get("output"), False
        case "output-error":
            output = part.text("errorText")
        case "output-denied":
            output = approval.text("reason") or _DENIED
        case "approval-responded" if approval.flag("approved") is False:
            output = approval.text("reason") or _DENIED
        case _:
            return _NOTHING
    result = ToolResult(id=id, content=_output(output), failed=failed, at=part.at)
    return Said(ToolUse(id=id, name=name, arguments=_arguments(part), at=part.at), result)


def _output(value: object) -> tuple[Words, ...]:
    """A tool's output as the model reads it: text as it is, everything else as JSON."""
    text = value if isinstance(value, str) else encode(settled(value)).decode()
    return (Words(text=text),) if text else ()


def _arguments(part: Place) -> str:
    """The arguments of a call. What a model wrote instead of an object is put into one: providers take no other."""
    given = part.value.get("input")
    given = part.value.get("rawInput") if given is None else given
    if given is None:
        return "{}"
    return encode(settled(given if isinstance(given, dict) else {"input": given})).decode()


_READERS: dict[str, Callable[[Place], AnyPart | None]] = {
    "text": _words,
    "reasoning": _thought,
    "file": _file,
}
