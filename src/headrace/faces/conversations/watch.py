"""The watch over one's own conversations: which have changed, on whatever worker or machine.

The database is where all of them meet, so that is what is looked at: by its index, once a second for each owner who
has somebody listening. Versions are compared and not times, so no clock has to agree with another.
"""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from headrace.faces.access.auth import Caller, caller
from headrace.faces.feed import News
from headrace.faces.followed import followed
from headrace.faces.service import Service, service
from headrace.records.conversations import WATCHED, Conversations
from headrace.wire import sse
from headrace.wire.json_object import encode

router = APIRouter(prefix="/api/conversations", tags=["Conversations"])

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]


@router.get("/watch", summary="Watch one's own conversations")
async def watch(at: Asked, who: Asker) -> Response:
    """Follow which of one's own conversations change, as server-sent events `changed`; of the latest thousand."""
    feed = at.feeds.named(f"conversations {who.owner}", Changes(at.talks.conversations, who.owner).look)
    return followed(at, feed, who.owner)


class Changes:
    """What has changed of an owner's conversations between two looks."""

    def __init__(self, conversations: Conversations, owner: str) -> None:
        self._conversations = conversations
        self._owner = owner
        self._known: Mapping[str, float] | None = None

    async def look(self) -> News:
        """What is new since the last look; nothing at the first one. Raises StoreError."""
        known, found = self._known, await self._conversations.versions(self._owner)
        self._known = found
        if known is None or known == found:
            return {}
        changed = {id: _changed(id, updated) for id, updated in found.items() if known.get(id) != updated}
        return changed | {id: _deleted(id, known[id]) for id in _gone(known, found)}


def _gone(known: Mapping[str, float], found: Mapping[str, float]) -> list[str]:
    """Those that are no more. What newer ones have pushed out of a full list may be there still."""
    oldest = min(found.values()) if len(found) == WATCHED else 0.0
    return [id for id, updated in known.items() if id not in found and updated >= oldest]


def _changed(id: str, updated: float) -> bytes:
    return sse.encode("changed", encode({"id": id, "updated": updated}))


def _deleted(id: str, updated: float) -> bytes:
    return sse.encode("changed", encode({"id": id, "updated": updated, "deleted": True}))
