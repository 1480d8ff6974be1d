"""Tickets for browsers: a signed link to one stream, for ``EventSource`` and pages that cannot send a key."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headrace.errors import Forbidden, RequestError
from headrace.faces.access.auth import Caller, caller
from headrace.faces.access.tickets import Right
from headrace.faces.requests import body_of
from headrace.faces.service import Service, service
from headrace.wire.json_object import parse

router = APIRouter(prefix="/v1/streams", tags=["Streams"])

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]


class TicketRequest(BaseModel):
    """What a ticket shall be good for."""

    model_config = ConfigDict(extra="forbid")

    right: Right = Right.READ
    lifetime: Annotated[float | None, Field(gt=0, le=3600, description="Seconds; at most what is configured.")] = None


_BODY = {"requestBody": {"content": {"application/json": {"schema": TicketRequest.model_json_schema()}}}}


class TicketReply(BaseModel):
    """A ticket and the URL that carries it."""

    ticket: str
    url: str


@router.post("/{id}/tickets", summary="Make a ticket for a browser", openapi_extra=_BODY)
async def issue(
    request: Request, id: Annotated[str, Path(description="A stream's id.")], at: Asked, who: Asker
) -> TicketReply:
    """Make a ticket for one stream: to read it or to cancel it, for minutes. Without a body: to read it."""
    asked = _asked(await body_of(request))
    if who.stream is not None:
        raise Forbidden("A ticket does not make tickets.")
    head = await at.registry.find(who.owner, id)
    ticket = at.tickets.issue(
        who.owner, who.key, kind="stream", name=head.id, right=asked.right, lifetime=asked.lifetime
    )
    action = "/cancel" if asked.right is Right.CANCEL else ""
    return TicketReply(ticket=ticket, url=f"/v1/streams/{head.id}{action}?ticket={ticket}")


def _asked(body: bytes) -> TicketRequest:
    """What the body asks for. Raises RequestError that names the field."""
    try:
        return TicketRequest.model_validate(parse(body) if body.strip() else {})
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][-1])
        raise RequestError(f"The field '{name}' is not valid: {problem['msg']}.", param=name) from None
