"""Any stream, by its id or one of its names: read, list, stop, delete; for ``EventSource``, ``curl -N`` and people."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from headrace.core.log import Head
from headrace.errors import RequestError
from headrace.faces.access.auth import Caller, caller
from headrace.faces.dialects import DIALECTS, EVENT_STREAM, SHORT, named
from headrace.faces.raw import rejoin
from headrace.faces.removal import remove
from headrace.faces.requests import cursor_of
from headrace.faces.service import Service, service
from headrace.faces.streamed import streamed
from headrace.model.dialect import RAW
from headrace.model.outcome import State

router = APIRouter(prefix="/v1/streams", tags=["Streams"])

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]
Reference = Annotated[str, Path(description="A stream's id, or one of its names (`chatcmpl-…`, an idempotency key).")]

_MOST = 1000


@router.get("", summary="List one's own streams")
async def index(
    at: Asked,
    who: Asker,
    *,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 100,
    before: Annotated[str, Query(description="The last id of the page before.", max_length=100)] = "",
) -> dict[str, Any]:
    """List one's own streams, newest first."""
    heads = await at.registry.log.list(who.owner, before=before, limit=limit)
    return {"object": "list", "data": [_summary(head) for head in heads], "has_more": len(heads) == limit}


@router.get("/{id}", summary="Read a stream")
async def read(
    request: Request,
    id: Reference,
    at: Asked,
    who: Asker,
    *,
    show: Annotated[str | None, Query(alias="as", description=f"One of: {', '.join(SHORT)}.")] = None,
    after: Annotated[str | None, Query(description="The last event id seen; `Last-Event-ID` is stronger.")] = None,  # noqa: ARG001
    participate: Annotated[bool, Query(description="Count as somebody for whom the answer goes on.")] = False,
) -> Response:
    """Read a stream as server-sent events, from the start or after the last event that was seen.

    In the dialect in which it was started, or as another. A finished stream is replayed whole; a cursor past its end
    gets 204, which is what stops an `EventSource`. Readers here are observers: their leaving stops nothing.
    """
    head = await at.registry.find(who.owner, id)
    cursor = cursor_of(request, head)
    if head.meta.dialect == RAW:
        if show is not None:
            raise RequestError("What was recorded as it came is shown so.", param="as")
        return await rejoin(at, head, cursor, participant=participate)
    dialect = named(show, head.meta.dialect)
    headers = {"headrace-stream-id": head.id, "location": f"/v1/streams/{head.id}"}
    retry = DIALECTS[dialect].media_type == EVENT_STREAM
    return streamed(at, head, cursor, dialect, headers, named=True, participant=participate, retry=retry)


@router.head("/{id}", summary="Look at a stream")
async def look(id: Reference, at: Asked, who: Asker) -> Response:
    """Tell how a stream stands, without its records."""
    head = await at.registry.find(who.owner, id)
    return Response(
        headers={
            "headrace-stream-id": head.id,
            "headrace-state": state_of(head),
            "headrace-tail": str(head.tail),
            "cache-control": "no-store",
        }
    )


@router.post("/{id}/cancel", summary="Stop a stream")
async def cancel(id: Reference, at: Asked, who: Asker) -> dict[str, object]:
    """Stop a stream; idempotent. Says whether it was still running."""
    head = await at.registry.find(who.owner, id)
    running, state = await at.registry.cancel(head)
    if running:
        return {"cancelled": True, "state": state}
    return {"cancelled": False, "state": state, "reason": f"already {state}"}


@router.delete("/{id}", summary="Delete a stream")
async def delete(id: Reference, at: Asked, who: Asker) -> dict[str, object]:
    """Stop a stream and remove everything that is kept of it."""
    head = await at.registry.find(who.owner, id)
    await remove(at, head)
    return {"id": head.id, "deleted": True}


def state_of(head: Head) -> State:
    """Where a stream is in its life."""
    return State.OPEN if head.outcome is None else head.outcome.state


def _summary(head: Head) -> dict[str, Any]:
    outcome = head.outcome
    summary: dict[str, Any] = {
        "id": head.id,
        "object": "stream",
        "model": head.meta.model,
        "dialect": head.meta.dialect,
        "created": head.meta.created,
        "state": state_of(head),
        "records": head.tail,
        "bytes": head.size,
    }
    if outcome is not None:
        summary |= {"reason": outcome.reason, "ended": outcome.ended_at, "upstream": outcome.upstream}
        summary["tried"] = [tried._asdict() for tried in outcome.tried]
        if outcome.usage is not None:
            usage = outcome.usage
            summary["usage"] = {"input": usage.input, "output": usage.output, "exact": usage.exact}
    return summary
