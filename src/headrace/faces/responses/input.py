"""What a response was asked: kept requests, their input items, and the histories that follow from them.

``previous_response_id`` is ours: the upstream gets the whole history, so that it works over any upstream, and no owner
reaches what another has stored there.
"""

from contextlib import suppress
from typing import Any, Literal

from headrace.core.log import Head
from headrace.core.stream import id_in
from headrace.errors import NotFound, PreviousNotFound, RequestError, StreamGone
from headrace.faces.responses.object import current
from headrace.faces.service import Service
from headrace.model.dialect import RESPONSES
from headrace.model.outcome import State
from headrace.wire.json_object import objects
from headrace.wire.responses import history

Order = Literal["asc", "desc"]

_PREVIOUS = "previous_response_id"


async def complete(at: Service, owner: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body with everything in it that it only names of what is here: earlier turns, and items of earlier answers.

    Raises PreviousNotFound, and RequestError for a previous response that is still being written.
    """
    return await _with_history(at, owner, await _with_items(at, owner, body))


async def _with_items(at: Service, owner: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body with items in the places where it names them, as the AI SDK does.

    Only ids of our own making tell of which answer they are; an upstream's own are left to it.
    """
    named = history.references(body)
    if not named:
        return body
    found: dict[str, dict[str, Any]] = {}
    for answer in {id.rpartition("_")[0] for id in named}:
        with suppress(NotFound, StreamGone):
            head = await at.registry.find(owner, id_in(answer), ())
            _, value = await current(at.registry.log, head.id)
            found |= {item["id"]: item for item in objects(value.get("output")) if isinstance(item.get("id"), str)}
    return history.resolved(body, found)


async def _with_history(at: Service, owner: str, body: dict[str, Any]) -> dict[str, Any]:
    """The body with the turns of the previous response in front of its own; as it is where it names none.

    Raises PreviousNotFound, also for what is somebody else's, gone or not kept, and RequestError for one that is still
    being written.
    """
    reference = body.get(_PREVIOUS)
    if reference is None:
        return body
    head, asked = await _previous(at, owner, reference)
    if head.outcome is None:
        raise RequestError("The previous response is still being written.", param=_PREVIOUS)
    _, answered = await current(at.registry.log, head.id)
    stopped = head.outcome.state is not State.COMPLETED
    output = [item for item in objects(answered.get("output")) if not (stopped and _is_unfinished(item))]
    return history.expanded(body, history.items_of(asked), output)


async def kept_request(at: Service, head: Head) -> dict[str, Any] | None:
    """What a response was asked, where that is kept."""
    if head.meta.dialect != RESPONSES:
        return None
    return await at.recorder.request(head.meta.owner, head.id)


async def page_of_items(at: Service, head: Head, *, limit: int, order: Order, after: str | None) -> dict[str, Any]:
    """One page of a response's input items. Raises NotFound where they are not kept, or ``after`` is none of them."""
    asked = await kept_request(at, head)
    if asked is None:
        raise NotFound("The input of this response is not kept.")
    items = history.items_of(asked)
    if order == "desc":
        items.reverse()
    begin = _place_after(items, after)
    data = items[begin : begin + limit]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else "",
        "last_id": data[-1]["id"] if data else "",
        "has_more": begin + limit < len(items),
    }


async def _previous(at: Service, owner: str, reference: str) -> tuple[Head, dict[str, Any]]:
    try:
        head = await at.registry.find(owner, reference)
    except (NotFound, StreamGone):
        raise PreviousNotFound(param=_PREVIOUS) from None
    asked = await kept_request(at, head)
    if asked is None:
        raise PreviousNotFound(param=_PREVIOUS)
    return head, asked


def _is_unfinished(item: dict[str, Any]) -> bool:
    """Whether a stopped answer's item is one that no upstream takes back: half a tool call, half a thought."""
    return item.get("type") != "message" and item.get("status") not in (None, "completed")


def _place_after(items: list[dict[str, Any]], id: str | None) -> int:
    if id is None:
        return 0
    for place, item in enumerate(items, 1):
        if item["id"] == id:
            return place
    raise NotFound("There is no such input item.", param="after")
