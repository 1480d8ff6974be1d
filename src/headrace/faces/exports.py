"""Exports: what is recorded of one's own, to be saved as a file; CSV for spreadsheets, NDJSON for programs."""

import math
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from headrace.core.topic_log import Offset, TopicHead
from headrace.core.topics import Topics
from headrace.errors import RequestError
from headrace.faces.access.auth import Caller, caller
from headrace.faces.paged import PagedReply
from headrace.faces.passthrough import OwnRoute
from headrace.faces.service import Service, service
from headrace.faces.topics.face import TopicPath
from headrace.faces.topics.request import path_of
from headrace.model.outcome import State
from headrace.records.export import COLUMNS, Encode, Wanted, exported
from headrace.wire import csv, durable
from headrace.wire.disposition import attachment

router = APIRouter(prefix="/v1/exports", tags=["Exports"], route_class=OwnRoute)

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]
Filter = Annotated[str, Query(max_length=512)]
Start = Annotated[str, Query(max_length=64, description="Where to begin: `-1` is the start, else an offset.")]
Format = Annotated[str | None, Query(description="`ndjson` or `csv`; stronger than `Accept`.")]

_MOMENT = "Unix seconds, or a date such as `2026-11-21` or `2026-11-21T08:30:00Z` (UTC where it has no zone)."
#: The states that a generation may have ended in.
_ENDS = {state.value: state for state in State if state is not State.OPEN}

#: The columns of a topic's messages, and bytes of messages that are read at once.
MESSAGE = ("number", "data")
_READ = 16 << 10

_encoder = msgspec.json.Encoder()


class Shape(NamedTuple):
    """A format: what it is called, what comes before the first row of some columns, and how rows are encoded."""

    name: str
    media_type: str
    head: Callable[[Sequence[str]], bytes]
    encode: Callable[[Sequence[str]], Encode]


def _lines(columns: Sequence[str]) -> Encode:
    return lambda rows: _encoder.encode_lines([dict(zip(columns, row, strict=True)) for row in rows])


NDJSON = Shape("ndjson", "application/x-ndjson", lambda _: b"", _lines)
CSV = Shape(
    "csv", "text/csv; charset=utf-8; header=present", lambda columns: csv.encode([columns]), lambda _: csv.encode
)

_NAMED = {shape.name: shape for shape in (NDJSON, CSV)}
_ACCEPTED = {
    "text/csv": CSV,
    "application/x-ndjson": NDJSON,
    "application/ndjson": NDJSON,
    "application/jsonl": NDJSON,
}


class Filters(NamedTuple):
    """Which generations are asked for."""

    since: float
    until: float
    model: str
    state: State | None
    conversation: str


async def filters(
    at: Asked,
    *,
    since: Annotated[str | None, Query(alias="from", description=f"Created then or later: {_MOMENT}")] = None,
    until: Annotated[str | None, Query(alias="to", description=f"Created before: {_MOMENT}")] = None,
    model: Filter = "",
    state: Annotated[str, Query(description="`completed`, `failed`, `cancelled` or `interrupted`.")] = "",
    conversation: Filter = "",
) -> Filters:
    """What the query asks for, up to now at most: an export ends, however fast rows come. Raises RequestError."""
    if state and state not in _ENDS:
        raise RequestError(f"'state' is one of {', '.join(_ENDS)}.", param="state")
    now = at.registry.clock.time()
    return Filters(
        0.0 if since is None else _moment(since, "from"),
        now if until is None else min(now, _moment(until, "to")),
        model,
        _ENDS.get(state),
        conversation,
    )


@router.get("/generations", summary="Export generations")
async def generations(
    request: Request, at: Asked, who: Asker, which: Annotated[Filters, Depends(filters)], *, format: Format = None
) -> Response:
    """Export what is recorded of one's own answers, the oldest first, as NDJSON or CSV.

    It is made while it is sent: in constant memory, and no longer than somebody takes it. A body that does not come to
    its clean end is not the whole export.
    """
    shape = _shape(request, format)
    pages = exported(at.records, Wanted(who.owner, *which), shape.encode(COLUMNS), head=shape.head(COLUMNS))
    return _reply(at, who, shape, pages, _headers(at, shape, "generations"))


@router.head("/generations", summary="Look at an export of generations")
async def look(
    request: Request, at: Asked, _: Asker, __: Annotated[Filters, Depends(filters)], *, format: Format = None
) -> Response:
    """Tell what an export would be called, without making it."""
    shape = _shape(request, format)
    return Response(media_type=shape.media_type, headers=_headers(at, shape, "generations"))


