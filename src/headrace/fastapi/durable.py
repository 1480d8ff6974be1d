"""Durable replies: a generator's items go into a log, and the client reads that; so does everybody who comes later."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, NoReturn

from fastapi import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import NoMatchFound
from starlette.types import Receive, Scope, Send

from headrace.core.log import Head
from headrace.core.registry import Registry
from headrace.core.stream import NOTHING_SEEN, Cursor, parse_event_id, past_end
from headrace.errors import HeadraceError, NotFound, RequestError, Unauthorized
from headrace.faces.reply import RETRY, StreamReply
from headrace.faces.requests import names_of
from headrace.fastapi.answer import Local
from headrace.fastapi.errors import Cut
from headrace.fastapi.forms import FORMS, SSE, Form, to_json, view
from headrace.fastapi.replies import GATE, Manner, refused
from headrace.fastapi.source import Source
from headrace.model.leave import LeavePolicy
from headrace.model.outcome import State
from headrace.model.record import Record
from headrace.model.request import Meta
from headrace.wire.disposition import attachment

#: Seconds for which a client may take nothing of what it is sent before it is let go; it can rejoin.
SEND = 30.0

Owner = Callable[[Request], str | Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Desk:
    """Where requests meet the streams of an app: whose they are, and under which name their route is found."""

    registry: Registry
    owner: Owner
    route: str

    async def owner_of(self, request: Request) -> str:
        """Whose streams the request may see. Raises Unauthorized where the app names nobody."""
        named = self.owner(request)
        owner = await named if isawaitable(named) else named
        if not owner:
            raise Unauthorized("It is not known who asks.")
        return owner

    async def find(self, request: Request, reference: str) -> Head:
        """One of the asker's streams. Raises NotFound and StreamGone."""
        head = await self.registry.find(await self.owner_of(request), reference)
        if head.meta.dialect not in FORMS:
            raise NotFound("There is no such stream.")
        return head

    def reply(
        self, request: Request, head: Head, cursor: Cursor, *, participant: bool, named: bool = False
    ) -> Response:
        """What the client has not seen of a stream yet; 204 where that is nothing. Raises OffsetAhead."""
        if _all_seen(head, cursor):
            return Response(status_code=204)
        echo = head.meta.echo
        headers = {"headrace-stream-id": head.id, **self._location(request, head)}
        if echo.get("filename"):
            headers["content-disposition"] = attachment(echo["filename"])
        retry = echo.get("retry")
        return Delivery(
            self.registry,
            self.registry.read(head, view(head, named=named), cursor, participant=participant),
            media_type=echo["media_type"],
            headers=headers,
            send_timeout=SEND,
            gate=GATE if cursor == NOTHING_SEEN else 0.0,
            refused=refused,
            retry=head.meta.dialect == SSE.name and (RETRY if retry is None else (retry, retry)),
        )

    def _location(self, request: Request, head: Head) -> dict[str, str]:
        """Where the stream is rejoined, if the app has the router."""
        try:
            path = request.app.url_path_for(self.route, id=head.id)
        except NoMatchFound:
            return {}
        return {"location": request.scope.get("root_path", "").rstrip("/") + path}


class Delivery(StreamReply):
    """A reply that raises where it stays unfinished: the server breaks the connection, and its log says so."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply. Raises Cut where the body stays unfinished although the client is there."""
        await super().__call__(scope, receive, send)
        if not (self.whole or self._left):
            raise Cut


class Durable(Response):
    """Starts a stream when it is sent; or goes on with the one that a repeated request means."""

    def __init__(
        self,
        form: Form,
        desk: Callable[[], Desk],
        open_source: Callable[[], Source[Record]],
        manner: Manner,
        *,
        policy: LeavePolicy,
        fingerprint: object = None,
    ) -> None:
        self.status_code = manner.status_code
        self.media_type = manner.media_type
        self.background = None
        self.init_headers(manner.head())
        self._form = form
        self._desk = desk
        self._open = open_source
        self._manner = manner
        self._policy = policy
        self._fingerprint = fingerprint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply. Raises HTTPException for what the client may not do, and Cut where the body stays unfinished."""
        request = Request(scope, receive)
        try:
            reply = await self._reply(request)
        except HeadraceError as error:
            refuse(error)
        if isinstance(reply, Delivery):
            reply.status_code = self.status_code
            ours = [(name, value) for name, value in reply.raw_headers if name in _OURS]
            reply.raw_headers = [*self.raw_headers, *ours]
        await reply(scope, receive, send)
        if self.background is not None:
            await self.background()

    async def _reply(self, request: Request) -> Response:
        desk = self._desk()
        owner = await desk.owner_of(request)
        found = await self._continued(desk.registry, request, owner)
        head, cursor = found or (await self._started(desk.registry, request, owner), NOTHING_SEEN)
        return desk.reply(request, head, cursor, participant=True, named=True)

    async def _continued(self, registry: Registry, request: Request, owner: str) -> tuple[Head, Cursor] | None:
        """The stream that an ``EventSource`` comes back to: it repeats its request with the last id that it saw."""
        event_id = request.headers.get("last-event-id")
        if not event_id or self._form is not SSE:
            return None
        id, cursor = parse_event_id(event_id)
        if not id:
            raise RequestError("Here an event id must name its stream, as <stream>:<cursor>.", param="Last-Event-ID")
        return await registry.find(owner, id, ()), cursor

    async def _started(self, registry: Registry, request: Request, owner: str) -> Head:
        manner = self._manner
        asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
        names = names_of(request, self._form.name, asked + to_json(self._fingerprint))
        meta = Meta(
            owner=owner,
            dialect=self._form.name,
            created=registry.clock.time(),
            on_leave=str(self._policy),
            echo={
                "media_type": manner.media_type,
                "filename": manner.filename,
                "retry": manner.retry,
                "keepalive": manner.keepalive,
                "close": manner.close,
            },
        )
        upstream = Local(self._form.name, self._open)
        return (await registry.start(meta, [upstream.attempt()], self._policy, names)).head


#: The headers of a delivery that the reply did not know before there was a stream.
_OURS = frozenset({b"headrace-stream-id", b"location"})


def refuse(error: HeadraceError) -> NoReturn:
    """Raise an error of ours as FastAPI's own, so that the app shows it as it shows all others."""
    detail: dict[str, Any] = {"code": error.code, "message": error.message, "retry": error.retryable}
    raise HTTPException(error.status, detail) from None


def _all_seen(head: Head, cursor: Cursor) -> bool:
    """Whether nothing is left, the end included. Raises OffsetAhead."""
    if past_end(head, cursor):
        return True
    untold = head.outcome is not None and head.outcome.state is State.COMPLETED and not head.meta.echo.get("close")
    return untold and cursor == Cursor(head.tail)
