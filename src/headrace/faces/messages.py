"""Anthropic Messages: start, rejoin and stop, for the stock SDKs.

Anthropic's own API can neither rejoin nor stop; its SDKs do both through their plain ``get`` and ``post``. Keep-alives
are ``event: ping``, as they know them.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import JSONResponse, Response

from headrace.core.log import Head
from headrace.core.replay import all_records
from headrace.core.routing import Call, Forwarding, Target, speaks
from headrace.core.stream import NOTHING_SEEN, Cursor, id_under
from headrace.errors import StreamOpen, UpstreamRefused
from headrace.faces import schemas
from headrace.faces.access.auth import Caller, caller
from headrace.faces.dialects import model_of, view
from headrace.faces.failures import MESSAGES as FAMILY
from headrace.faces.failures import of_outcome
from headrace.faces.passthrough import OwnRoute, passed
from headrace.faces.requests import body_of, continued, cursor_of, leave_policy, names_of, query_of
from headrace.faces.service import Service, service
from headrace.faces.starting import Wish, started, targets_of
from headrace.faces.streamed import streamed
from headrace.faces.whole import WholeReply
from headrace.model.dialect import MESSAGES
from headrace.model.outcome import Outcome, State
from headrace.model.record import Record
from headrace.wire import estimate
from headrace.wire.json_object import encode
from headrace.wire.messages.request import parse_count, parse_request
from headrace.wire.messages.whole import message

router = APIRouter(tags=["Anthropic Messages"], route_class=OwnRoute)

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]
Reference = Annotated[str, Path(description="A stream's id, the `msg_…` that the client saw, or an idempotency key.")]

#: Headers of a request that mean something to an upstream of this dialect.
PASSING = ("anthropic-version", "anthropic-beta")

#: Refusals of a server that does not count: it has no such route, or says something that is not of its API.
_NO_COUNT = frozenset({404, 405, 502})


@router.post("/v1/messages", summary="Start a message", openapi_extra=schemas.MESSAGES)
async def create(request: Request, at: Asked, who: Asker) -> Response:
    """Start a message; with `stream: true` as server-sent events.

    The body goes to an upstream of this API as it is, with the query string and the `anthropic-beta` header, and is
    converted for any other. `Idempotency-Key` and `Last-Event-ID` make a retry attach to the stream that the first
    request started. `Headrace-On-Leave` (`cancel`, `linger=SECONDS`, `keep`) says what happens when everybody has left.
    """
    body = await body_of(request)
    if (found := await continued(at, request, who.owner)) is not None:
        return _stream(at, *found, location=False)
    asked = parse_request(body)
    call = Call(
        dialect=MESSAGES,
        body=asked.body,
        model=asked.model,
        stream=asked.stream,
        headers={name: request.headers[name] for name in PASSING if name in request.headers},
        query=query_of(request),
    )
    wish = Wish(
        call=call,
        dialect=MESSAGES,
        policy=leave_policy(request, who.on_leave or at.manners.linger),
        echo={"prompt_tokens": estimate.message_tokens(asked.body)},
    )
    head, _ = await started(at, who, wish, names_of(request, MESSAGES, body))
    return _stream(at, head, NOTHING_SEEN, location=True) if asked.stream else _whole(at, head)


@router.post("/v1/messages/count_tokens", summary="Count a prompt's tokens", openapi_extra=schemas.COUNT)
async def count_tokens(request: Request, at: Asked, who: Asker) -> Response:
    """Count the tokens of a prompt; where no upstream of the model can tell, as an estimate that is marked as one."""
    body = await body_of(request)
    asked = parse_count(body)
    for target in targets_of(at, who, asked.model):
        sent = body if target.model == asked.model else encode({**asked.body, "model": target.model})
        if (counted := await _counted(request, at, target, sent)) is not None:
            return counted
    told = {"input_tokens": estimate.message_tokens(asked.body), "estimated": True}
    return JSONResponse(told, headers={"headrace-estimated": "true"})


@router.get("/v1/messages/{id}", summary="Rejoin a message, or fetch it whole")
async def retrieve(
    request: Request,
    id: Reference,
    at: Asked,
    who: Asker,
    *,
    stream: Annotated[bool, Query(description="Rejoin it as server-sent events.")] = False,
    starting_after: Annotated[str | None, Query(description="The last event id that was seen.")] = None,  # noqa: ARG001
) -> Response:
    """Rejoin a message after the last event that was seen, or fetch it whole once it has ended."""
    head = await at.registry.find(who.owner, id)
    if not stream:
        return await _finished(at, head)
    return _stream(at, head, cursor_of(request, head), location=False, named=True)


@router.post("/v1/messages/{id}/cancel", summary="Stop a message")
async def cancel(id: Reference, at: Asked, who: Asker) -> dict[str, object]:
    """Stop a message: the upstream's connection is closed, before the first token too. Idempotent."""
    head = await at.registry.find(who.owner, id)
    running, state = await at.registry.cancel(head)
    return {"id": head.id, "type": "message", "cancelled": running, "status": state}


async def _counted(request: Request, at: Service, target: Target, body: bytes) -> Response | None:
    """The upstream's own count; None where it does not count."""
    upstream = target.upstream
    if not (isinstance(upstream, Forwarding) and speaks(upstream, MESSAGES)):
        return None
    try:
        return await passed(request, at, upstream, "/messages/count_tokens", body)
    except UpstreamRefused as error:
        if error.retryable or error.status not in _NO_COUNT:
            raise
        return None


def _stream(at: Service, head: Head, cursor: Cursor, *, location: bool, named: bool = False) -> Response:
    """The stream from ``cursor`` on; the status of one that has just been started waits for its first record."""
    gate = at.manners.gate if location else 0.0
    refused = partial(of_outcome, family=FAMILY, headers=_headers(head))
    return streamed(at, head, cursor, MESSAGES, _headers(head), named=named, gate=gate, refused=refused)


def _whole(at: Service, head: Head) -> Response:
    reader = at.registry.read(head, view(MESSAGES), NOTHING_SEEN, participant=True)
    return WholeReply(at.registry, reader, partial(_ended, head))


async def _finished(at: Service, head: Head) -> Response:
    if head.outcome is None:
        raise StreamOpen
    return _ended(head, await all_records(at.registry.log, head.id), head.format, head.outcome)


def _ended(head: Head, records: Sequence[Record], format: str, outcome: Outcome) -> Response:
    """The message, or how it failed. Some servers stream whatever they were asked."""
    if outcome.state is not State.COMPLETED:
        return of_outcome(outcome, FAMILY, headers=_headers(head))
    tokens = int(head.meta.echo.get("prompt_tokens", 0))
    id = id_under("msg_", head.id)
    body = message(records, format, outcome, id=id, model=model_of(head), input_tokens=tokens)
    return Response(body, media_type="application/json", headers=_headers(head))


def _headers(head: Head) -> dict[str, str]:
    return {"headrace-stream-id": head.id, "location": f"/v1/messages/{head.id}?stream=true"}
