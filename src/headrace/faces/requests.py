"""What every route reads of a request: its body, its stream, its cursor and its policy."""

import hashlib
from collections.abc import Sequence

from starlette.requests import Request

from headrace.core.log import Head, Name
from headrace.core.stream import NOTHING_SEEN, Cursor, parse_event_id
from headrace.errors import NotFound, RequestError
from headrace.faces.service import Service
from headrace.model.leave import LeavePolicy

_MAX_KEY = 255


async def body_of(request: Request) -> bytes:
    """The whole body; the guard in front bounds it. Raises RequestError where the client leaves before its end.

    Asked once for a request: it is taken as the server brings it, for the framework would make a task for it.
    """
    parts = []
    while True:
        message = await request.receive()
        if message["type"] != "http.request":
            raise RequestError("The request's body did not come to its end.")
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def query_of(request: Request) -> str:
    """The query string as the client wrote it, for an upstream: without the ticket, which is ours."""
    return "&".join(part for part in request.url.query.split("&") if not part.startswith("ticket="))


def names_of(request: Request, dialect: str, body: bytes) -> Sequence[Name]:
    """The request's idempotency key, with what tells its body from another's.

    Source: draft-ietf-httpapi-idempotency-key-header-07. Raises RequestError for a key that is empty, over 255
    characters or not printable ASCII.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return ()
    if not 0 < len(key) <= _MAX_KEY or not key.isascii() or not key.isprintable():
        raise RequestError("An idempotency key is 1 to 255 printable ASCII characters.", param="Idempotency-Key")
    digest = hashlib.sha256(dialect.encode() + b"\0" + body).hexdigest()
    return (Name("idempotency", key, digest),)


def leave_policy(request: Request, otherwise: LeavePolicy) -> LeavePolicy:
    """What the request asks to be done when everybody has left. Raises RequestError."""
    asked = request.headers.get("headrace-on-leave")
    return otherwise if asked is None else LeavePolicy.parse(asked)


def cursor_of(request: Request, head: Head) -> Cursor:
    """Where a reader of the stream in the URL goes on: ``Last-Event-ID``, ``starting_after`` or ``after``.

    The header wins, because a browser repeats the query of its first request on each of its reconnections.
    Raises RequestError where it names another stream.
    """
    event_id = request.headers.get("last-event-id")
    if event_id:
        return _cursor(_utf8(event_id), head, "Last-Event-ID")
    for name in ("starting_after", "after"):
        if name in request.query_params:
            return _cursor(request.query_params[name], head, name)
    return NOTHING_SEEN


def _cursor(event_id: str, head: Head, param: str) -> Cursor:
    stream, cursor = parse_event_id(event_id)
    if stream not in ("", head.id):
        raise RequestError("The event id is of another stream.", param=param)
    return cursor


async def continued(service: Service, request: Request, owner: str) -> tuple[Head, Cursor] | None:
    """The stream that a repeated request goes on with, by its ``Last-Event-ID``: never a second generation.

    Raises RequestError for an id that names no stream, NotFound and StreamGone for one that is not there.
    """
    event_id = request.headers.get("last-event-id")
    if not event_id:
        return None
    stream, cursor = parse_event_id(_utf8(event_id))
    if stream:
        return await service.registry.find(owner, stream, ()), cursor
    key = request.headers.get("idempotency-key")
    if key is None:
        raise RequestError("Here an event id must name its stream, as <stream>:<cursor>.", param="Last-Event-ID")
    bound = await service.registry.log.resolve(owner, key, ("idempotency",))
    if bound is None:
        raise NotFound("There is no such stream.")
    return await service.registry.find(owner, bound.id), cursor


def _utf8(header: str) -> str:
    """Header values come as Latin-1; Last-Event-ID is sent as UTF-8 (WHATWG)."""
    return header.encode("latin-1").decode("utf-8", "replace")
