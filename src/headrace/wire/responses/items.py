"""The items of an output: what a block is in the OpenAI Responses dialect."""

from collections.abc import Mapping
from typing import Any

from headrace.wire.blocks import Closed, Kind, Opened

#: The types of items that have canonical events. (No set: an upstream's type may be anything.)
CONVERTED = ("message", "reasoning", "function_call")
#: The event of a block's text, without ``.delta`` and ``.done``.
EVENTS: Mapping[Kind, str] = {
    Kind.TEXT: "response.output_text",
    Kind.REFUSAL: "response.refusal",
    Kind.REASONING: "response.reasoning_summary_text",
    Kind.CALL: "response.function_call_arguments",
}
#: The most frequent event.
TEXT_DELTA = "response.output_text.delta"
#: The event of the part that holds the text, without ``.added`` and ``.done``; a call has no parts.
PARTS: Mapping[Kind, str] = {
    Kind.TEXT: "response.content_part",
    Kind.REFUSAL: "response.content_part",
    Kind.REASONING: "response.reasoning_summary_part",
}
# Which part of its item that is: each item of ours has one.
_INDEX: Mapping[Kind, Mapping[str, int]] = {
    Kind.TEXT: {"content_index": 0},
    Kind.REFUSAL: {"content_index": 0},
    Kind.REASONING: {"summary_index": 0},
    Kind.CALL: {},
}
_PREFIX = {Kind.TEXT: "msg", Kind.REFUSAL: "msg", Kind.REASONING: "rs", Kind.CALL: "fc"}


class Names:
    """The names of an open item: its id, a call's own, its place, and whether a part of it has begun."""

    def __init__(self, response: str, block: Opened, call: str, index: int) -> None:
        self.item = derived(_PREFIX[block.kind], response, block.number)
        self.call = call
        #: What every event of its text says.
        self.place = {"item_id": self.item, "output_index": index, **_INDEX[block.kind]}
        self.grown = False


def derived(prefix: str, response: str, number: int) -> str:
    """An id that the same answer always gives to its block with this number."""
    return f"{prefix}_{response.removeprefix('resp_')}_{number}"


def begun(block: Opened, names: Names) -> dict[str, Any]:
    """An item that has nothing in it yet."""
    return item(Closed(block.number, block.kind, block.id, block.name), names, "in_progress", sealed=False)


def item(block: Closed, names: Names, status: str, *, sealed: bool) -> dict[str, Any]:
    """An item with what is in it; ``sealed`` says whether the client wants reasoning that it cannot read."""
    if block.kind is Kind.CALL:
        return {
            "id": names.item,
            "type": "function_call",
            "status": status,
            "arguments": block.text,
            "call_id": names.call,
            "name": block.name,
        }
    parts = [part(block.kind, block.text)] if names.grown else []
    if block.kind is Kind.REASONING:
        return {
            "id": names.item,
            "type": "reasoning",
            "summary": parts,
            # The provider's own say it only where they are cut, and do not take it back in a request.
            **({"status": status} if status == "incomplete" else {}),
            **({"encrypted_content": block.seal} if sealed and block.seal else {}),
        }
    return {"id": names.item, "type": "message", "status": status, "role": "assistant", "content": parts}


def part(kind: Kind, text: str) -> dict[str, Any]:
    """A part of an item."""
    if kind is Kind.TEXT:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    if kind is Kind.REFUSAL:
        return {"type": "refusal", "refusal": text}
    return {"type": "summary_text", "text": text}


def whole(block: Closed) -> dict[str, Any]:
    """What the event says that ends a block's text."""
    match block.kind:
        case Kind.TEXT:
            return {"text": block.text, "logprobs": []}
        case Kind.REFUSAL:
            return {"refusal": block.text}
        case Kind.CALL:
            return {"arguments": block.text, "name": block.name}
    return {"text": block.text}
