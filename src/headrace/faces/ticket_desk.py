"""Where tickets are had: by who owns the stream, with a key."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi import Path as InPath

from headrace.faces.auth import Caller, caller
from headrace.faces.service import Service, service
from headrace.faces.tickets import Right, Tickets

router = APIRouter(prefix="/v1/streams", tags=["Streams"])


@router.post("/{id}/tickets", status_code=201)
async def issue(
    request: Request,
    id: Annotated[str, InPath(description="A stream's id, or one of its names.")],
    at: Annotated[Service, Depends(service)],
    who: Annotated[Caller, Depends(caller)],
    *,
    right: Annotated[Right, Query(description="What the ticket allows.")] = Right.READ,
    seconds: Annotated[float | None, Query(gt=0, description="For how long; never longer than configured.")] = None,
) -> dict[str, Any]:
    """Make a ticket: a signed link to one stream, for an `EventSource`, which cannot send a key."""
    head = await at.registry.find(who.owner, id)
    tickets: Tickets = request.app.state.tickets
    ticket = tickets.issue(who.owner, who.key, kind="stream", name=head.id, right=right, lifetime=seconds)
    path = f"/v1/streams/{head.id}" + ("/cancel" if right is Right.CANCEL else "")
    return {"ticket": ticket, "url": f"{path}?ticket={ticket}", "expires": tickets.check(ticket).expires}
