"""Conversations: what a page shows of them, on every device of their owner."""

import secrets
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from headrace.errors import NotFound, StreamGone
from headrace.faces import schemas
from headrace.faces.access.auth import Caller, caller
from headrace.faces.conversations.requests import id_in, read, settings_in, title_in
from headrace.faces.removal import remove
from headrace.faces.requests import body_of
from headrace.faces.service import Service, service
from headrace.records.conversations import USER, Conversation, Message
from headrace.wire.disposition import attachment
from headrace.wire.json_object import encode

router = APIRouter(prefix="/api/conversations", tags=["Conversations"])

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]
Reference = Annotated[str, Path(max_length=64, description="The conversation's id.")]

_NEVER_KEPT = {"cache-control": "no-store"}
_NO_TITLE = "conversation"


@router.get("", summary="List one's own conversations")
async def index(
    at: Asked,
    who: Asker,
    *,
    search: Annotated[str, Query(max_length=200, description="What titles or messages hold.")] = "",
    before: Annotated[str, Query(max_length=64, description="The last id of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """List one's own conversations, the latest change first."""
    kept = at.talks.conversations
    found = await kept.list(who.owner, search=search, before=before, limit=limit)
    if await at.talks.taker.settle(who.owner, [each.id for each in found if each.open]):
        found = await kept.list(who.owner, search=search, before=before, limit=limit)
    return _json({"data": found, "has_more": len(found) == limit})


@router.post("", summary="Make a conversation", status_code=201, openapi_extra=schemas.CONVERSATION)
async def create(request: Request, at: Asked, who: Asker) -> Response:
    """Make a conversation. Under an id that one has already this is a retry: that one, with 200."""
    body = await body_of(request)
    place = read(body if body.strip() else b"{}")
    id = id_in(place, "id") or secrets.token_urlsafe(16)
    made, fresh = await at.talks.conversations.create(who.owner, id, title_in(place) or "", settings_in(place) or {})
    return _json(made, 201 if fresh else 200)


@router.get("/{id}", summary="Show a conversation")
async def show(id: Reference, at: Asked, who: Asker) -> Response:
    """Show a conversation with all its messages, the oldest first. They are a tree, by their `parent`."""
    conversation, messages = await _whole(at, who, id)
    return _json({**_fields(conversation), "messages": messages})


@router.patch("/{id}", summary="Change a conversation", openapi_extra=schemas.CONVERSATION_CHANGE)
async def change(request: Request, id: Reference, at: Asked, who: Asker) -> Response:
    """Change a conversation's title, its settings, or which message was shown last."""
    place = read(await body_of(request))
    return _json(
        await at.talks.conversations.change(
            who.owner, id, title=title_in(place), settings=settings_in(place), leaf=id_in(place, "leaf")
        )
    )


@router.delete("/{id}", summary="Delete a conversation")
async def delete(id: Reference, at: Asked, who: Asker) -> dict[str, object]:
    """Delete a conversation: its answers are stopped, and nothing of them is kept."""
    for stream in await at.talks.conversations.streams(who.owner, id):
        try:
            await remove(at, await at.registry.find(who.owner, stream, ()))
        except (NotFound, StreamGone):
            continue
    await at.talks.conversations.delete(who.owner, id)
    return {"id": id, "deleted": True}


@router.get("/{id}/export", summary="Export a conversation")
async def export(
    id: Reference, at: Asked, who: Asker, *, format: Annotated[Literal["markdown", "json"], Query()] = "markdown"
) -> Response:
    """Export a conversation: all of it as JSON, or as Markdown the branch that was shown last."""
    conversation, messages = await _whole(at, who, id)
    title = conversation.title or _NO_TITLE
    if format == "json":
        reply = _json({**_fields(conversation), "messages": messages})
        reply.headers["content-disposition"] = attachment(f"{title}.json")
        return reply
    headers = {**_NEVER_KEPT, "content-disposition": attachment(f"{title}.md")}
    return Response(_markdown(conversation, messages), media_type="text/markdown; charset=utf-8", headers=headers)


async def _whole(at: Service, who: Caller, id: str) -> tuple[Conversation, list[Message]]:
    """A conversation and its messages, of which none is open that nobody writes. Raises NotFound."""
    await at.talks.taker.settle(who.owner, [id])
    conversation = await at.talks.conversations.find(who.owner, id)
    return conversation, list(await at.talks.conversations.messages(who.owner, id))


def _fields(conversation: Conversation) -> dict[str, Any]:
    return {name: getattr(conversation, name) for name in conversation.__struct_fields__}


def _json(value: object, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json", headers=_NEVER_KEPT)


# -- Markdown ----------------------------------------------------------------------------------------------------------


def _markdown(conversation: Conversation, messages: list[Message]) -> str:
    began = datetime.fromtimestamp(conversation.created, UTC).strftime("%Y-%m-%d %H:%M UTC")
    head = f"# {conversation.title or 'Conversation'}\n\n{began}\n"
    return "\n".join([head, *(_section(message) for message in _branch(conversation.leaf, messages))])


def _branch(leaf: str | None, messages: list[Message]) -> list[Message]:
    """The messages from the root to the leaf; without one, to the last message."""
    by_id = {message.id: message for message in messages}
    at = by_id.get(leaf or "") or (messages[-1] if messages else None)
    branch: list[Message] = []
    while at is not None:
        branch.append(at)
        at = by_id.get(at.parent or "")
    return branch[::-1]


def _section(message: Message) -> str:
    if message.role == USER:
        pictures = "".join("\n[a picture]\n" for _ in message.parts)
        return f"## User\n\n{message.text}\n{pictures}"
    end = "" if message.state in (None, "completed") else f"\n*({message.state})*\n"
    return f"## {message.model}\n\n{message.text}\n{end}"
