"""The overview of what the server is doing: fed to dashboards once a second, while anybody looks."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from headrace.core.stream import id_in
from headrace.errors import NotFound
from headrace.faces.access.auth import Caller, caller
from headrace.faces.feed import News
from headrace.faces.followed import followed
from headrace.faces.service import Service, service
from headrace.wire import sse
from headrace.wire.json_object import encode

router = APIRouter(prefix="/api/overview", tags=["Page"])

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]


@router.get("", summary="Watch what the server is doing")
async def overview(at: Asked, who: Asker) -> Response:
    """Follow what the server is doing as a whole, as an event `overview` each second, and one's own streams.

    With an admin's key it is all streams. Of them it tells how they are, and never what they say.
    """
    look = at.overview(who.owner, everybody=who.admin)
    feed = at.feeds.named(f"overview {who.admin} {who.owner}", lambda: _told(look))
    return followed(at, feed, who.owner)


@router.post("/streams/{id}/cancel", summary="Stop a stream")
async def cancel(id: Annotated[str, Path(description="The stream's id.")], at: Asked, who: Asker) -> dict[str, object]:
    """Stop a stream of one's own, or with an admin's key anybody's; idempotent."""
    head = await at.registry.log.head(id_in(id))
    if head is None or head.gone or not (who.admin or head.meta.owner == who.owner):
        raise NotFound("There is no such stream.")
    running, state = await at.registry.cancel(head)
    return {"cancelled": running, "state": state}


async def _told(look: Callable[[], Awaitable[dict[str, Any]]]) -> News:
    return {"overview": sse.encode("overview", encode(await look()))}
