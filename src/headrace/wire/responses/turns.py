"""The items of a request's input as turns of a prompt, each item a turn of its own."""

from collections.abc import Callable, Iterator, Mapping

from headrace.model.dialect import RESPONSES
from headrace.model.prompt import AnyPart, Declined, Media, Role, Thought, ToolResult, ToolUse, Turn, Words
from headrace.wire import data_url
from headrace.wire.carried import refusal
from headrace.wire.data_url import DataUrl
from headrace.wire.json_object import encode, settled
from headrace.wire.place import Place
from headrace.wire.responses.carried import ITEMS
from headrace.wire.seal import Seal

_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
#: Calls that the client runs and that have no arguments: the tool's name, and the field that says what to do.
_CALLS = {
    "local_shell_call": ("local_shell", "action"),
    "shell_call": ("shell", "action"),
    "apply_patch_call": ("apply_patch", "operation"),
}
_DETAILS = {"low": "low", "high": "high", "auto": "auto", "original": "high"}
#: How "%PDF" begins in base64: a file may come without its media type.
_PDF = "JVBER"
_REASONING_ID = "rs_"


def turns_in(request: Place) -> tuple[Turn, ...]:
    """The turns of ``input``. Raises RequestError."""
    if isinstance(request.value.get("input"), str):
        return (Turn(role="user", parts=(Words(text=request.text("input"), at="input"),), at="input"),)
    return tuple(filter(None, map(_turn, request.each("input"))))


def kind_of(item: Place) -> str:
    """An item's type, which messages and references may leave out."""
    return item.text("type") or ("message" if "role" in item.value else "item_reference")


def _turn(item: Place) -> Turn | None:
    """The turn of one item; None for an item that is left out."""
    kind = kind_of(item)
    if kind == "item_reference" and item.text("id").startswith(_REASONING_ID):
        return None
    if kind in ITEMS.refused:
        raise refusal(item.at, ITEMS.refused[kind].why)
    read = _READ.get(kind)
    turn = read(item) if read else None
    return turn if turn and turn.parts else None


def _message(item: Place) -> Turn:
    item.needed("role")
    role = _ROLES[item.word("role", _ROLES)]
    return Turn(role=role, parts=tuple(_content(item, "content")), at=item.at)


def _reasoning(item: Place) -> Turn:
    texts = item.each("content") or item.each("summary")
    text = "\n\n".join(each.text("text") for each in texts)
    return _answered(item, Thought(text=text, seal=_seal(item), at=item.at))


def _seal(item: Place) -> str:
    """What is encrypted of a reasoning; a provider's own has the id of the item."""
    payload = item.text("encrypted_content")
    if not payload:
        return ""
    seal = Seal.parse(payload, RESPONSES)
    is_own = seal.issuer == RESPONSES and not seal.id
    return str(seal._replace(id=item.text("id")) if is_own else seal)


def _function_call(item: Place) -> Turn:
    return _call(item, item.needed("name"), item.text("arguments") or "{}")


def _custom_call(item: Place) -> Turn:
    return _call(item, item.needed("name"), encode({"input": item.text("input")}).decode())


def _client_call(item: Place) -> Turn:
    name, field = _CALLS[kind_of(item)]
    return _call(item, name, encode(item.json(field) or {}).decode())


def _call(item: Place, name: str, arguments: str) -> Turn:
    return _answered(item, ToolUse(id=item.needed("call_id"), name=name, arguments=arguments, at=item.at))


def _answered(item: Place, part: AnyPart) -> Turn:
    return Turn(role="assistant", parts=(part,), at=item.at)


def _result(item: Place) -> Turn:
    return _returned(item, *_content(item, "output"))


def _shell_result(item: Place) -> Turn:
    output = [each.value for each in item.each("output")]
    return _returned(item, Words(text=encode(settled(output)).decode(), at=item.path("output")))


def _log(item: Place) -> Turn:
    """A result whose text may be missing: then the status is all there is."""
    return _returned(item, Words(text=item.text("output") or item.text("status"), at=item.path("output")))


def _returned(item: Place, *parts: AnyPart) -> Turn:
    # The output of a local shell may name its call by ``id`` alone.
    id = item.text("call_id") or (item.text("id") if kind_of(item) == "local_shell_call_output" else "")
    content = tuple(part for part in parts if isinstance(part, Words | Media))
    failed = item.text("status") == "failed"
    part = ToolResult(id=id or item.needed("call_id"), content=content, failed=failed, at=item.at)
    return Turn(role="user", parts=(part,), at=item.at)


def _content(item: Place, field: str) -> Iterator[AnyPart]:
    """A text, or a list of parts."""
    given = item.value.get(field)
    if isinstance(given, str):
        yield Words(text=given, at=item.path(field))
        return
    if not isinstance(given, list):
        raise item.wrong(field, "must be a text or a list of parts")
    for part in item.each(field):
        read = _READ_PART.get(part.needed("type"))
        if read is None:
            raise refusal(part.path("type"), "here stands text, images and files only")
        yield read(part)


def _words(part: Place) -> Words:
    return Words(text=part.text("text"), at=part.at)


def _refusal(part: Place) -> Declined:
    return Declined(text=part.text("refusal"), at=part.at)


def _image(part: Place) -> Media:
    detail = _DETAILS.get(part.text("detail"), "")
    if id := part.text("file_id"):
        return Media(kind="image", file_id=id, detail=detail, at=part.at)
    url = part.needed("image_url")
    if file := data_url.parse(url):
        return Media(kind="image", media_type=file.media_type, data=file.data, detail=detail, at=part.at)
    return Media(kind="image", url=url, detail=detail, at=part.at)


def _file(part: Place) -> Media:
    name = part.text("filename")
    if id := part.text("file_id"):
        return Media(kind="file", file_id=id, name=name, at=part.at)
    if url := part.text("file_url"):
        return Media(kind="file", url=url, name=name, at=part.at)
    data = part.needed("file_data")
    file = data_url.parse(data) or DataUrl("application/pdf" if data.startswith(_PDF) else "", data)
    return Media(kind="file", media_type=file.media_type, data=file.data, name=name, at=part.at)


_READ_PART: Mapping[str, Callable[[Place], AnyPart]] = {
    "input_text": _words,
    "output_text": _words,
    "text": _words,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
}
_READ: Mapping[str, Callable[[Place], Turn]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "function_call_output": _result,
    "custom_tool_call": _custom_call,
    "custom_tool_call_output": _result,
    "local_shell_call": _client_call,
    "local_shell_call_output": _log,
    "shell_call": _client_call,
    "shell_call_output": _shell_result,
    "apply_patch_call": _client_call,
    "apply_patch_call_output": _log,
}
