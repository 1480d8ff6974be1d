"""What a response goes on from: the items of earlier ones, sent again.

``previous_response_id`` is resolved here, so that it works over any upstream. No upstream has the items under their
ids, so they go without, where their types allow it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from headrace.model.dialect import RESPONSES
from headrace.wire.json_object import encode, objects, settled
from headrace.wire.responses.input_items import closed
from headrace.wire.seal import Seal

Body = dict[str, Any]
Item = dict[str, Any]

_REFERENCE = "item_reference"
#: What OpenAI's own tools did, with none of their results that another request could use.
_HOSTED = frozenset(
    {
        "file_search_call",
        "web_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "mcp_list_tools",
        "mcp_call",
        "program",
        "program_output",
    }
)
#: Items that are not of their type without an id.
_KEEP_ID = frozenset(
    {
        "reasoning",
        "computer_call",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        _REFERENCE,
    }
)
_TEXTS = {"output_text": "text", "refusal": "refusal"}
_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc", "function_call_output": "fco"}


def expanded(body: Body, previous_items: Iterable[Item], previous_output: Iterable[Item]) -> Body:
    """The body with the earlier input and output in front of its own input.

    The earlier instructions are not among them: each request has its own.
    """
    earlier = [item for each in (*previous_items, *previous_output) if (item := _again(each))]
    whole = {**body, "input": [*closed(earlier), *_items(body.get("input"))]}
    whole.pop("previous_response_id", None)
    return whole


def items_of(body: Mapping[str, Any]) -> list[Item]:
    """A request's input as items with ids, which are always the same for the same request."""
    seen: set[object] = set()
    return [_shown(item, number, seen) for number, item in enumerate(_items(body.get("input")))]


def references(body: Mapping[str, Any]) -> list[str]:
    """The ids of the items that the input names instead of saying them."""
    ids = (item.get("id") for item in _items(body.get("input")) if _kind(item) == _REFERENCE)
    return [id for id in ids if isinstance(id, str)]


def resolved(body: Body, found: Mapping[str, Item]) -> Body:
    """The body with the items that are found in the places where they are named; other references stay."""
    return {**body, "input": list(_resolved(_items(body.get("input")), found))}


def unsealed(body: Body) -> Body:
    """The body as a Responses upstream can take it: without reasoning that another dialect's provider has sealed."""
    items = _items(body.get("input"))
    kept = [item for item in items if not _is_foreign(item)]
    return body if len(kept) == len(items) else {**body, "input": kept}


def _items(given: object) -> list[Item]:
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return objects(given)


def _kind(item: Item) -> str:
    """An item's type, which messages and references may leave out."""
    kind = item.get("type")
    if kind is None:
        return "message" if "role" in item else _REFERENCE
    return kind if isinstance(kind, str) else ""


def _again(item: Item) -> Item | None:
    """An item as it is sent again; None for one that is not."""
    kind = _kind(item)
    if kind in _HOSTED or (kind == "reasoning" and not item.get("encrypted_content")):
        return None
    if kind == "message" and item.get("role") == "assistant":
        return _own_message(item)
    told = {"created_by"} if kind in _KEEP_ID else {"created_by", "id"}
    if kind in {"message", "function_call", "function_call_output", "reasoning"}:
        told.add("status")
    return {name: value for name, value in item.items() if name not in told}


def _own_message(item: Item) -> Item | None:
    """What the model said, as one text: the other form needs an id, and many servers know this one only."""
    text = _own_text(item.get("content"))
    if not text:
        return None
    phase = {"phase": item["phase"]} if item.get("phase") else {}
    return {"type": "message", "role": "assistant", "content": text, **phase}


def _own_text(content: object) -> str:
    if isinstance(content, str):
        return content
    texts = (part.get(_TEXTS.get(str(part.get("type")), "text")) for part in objects(content))
    return "".join(text for text in texts if isinstance(text, str))


def _shown(item: Item, number: int, seen: set[object]) -> Item:
    """An item as it is listed: with an id that no other has, and in the long form."""
    kind = _kind(item)
    id = item.get("id")
    if not isinstance(id, str) or not id or id in seen:
        id = _id(kind, item, number)
    seen.add(id)
    return {**_long(item, kind), "type": kind or item.get("type"), "id": id}


def _id(kind: str, item: Item, number: int) -> str:
    digest = hashlib.blake2b(encode([number, settled(item)]), digest_size=12).hexdigest()
    return f"{_PREFIXES.get(kind, 'item')}_{digest}"


def _long(item: Item, kind: str) -> Item:
    if kind == "message":
        is_own = item.get("role") == "assistant"
        return {"status": "completed", **item, "content": _parts(item.get("content"), own=is_own)}
    if kind.endswith("_output") and isinstance(item.get("output"), list):
        item = {**item, "output": [_detailed(part) for part in objects(item["output"])]}
    if kind == "reasoning":
        return {"summary": [], **item}
    return {"status": "completed", **item} if kind.endswith(("_call", "_output")) else item


def _parts(content: object, *, own: bool) -> list[dict[str, Any]]:
    """A message's parts with all that they must say."""
    kind = "output_text" if own else "input_text"
    parts = [{"type": kind, "text": content}] if isinstance(content, str) else objects(content)
    return [{"annotations": [], **part} if part.get("type") == "output_text" else _detailed(part) for part in parts]


def _detailed(part: dict[str, Any]) -> dict[str, Any]:
    return {**part, "detail": part.get("detail") or "auto"} if part.get("type") == "input_image" else part


def _resolved(items: Iterable[Item], found: Mapping[str, Item]) -> Iterator[Item]:
    for item in items:
        named = found.get(str(item.get("id"))) if _kind(item) == _REFERENCE else None
        again = _again(named) if named is not None else item
        if again is not None:
            yield again


def _is_foreign(item: Item) -> bool:
    payload = item.get("encrypted_content")
    if _kind(item) != "reasoning" or not isinstance(payload, str):
        return False
    return Seal.parse(payload, RESPONSES).issuer != RESPONSES
