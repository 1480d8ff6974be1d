"""OpenAI Responses: start, poll, rejoin, stop and delete, for the stock SDKs.

As in the chat dialect, events carry ids together with their data only, and keep-alives are comment lines without a
blank line. ``background``, ``previous_response_id`` and the kept input are ours, over any upstream.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from headrace.core.log import Head
from headrace.core.routing import Call
from headrace.core.stream import NOTHING_SEEN, Cursor
from headrace.errors import RequestError
from headrace.faces import schemas
from headrace.faces.access.auth import Caller, caller
from headrace.faces.dialects import view
from headrace.faces.failures import OPENAI, of_outcome
from headrace.faces.removal import remove
from headrace.faces.requests import body_of, continued, leave_policy, names_of
from headrace.faces.responses.cursor import cursor_in
from headrace.faces.responses.input import Order, complete, page_of_items
from headrace.faces.responses.object import current, headers_of, reply, whole_reply
from headrace.faces.service import Service, service
from headrace.faces.starting import Wish, retried, started
from headrace.faces.streamed import streamed
from headrace.faces.whole import WholeReply
from headrace.model.dialect import RESPONSES
from headrace.model.leave import KEEP
from headrace.model.outcome import Outcome, State
from headrace.model.record import Record
from headrace.model.request import Request as Asking
from headrace.wire import estimate
from headrace.wire.json_object import objects
from headrace.wire.responses.request import echo_of, parse_request

router = APIRouter(tags=["OpenAI Responses"])

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]
Reference = Annotated[str, Path(description="The `resp_…` of a response, a stream's id, or an idempotency key.")]


@router.post("/v1/responses", summary="Start a response", openapi_extra=schemas.RESPONSES)
async def create(request: Request, at: Asked, who: Asker) -> Response:
    """Start a response; with `stream: true` as server-sent events, with `background: true` to be polled or rejoined.

    The body goes to the model's upstream as it is, unknown fields too, where that speaks this API, and is converted
    where it does not. `previous_response_id` works over any upstream: the upstream is sent the whole history.
    """
    raw = await body_of(request)
    if (found := await continued(at, request, who.owner)) is not None:
        return _stream(at, *found, location=False)
    asked = parse_request(raw)
    if asked.body.get("conversation") is not None:
        raise RequestError("Conversations are not kept here; previous_response_id goes on.", param="conversation")
    names = names_of(request, RESPONSES, raw)
    head, _ = await retried(at, who, names) or await started(at, who, await _wish(request, at, who, asked), names)
    if asked.stream:
        return _stream(at, head, NOTHING_SEEN, location=True)
    return await _begun(at, head) if asked.body.get("background") is True else _whole(at, head)


@router.get("/v1/responses/{id}", summary="Poll or rejoin a response")
async def retrieve(
    request: Request,
    id: Reference,
    at: Asked,
    who: Asker,
    *,
    stream: Annotated[bool, Query(description="Rejoin it as server-sent events.")] = False,
    starting_after: Annotated[str | None, Query(description="The last `sequence_number` that was seen.")] = None,  # noqa: ARG001
) -> Response:
    """Show a response as it stands, or rejoin it after the last event that was seen."""
    head = await at.registry.find(who.owner, id)
    if not stream:
        return reply(*await current(at.registry.log, head.id, id))
    return _stream(at, head, await cursor_in(at.registry.log, request, head), location=False, named=True)


@router.post("/v1/responses/{id}/cancel", summary="Stop a response")
async def cancel(id: Reference, at: Asked, who: Asker) -> Response:
    """Stop a response and show what there is of it; one that has ended stays as it is. Idempotent."""
    head = await at.registry.find(who.owner, id)
    await at.registry.cancel(head)
    return reply(*await current(at.registry.log, head.id, id))


@router.delete("/v1/responses/{id}", summary="Delete a response")
async def delete(id: Reference, at: Asked, who: Asker) -> dict[str, object]:
    """Stop a response and remove everything that is kept of it, its input too."""
    head = await at.registry.find(who.owner, id)
    await remove(at, head)
    return {"id": id, "object": "response", "deleted": True}


@router.get("/v1/responses/{id}/input_items", summary="List what a response was asked")
async def input_items(
    id: Reference,
    at: Asked,
    who: Asker,
    *,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Annotated[Order, Query(description="`desc` is newest first.")] = "desc",
    after: Annotated[str | None, Query(description="The last id of the page before.")] = None,
) -> dict[str, Any]:
    """List the input items of a response, those of its history too; 404 with `store: false`, which keeps none."""
    head = await at.registry.find(who.owner, id)
    return await page_of_items(at, head, limit=limit, order=order, after=after)


async def _wish(request: Request, at: Service, who: Caller, asked: Asking) -> Wish:
    """What is wanted, with the history that the request goes on with. Raises RequestError where that is not there."""
    given = asked.body
    body = await complete(at, who.owner, given)
    keeps = given.get("background") is True or given.get("store") is True
    stored = given.get("store") is not False
    return Wish(
        call=_call(asked, body),
        dialect=RESPONSES,
        policy=leave_policy(request, KEEP if keeps else who.on_leave or at.manners.linger),
        stored=stored,
        echo={"prompt_tokens": _prompt_tokens(body), "responses": {**echo_of(given), "store": stored}},
        kept=body if stored else None,
    )


def _call(asked: Asking, body: dict[str, Any]) -> Call:
    """What the upstream is asked. A background response is one of ours: streamed, so that polling shows how it grows.

    Told of ``background``, an upstream would go on when its connection is closed, and no cancel would reach it.
    """
    streamed = asked.stream or body.get("background") is True
    sent = {name: value for name, value in body.items() if name != "background"}
    return Call(dialect=RESPONSES, body=sent, model=asked.model, stream=streamed)


def _prompt_tokens(body: dict[str, Any]) -> int:
    """About how many tokens the upstream is asked with."""
    given = body.get("input")
    items = [{"content": given}] if isinstance(given, str) else objects(given)
    return estimate.prompt_tokens([{"content": body.get("instructions")}, *items])


def _stream(at: Service, head: Head, cursor: Cursor, *, location: bool, named: bool = False) -> Response:
    """The stream from ``cursor`` on; the status of one that has just been started waits for its first record."""
    gate = at.manners.gate if location else 0.0
    refused = partial(_refused, head)
    return streamed(at, head, cursor, RESPONSES, headers_of(head), named=named, gate=gate, refused=refused)


async def _begun(at: Service, head: Head) -> Response:
    """A background response as soon as it has begun, or after a while: what fails by then keeps its status."""
    reader = at.registry.read(head, view(RESPONSES), NOTHING_SEEN, participant=True)
    try:
        await reader.settle(at.manners.gate)
        now, value = await current(at.registry.log, head.id)
    finally:
        reader.close()
    if now.outcome is not None and now.outcome.state is not State.COMPLETED and not now.tail:
        return _refused(now, now.outcome)
    return reply(now, value)


def _whole(at: Service, head: Head) -> Response:
    reader = at.registry.read(head, view(RESPONSES), NOTHING_SEEN, participant=True)

    def finish(records: Sequence[Record], format: str, outcome: Outcome) -> Response:
        if outcome.state is not State.COMPLETED:
            return _refused(head, outcome)
        return whole_reply(head, records, format, outcome)

    return WholeReply(at.registry, reader, finish)


def _refused(head: Head, outcome: Outcome) -> Response:
    return of_outcome(outcome, OPENAI, headers=headers_of(head))
