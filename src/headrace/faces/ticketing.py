"""Tickets for browsers: a signed link to one stream, for ``EventSource`` and pages that cannot send a key."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from headrace.errors import Forbidden
from headrace.faces.auth import Caller, caller
from headrace.faces.service import Service, service
from headrace.faces.tickets import Right

router = APIRouter(prefix="/v1/streams", tags=["Streams"])

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]


class TicketRequest(BaseModel):
    """What a ticket shall be good for."""

    model_config = ConfigDict(extra="forbid")

    right: Right = Right.READ
    lifetime: Annotated[float | None, Field(gt=0, le=3600, description="Seconds; at most what is configured.")] = None


class TicketReply(BaseModel):
    """A ticket and the URL that carries it."""

    ticket: str
    url: str


@router.post("/{id}/tickets")
async def issue(
    id: Annotated[str, Path(description="A stream's id.")], asked: TicketRequest, at: Asked, who: Asker
) -> TicketReply:
    """Make a ticket for one stream: to read it or to cancel it, for minutes."""
    if who.stream is not None:
        raise Forbidden("A ticket does not make tickets.")
    head = await at.registry.find(who.owner, id)
    ticket = at.tickets.issue(
        who.owner, who.key, kind="stream", name=head.id, right=asked.right, lifetime=asked.lifetime
    )
    action = "/cancel" if asked.right is Right.CANCEL else ""
    return TicketReply(ticket=ticket, url=f"/v1/streams/{head.id}{action}?ticket={ticket}")
