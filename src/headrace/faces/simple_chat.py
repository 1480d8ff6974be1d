"""The simple chat, for people who write their own page: ``fetch``, ``EventSource`` or ``requests``, and no SDK."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from headrace.core.log import Head, Name
from headrace.core.routing import Call
from headrace.core.stream import NOTHING_SEEN, Cursor
from headrace.errors import RequestError
from headrace.faces import schemas
from headrace.faces.access.auth import Caller, caller
from headrace.faces.dialects import DIALECTS, EVENT_STREAM, view
from headrace.faces.failures import SIMPLE, of_outcome
from headrace.faces.requests import body_of, continued, leave_policy, names_of
from headrace.faces.service import Service, service
from headrace.faces.starting import Wish, started
from headrace.faces.streamed import streamed
from headrace.faces.whole import WholeReply
from headrace.model.dialect import CHAT, INFER, NAMED, TEXT, UNNAMED
from headrace.model.events import Event
from headrace.model.outcome import Outcome, State
from headrace.model.record import Record
from headrace.wire import estimate
from headrace.wire.formats import decoder
from headrace.wire.plain import whole
from headrace.wire.plain_request import SimpleRequest, parse_query, parse_simple

router = APIRouter(tags=["Simple chat"])

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]


@router.post("/chat", summary="Answer as unnamed events, text or JSON", openapi_extra=schemas.SIMPLE)
async def chat(request: Request, at: Asked, who: Asker) -> Response:
    """Answer as unnamed events; as bare text where `Accept: text/plain` asks for that; as JSON with `stream: false`."""
    # The first type counts: axios accepts "application/json, text/plain, */*" unless told otherwise.
    text = request.headers.get("accept", "").partition(",")[0].partition(";")[0].strip().lower() == "text/plain"
    return await _post(request, at, who, TEXT if text else UNNAMED)


@router.post("/chat/stream", summary="Answer a message or a history", openapi_extra=schemas.SIMPLE)
async def chat_stream(request: Request, at: Asked, who: Asker) -> Response:
    """Answer a `message` as unnamed events, a history of `messages` as named ones."""
    return await _post(request, at, who, None)


@router.post("/v1/chat/stream", summary="Answer as named events", openapi_extra=schemas.SIMPLE)
async def named_stream(request: Request, at: Asked, who: Asker) -> Response:
    """Answer as named events: start, token, done or error or cancelled, close."""
    return await _post(request, at, who, NAMED)


@router.post("/infer", summary="Answer as NDJSON", openapi_extra=schemas.SIMPLE)
async def infer(request: Request, at: Asked, who: Asker) -> Response:
    """Answer as NDJSON lines with the fields of a chat completion."""
    return await _post(request, at, who, INFER)


@router.get("/chat/stream", summary="Answer an EventSource")
@router.get("/chat/completions", include_in_schema=False)
async def event_source(
    request: Request,
    at: Asked,
    who: Asker,
    *,
    message: Annotated[str | None, Query(description="What to answer.")] = None,
    model: Annotated[str | None, Query(description="The model; else the default one.")] = None,  # noqa: ARG001
) -> Response:
    """Answer as unnamed events for `EventSource`, whose reconnections (`Last-Event-ID`) continue their stream."""
    if (found := await continued(at, request, who.owner)) is not None:
        return _stream(at, *found, _dialect_of(found[0]))
    if not message and not request.query_params.get("messages"):
        raise RequestError("The query parameter 'message' is missing or empty.", param="message")
    asked = parse_query(request.query_params)
    body = request.url.query.encode()
    return await _start(request, at, who, asked, UNNAMED, body)


async def _post(request: Request, at: Service, who: Caller, dialect: str | None) -> Response:
    """Answer a POST; without a ``dialect`` the form of the request decides it."""
    body = await body_of(request)
    if (found := await continued(at, request, who.owner)) is not None:
        return _stream(at, *found, _dialect_of(found[0]))
    asked = parse_simple(body)
    return await _start(request, at, who, asked, dialect or (NAMED if asked.history else UNNAMED), body)


async def _start(
    request: Request, at: Service, who: Caller, asked: SimpleRequest, dialect: str, body: bytes
) -> Response:
    model = asked.model or await at.routes.default()
    call_body = {**asked.body, "model": model, "stream": asked.stream}
    wish = Wish(
        call=Call(dialect=CHAT, body=call_body, model=model, stream=asked.stream),
        dialect=dialect,
        policy=leave_policy(request, who.on_leave or at.manners.linger),
        conversation=asked.conversation,
        echo={"prompt_tokens": estimate.prompt_tokens(asked.body["messages"])},
        kept=asked.body if asked.conversation else None,
    )
    names: Sequence[Name] = names_of(request, dialect, body)
    if asked.conversation:
        names = [*names, Name("chat", asked.conversation)]
    head, _ = await started(at, who, wish, names)
    if asked.stream:
        return _stream(at, head, NOTHING_SEEN, dialect)
    return _whole(at, head)


def _dialect_of(head: Head) -> str:
    """A stream is continued in the dialect in which it was started."""
    return head.meta.dialect if head.meta.dialect in DIALECTS else UNNAMED


def _stream(at: Service, head: Head, cursor: Cursor, dialect: str) -> Response:
    # A face that has no event for a failure can still give it a status, if it comes early.
    gate = 0.0 if DIALECTS[dialect].media_type == EVENT_STREAM else at.manners.gate
    refused = partial(of_outcome, family=SIMPLE)
    return streamed(at, head, cursor, dialect, _headers(head), gate=gate, refused=refused)


def _whole(at: Service, head: Head) -> Response:
    reader = at.registry.read(head, view(TEXT), NOTHING_SEEN, participant=True)

    def finish(records: Sequence[Record], format: str, outcome: Outcome) -> Response:
        if outcome.state is not State.COMPLETED:
            return of_outcome(outcome, SIMPLE, headers=_headers(head))
        decode = decoder(format).decode
        events: list[Event] = [event for record in records for event in decode(record)]
        tokens = int(head.meta.echo.get("prompt_tokens", 0))
        body = whole(head.id, str(head.meta.echo["model"]), events, outcome, prompt_tokens=tokens)
        return Response(body, media_type="application/json", headers=_headers(head))

    return WholeReply(at.registry, reader, finish)


def _headers(head: Head) -> dict[str, str]:
    return {"headrace-stream-id": head.id, "location": f"/v1/streams/{head.id}"}
