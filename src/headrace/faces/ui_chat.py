"""The AI SDK's ``useChat``: send, resume and stop, by the id of the chat.

A chat has one answer at a time. There is no gate: the reply begins at once with the message's start, so that whoever
resumes finds something to show. The client's own resume is a replay from the start, which replaces what it had.
"""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from headrace.core.log import Head, Name
from headrace.core.routing import Call
from headrace.core.stream import NOTHING_SEEN, Cursor
from headrace.errors import NameTaken, StreamOpen
from headrace.faces import failures, schemas
from headrace.faces.access.auth import Caller, caller
from headrace.faces.requests import body_of, continued, leave_policy, names_of
from headrace.faces.service import Service, service
from headrace.faces.starting import Wish, started
from headrace.faces.streamed import streamed
from headrace.model.dialect import UI
from headrace.wire import estimate
from headrace.wire.json_object import objects
from headrace.wire.ui.request import parse_request, parse_stop

router = APIRouter(prefix="/api/chat", tags=["AI SDK"])

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]
Chat = Annotated[str, Path(description="The chat's id.")]

#: For how many seconds after its end an answer is still replayed: a page that lost its last piece gets it.
REPLAY = 60.0


@router.post("", summary="Answer a chat", openapi_extra=schemas.UI)
async def send(request: Request, at: Asked, who: Asker) -> Response:
    """Answer the last message of a chat, as a UI message stream.

    One answer at a time: while the chat has an active stream this is a 409, which names that stream. Without `model`:
    the default one. `Headrace-On-Leave` (`cancel`, `linger=SECONDS`, `keep`) says what happens when everybody has left.
    """
    body = await body_of(request)
    if (found := await continued(at, request, who.owner)) is not None:
        return _stream(at, *found)
    asked = parse_request(body)
    model = asked.model or await at.routes.default()
    said = [{"content": message.get("parts")} for message in objects(asked.body["messages"])]
    wish = Wish(
        call=Call(dialect=UI, body=asked.body, model=model, stream=True),
        dialect=UI,
        policy=leave_policy(request, who.on_leave or at.manners.api_chat),
        conversation=asked.chat,
        echo={"prompt_tokens": estimate.prompt_tokens(said), "message": asked.continues},
    )
    head, ours = await _start(at, who, wish, names_of(request, UI, body))
    if not ours:
        return _busy(request, head, "This chat is being answered; stop that, or wait for its end.")
    return _stream(at, head, NOTHING_SEEN)


@router.get("/{chat:path}/stream", summary="Resume a chat's answer")
async def resume(request: Request, chat: Chat, at: Asked, who: Asker) -> Response:
    """Replay the chat's answer from its start and follow it; for a minute after its end, too. Else 204."""
    if (found := await continued(at, request, who.owner)) is not None:
        return _stream(at, *found)
    head = await _latest(at, who.owner, chat)
    if head is None or (head.outcome is not None and at.registry.clock.time() - head.outcome.ended_at > REPLAY):
        return Response(status_code=204, headers={"cache-control": "no-store"})
    return _stream(at, head, NOTHING_SEEN)


@router.post("/{chat:path}/stop", summary="Stop a chat's answer", openapi_extra=schemas.UI_STOP)
async def stop(request: Request, chat: Chat, at: Asked, who: Asker) -> Any:  # noqa: ANN401  (JSON, or a reply)
    """Stop the chat's answer: the one that is named, else the one that is active. Idempotent.

    Where `stream` or `messageId` names another than the chat's latest, this is a 409 and stops nothing: a late click
    does not hit the next answer.
    """
    named = parse_stop(await body_of(request))
    head = await _latest(at, who.owner, chat)
    if head is None:
        return {"cancelled": False}
    if named and named not in (head.id, head.meta.echo.get("message")):
        return _busy(request, head, "This chat has another answer by now.")
    running, state = await at.registry.cancel(head)
    if running:
        return {"cancelled": True, "state": state}
    return {"cancelled": False, "state": state, "reason": f"already {state}"}


# -- one answer at a time ----------------------------------------------------------------------------------------------


async def _start(at: Service, who: Caller, wish: Wish, key: Sequence[Name]) -> tuple[Head, bool]:
    """The stream of a request, or the one that keeps the chat busy (then it is not ours).

    Whoever starts takes a name that is made of the chat and its latest stream, and that only one can have: of two who
    have seen the same end, one starts and the other finds it. A name may lead to a stream that has ended too, where a
    later one was deleted; the next name is made of that.
    """
    chat = wish.conversation
    latest = await _latest(at, who.owner, chat)
    while latest is None or latest.outcome is not None or await _is_known(at, who.owner, key):
        turn = f"{latest.id if latest else ''}/{chat}"
        names = [*key, Name("client", turn), Name("chat", chat)]
        try:
            head, fresh = await started(at, who, wish, names)
        except NameTaken:
            if await _is_known(at, who.owner, key):
                raise
            latest = await _head(at, who.owner, "client", turn)
            continue
        if fresh or await _is_known(at, who.owner, key):
            return head, True
        latest = head
    return latest, False


async def _is_known(at: Service, owner: str, key: Sequence[Name]) -> bool:
    """Whether a request with this idempotency key has been made before."""
    return any([await at.registry.log.resolve(owner, name.name, (name.kind,)) for name in key])


async def _latest(at: Service, owner: str, chat: str) -> Head | None:
    """The latest stream of a chat; None where it has none, or none that is kept."""
    return await _head(at, owner, "chat", chat)


async def _head(at: Service, owner: str, kind: str, name: str) -> Head | None:
    bound = await at.registry.log.resolve(owner, name, (kind,))
    head = await at.registry.log.head(bound.id) if bound else None
    return None if head is None or head.gone else head


# -- replies -----------------------------------------------------------------------------------------------------------


def _busy(request: Request, head: Head, message: str) -> Response:
    reply = failures.of_error(StreamOpen(message), request.scope)
    reply.headers.update(_headers(head))
    return reply


def _stream(at: Service, head: Head, cursor: Cursor) -> Response:
    return streamed(at, head, cursor, UI, {**_headers(head), "x-vercel-ai-ui-message-stream": "v1"})


def _headers(head: Head) -> dict[str, str]:
    chat = quote(head.meta.conversation, safe="")
    where = f"/api/chat/{chat}/stream" if chat else f"/v1/streams/{head.id}?as=ui"
    return {"headrace-stream-id": head.id, "location": where}
