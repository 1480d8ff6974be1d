"""Signing in: a page shows a key once and gets a session for it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from starlette.responses import Response

from headrace.errors import Unauthorized
from headrace.faces.access.auth import Caller, caller
from headrace.faces.access.sessions import is_secure
from headrace.faces.requests import body_of
from headrace.faces.schemas import SESSION
from headrace.faces.service import Service, service
from headrace.wire.json_object import parse
from headrace.wire.place import Place

router = APIRouter(prefix="/api/session", tags=["Page"])

Asked = Annotated[Service, Depends(service)]

_NEVER_KEPT = {"cache-control": "no-store"}


class SessionState(BaseModel):
    """Who a page is to this server. ``protected`` where a key is needed."""

    protected: bool
    signed_in: bool
    owner: str | None
    admin: bool


@router.get("", summary="Tell who one is")
async def show(request: Request, reply: Response, at: Asked) -> SessionState:
    """Tell whether a key is needed here, and whether the request has shown one or a session. Needs no key."""
    reply.headers.update(_NEVER_KEPT)
    try:
        who: Caller | None = await caller(request)
    except Unauthorized:
        who = None
    return SessionState(
        protected=await at.protected(),
        signed_in=who is not None,
        owner=who and who.owner,
        admin=who is not None and who.admin,
    )


@router.post("", summary="Sign in", status_code=204, openapi_extra=SESSION)
async def sign_in(request: Request, at: Asked) -> Response:
    """Exchange a key for a session: a cookie that scripts cannot read, good for twelve hours or as long as the key."""
    key = Place(parse(await body_of(request))).needed("key")
    who = await caller(_showing(request, key))
    reply = Response(status_code=204, headers=_NEVER_KEPT)
    if await at.protected():
        at.sessions.open(reply, who.owner, who.key, secure=is_secure(request.scope))
    return reply


@router.delete("", summary="Sign out", status_code=204)
async def sign_out(request: Request, at: Asked) -> Response:
    """Take the session away from the browser. Needs no key."""
    reply = Response(status_code=204, headers=_NEVER_KEPT)
    at.sessions.end(reply, secure=is_secure(request.scope))
    return reply


def _showing(request: Request, key: str) -> Request:
    """The request as if it showed a key in its header, and nothing else."""
    headers = [(b"authorization", b"Bearer " + key.encode())]
    return Request({**request.scope, "headers": headers, "query_string": b""})
