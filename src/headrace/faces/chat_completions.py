"""OpenAI chat completions: start, rejoin and stop, for the stock SDKs.

Events carry ids together with their data only, and keep-alives are comment lines without a blank line: anything else
breaks openai-python (its decoder takes an empty block for a chunk once it has seen an id).
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from headrace.core.log import Head
from headrace.core.replay import all_records
from headrace.core.routing import Call
from headrace.core.stream import NOTHING_SEEN, Cursor, id_under
from headrace.errors import StreamOpen
from headrace.faces import schemas
from headrace.faces.access.auth import Caller, caller
from headrace.faces.dialects import all_seen, view
from headrace.faces.failures import OPENAI, of_outcome
from headrace.faces.requests import body_of, continued, cursor_of, leave_policy, names_of
from headrace.faces.service import Service, service
from headrace.faces.starting import Wish, started
from headrace.faces.streamed import streamed
from headrace.faces.whole import WholeReply
from headrace.model.dialect import CHAT
from headrace.model.outcome import Outcome, State
from headrace.model.record import Record
from headrace.wire.chat.request import parse_request
from headrace.wire.chat.whole import completion

router = APIRouter(tags=["OpenAI chat"])

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]
Reference = Annotated[str, Path(description="A stream's id, the `chatcmpl-…` of its chunks, or an idempotency key.")]


@router.post("/v1/chat/completions", summary="Start an answer", openapi_extra=schemas.CHAT)
@router.post("/chat/completions", include_in_schema=False)
async def create(request: Request, at: Asked, who: Asker) -> Response:
    """Start an answer; with `stream: true` as server-sent events.

    The body goes to the model's upstream as it is, unknown fields too. `Idempotency-Key` makes a retry attach to the
    stream that the first request started, and so does `Last-Event-ID`. `Headrace-On-Leave` (`cancel`,
    `linger=SECONDS`, `keep`) says what happens when everybody has left.
    """
    body = await body_of(request)
    if (found := await continued(at, request, who.owner)) is not None:
        return _stream(at, *found, location=False)
    asked = parse_request(body)
    options = asked.body.get("stream_options") or {}
    stored = asked.body.get("store") is True
    wish = Wish(
        call=Call(dialect=CHAT, body=asked.body, model=asked.model, stream=asked.stream),
        dialect=CHAT,
        policy=leave_policy(request, who.on_leave or at.manners.linger),
        stored=stored,
        echo={"include_usage": bool(options.get("include_usage"))},
        kept=asked.body if stored else None,
    )
    head, _ = await started(at, who, wish, names_of(request, CHAT, body))
    if asked.stream:
        return _stream(at, head, NOTHING_SEEN, location=True)
    return _whole(at, head)


@router.get("/v1/chat/completions/{id}", summary="Rejoin an answer, or fetch it whole")
async def retrieve(
    request: Request,
    id: Reference,
    at: Asked,
    who: Asker,
    *,
    stream: Annotated[bool, Query(description="Rejoin it as server-sent events.")] = False,
    starting_after: Annotated[str | None, Query(description="The last event id that was seen.")] = None,  # noqa: ARG001
) -> Response:
    """Rejoin an answer after the last event that was seen, or fetch it whole once it has ended."""
    head = await at.registry.find(who.owner, id)
    if not stream:
        return await _finished(at, head)
    cursor = cursor_of(request, head)
    if all_seen(head, cursor, CHAT):
        return Response(status_code=204)
    return _stream(at, head, cursor, location=False, named=True)


@router.post("/v1/chat/completions/{id}/cancel", summary="Stop an answer")
async def cancel(id: Reference, at: Asked, who: Asker) -> dict[str, object]:
    """Stop an answer: the upstream's connection is closed, before the first token too. Idempotent."""
    head = await at.registry.find(who.owner, id)
    running, state = await at.registry.cancel(head)
    return {"id": head.id, "object": "chat.completion", "cancelled": running, "status": state}


def _stream(at: Service, head: Head, cursor: Cursor, *, location: bool, named: bool = False) -> Response:
    """The stream from ``cursor`` on; the status of one that has just been started waits for its first record."""
    gate = at.manners.gate if location else 0.0
    refused = partial(of_outcome, family=OPENAI, headers=_headers(head))
    return streamed(at, head, cursor, CHAT, _headers(head), named=named, gate=gate, refused=refused)


def _whole(at: Service, head: Head) -> Response:
    reader = at.registry.read(head, view(CHAT), NOTHING_SEEN, participant=True)

    def finish(records: Sequence[Record], format: str, outcome: Outcome) -> Response:
        if outcome.state is not State.COMPLETED:
            return of_outcome(outcome, OPENAI, headers=_headers(head))
        return _completion(head, records, format, outcome)

    return WholeReply(at.registry, reader, finish)


async def _finished(at: Service, head: Head) -> Response:
    if head.outcome is None:
        raise StreamOpen
    if head.outcome.state is not State.COMPLETED:
        return of_outcome(head.outcome, OPENAI, headers=_headers(head))
    return _completion(head, await all_records(at.registry.log, head.id), head.format, head.outcome)


def _completion(head: Head, records: Sequence[Record], format: str, outcome: Outcome) -> Response:
    """The whole answer, also where it was streamed: some servers stream whatever they were asked."""
    body = completion(
        records, format, usage=outcome.usage, id=id_under("chatcmpl-", head.id), created=int(head.meta.created)
    )
    return Response(body, media_type="application/json", headers=_headers(head))


def _headers(head: Head) -> dict[str, str]:
    return {"headrace-stream-id": head.id, "location": f"/v1/chat/completions/{head.id}?stream=true"}