@router.get("/topics/{path:path}", summary="Export a topic")
async def topic(
    request: Request, path: TopicPath, at: Asked, who: Asker, *, offset: Start = "-1", format: Format = None
) -> Response:
    """Export the messages of a topic, numbered, as NDJSON or CSV; those that are there when it is asked for.

    `Stream-Next-Offset` is where it ends, and where the next export may begin.
    """
    shape, head = _shape(request, format), await at.topics.find(who.owner, path_of(path))
    start = await at.topics.place(head, offset)
    pages = _messages(at.topics, head, start, shape)
    return _reply(at, who, shape, pages, _topic_headers(at, shape, head))


@router.head("/topics/{path:path}", summary="Look at an export of a topic")
async def look_at_topic(request: Request, path: TopicPath, at: Asked, who: Asker, *, format: Format = None) -> Response:
    """Tell what a topic's export would be called and where it would end, without making it."""
    shape, head = _shape(request, format), await at.topics.find(who.owner, path_of(path))
    return Response(media_type=shape.media_type, headers=_topic_headers(at, shape, head))


async def _messages(topics: Topics, head: TopicHead, at: Offset, shape: Shape) -> AsyncGenerator[bytes, None]:
    """A topic's messages after a place, up to the tail that it had. Raises OffsetAhead, NotFound and StoreError."""
    lines, value = shape.encode(MESSAGE), _value_of(head.topic.kind, raw=shape is NDJSON)
    begun = shape.head(MESSAGE)
    while True:
        batch = await topics.read(head, at, _READ)
        first = batch.offset.number - len(batch.records) + 1
        rows = [(n, value(record)) for n, record in enumerate(batch.records, first) if n <= head.tail]
        yield begun + lines(rows)
        begun, at = b"", batch.offset
        if at.number >= head.tail or not batch.records:
            return


def _value_of(kind: str, *, raw: bool) -> Callable[[bytes], object]:
    """What is shown of a message, by its topic's type: its JSON, its text, or Base64."""
    if kind == durable.JSON:
        return msgspec.Raw if raw else _cell_of
    return _text_of if durable.is_text(kind) else _base64_of


def _cell_of(value: bytes) -> object:
    """A JSON value in a cell: texts and numbers as what they are, others (and what has no place here) as JSON."""
    if value[:1] not in (b"{", b"["):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            pass
    return value.decode()


def _text_of(message: bytes) -> str:
    return message.decode(errors="replace")


def _base64_of(message: bytes) -> str:
    return b64encode(message).decode()


def _reply(
    at: Service, who: Caller, shape: Shape, pages: AsyncGenerator[bytes, None], headers: dict[str, str]
) -> Response:
    return PagedReply(
        pages,
        media_type=shape.media_type,
        headers=headers,
        share=at.exports.one(who.owner),
        sweep=at.registry.sweep,
        send_timeout=at.manners.send_timeout,
    )


def _topic_headers(at: Service, shape: Shape, head: TopicHead) -> dict[str, str]:
    name = head.topic.path.replace("/", "-")
    return {**_headers(at, shape, name), "stream-next-offset": str(head.offset)}


def _shape(request: Request, asked: str | None) -> Shape:
    """The format that is asked for by name; else the first one that is accepted, else NDJSON. Raises RequestError."""
    if asked is not None:
        if asked not in _NAMED:
            raise RequestError("'format' is ndjson or csv.", param="format")
        return _NAMED[asked]
    accepted = request.headers.get("accept", "").lower().split(",")
    kinds = (kind.partition(";")[0].strip() for kind in accepted)
    return next((_ACCEPTED[kind] for kind in kinds if kind in _ACCEPTED), NDJSON)


def _headers(at: Service, shape: Shape, name: str) -> dict[str, str]:
    day = datetime.fromtimestamp(at.registry.clock.time(), UTC).date()
    return {
        "content-disposition": attachment(f"headrace-{name}-{day}.{shape.name}"),
        "cache-control": "private, no-store",
        "x-accel-buffering": "no",  # nginx would take as much as comes, whoever is at its other end
        "vary": "Accept",
    }


def _moment(text: str, param: str) -> float:
    """Unix seconds of a moment, however it is written. Raises RequestError."""
    try:
        found = float(text) if not text.count("-") else _of_date(text)
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise RequestError(f"'{param}' is Unix seconds, or a date such as 2026-11-21T08:30:00Z.", param=param)
    return found


def _of_date(text: str) -> float:
    date = datetime.fromisoformat(text)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
