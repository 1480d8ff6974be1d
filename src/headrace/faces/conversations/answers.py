"""Answers in conversations: started below a message, once, and followed as any stream is."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from headrace.core.log import Name
from headrace.core.routing import Call
from headrace.core.stream import NOTHING_SEEN
from headrace.errors import HeadraceError, NameTaken, NotFound, RequestError, StoreError
from headrace.faces import schemas
from headrace.faces.access.auth import Caller, caller
from headrace.faces.conversations.requests import asked_in, body_of_chat, read
from headrace.faces.dialects import view
from headrace.faces.removal import remove
from headrace.faces.requests import body_of, leave_policy
from headrace.faces.service import Service, service
from headrace.faces.starting import Wish, started
from headrace.faces.whole import WholeReply
from headrace.model.dialect import CHAT, UI
from headrace.model.leave import LeavePolicy
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.records.answers import Begun, name_of, usage_of
from headrace.records.conversations import USER, Message
from headrace.wire import estimate
from headrace.wire.json_object import encode
from headrace.wire.said import said

router = APIRouter(prefix="/api/conversations", tags=["Conversations"])

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]

#: What a model is asked where its answer was cut.
GO_ON = (
    "Your last message was cut off before its end. Go on exactly where it stopped: repeat nothing of it, and do not"
    " introduce or excuse it."
)


#: Bytes of pictures, as they stand in messages, that one request to an upstream carries.
PICTURES = 32 << 20


@router.post("/{id}/answers", summary="Answer a message", status_code=201, openapi_extra=schemas.ANSWER)
async def answer(request: Request, id: Annotated[str, Path(max_length=64)], at: Asked, who: Asker) -> Response:
    """Answer a new message, or one again, or go on from an answer that was cut.

    A retry under the same `id` gets the same answer (200). With `stream: false` the reply waits for its end; else the
    answer is followed at `/v1/streams/{stream}?as=ui`. `Headrace-On-Leave` says what happens when everybody has left.
    """
    body = await body_of(request)
    place = read(body)
    asked, streams = asked_in(place), place.flag("stream") is not False
    policy = leave_policy(request, who.on_leave or at.manners.api_chat)
    begun = await at.talks.answers.begin(who.owner, id, asked)
    fresh = False
    if begun.answer.stream is None:
        name = name_of(id, asked.answer, hashlib.sha256(body).hexdigest())
        begun, fresh = await _start(at, who, begun, name, policy, streams=streams)
    status = 201 if fresh else 200
    if streams or begun.answer.state is not None:
        return _reply(begun, begun.answer, status)
    return await _whole(at, who, begun, status)


async def _start(
    at: Service, who: Caller, begun: Begun, name: Name, policy: LeavePolicy, *, streams: bool
) -> tuple[Begun, bool]:
    """Start the stream of an answer, or find it; True where it was started. What is refused leaves nothing behind."""
    answers = at.talks.answers
    try:
        head, fresh = await started(at, who, _wish(begun, policy, streams=streams), (name,))
    except HeadraceError as error:
        with suppress(StoreError):
            await answers.undo(begun)
        if isinstance(error, NameTaken):
            raise NameTaken("Another request was made under this answer's id.", param="id") from None
        raise
    if fresh:
        at.talks.taker.follow(at.registry, head.id, at.recorder.fill)
    try:
        bound = await answers.bind(who.owner, begun, head.id)
    except NotFound:  # the conversation was deleted meanwhile
        await remove(at, head)
        raise
    return msgspec.structs.replace(begun, answer=bound), fresh


def _wish(begun: Begun, policy: LeavePolicy, *, streams: bool) -> Wish:
    """What an upstream is asked. Raises RequestError where that is too much."""
    asked = begun.asked
    messages = _turns(begun)
    settings = {**begun.conversation.settings, **asked.settings, "model": asked.model}
    body = body_of_chat(messages, settings, stream=streams)
    return Wish(
        call=Call(dialect=CHAT, body=body, model=asked.model, stream=streams),
        dialect=UI,
        policy=policy,
        conversation=begun.conversation.id,
        echo={
            "prompt_tokens": estimate.prompt_tokens(body["messages"]),
            "message": asked.answer,
            "answer": asked.answer,
        },
    )


def _turns(begun: Begun) -> list[dict[str, Any]]:
    """The messages from the root on, as chat has them. An answer that says nothing is none."""
    if (
        sum(len(part["data_url"]) for message in begun.chain if message.role == USER for part in message.parts)
        > PICTURES
    ):
        raise RequestError("The pictures of this conversation are too large together.", param="parent")
    turns = [_turn(message) for message in begun.chain if message.role == USER or message.text.strip()]
    if begun.asked.goes_on and turns and turns[-1]["role"] != USER:
        turns.append({"role": USER, "content": GO_ON})
    return turns


def _turn(message: Message) -> dict[str, Any]:
    if message.role != USER or not message.parts:
        return {"role": message.role, "content": message.text}
    text = [{"type": "text", "text": message.text}] if message.text else []
    pictures = [{"type": "image_url", "image_url": {"url": part["data_url"]}} for part in message.parts]
    return {"role": USER, "content": [*text, *pictures]}


def _reply(begun: Begun, answer: Message, status: int) -> Response:
    told = {"message": begun.message, "answer": answer, "stream": answer.stream}
    return Response(encode(told), status, media_type="application/json", headers={"cache-control": "no-store"})


async def _whole(at: Service, who: Caller, begun: Begun, status: int) -> Response:
    """The answer when it has ended. Who waits for it is a participant."""
    head = await at.registry.find(who.owner, begun.answer.stream or "", ())
    reader = at.registry.read(head, view(UI), NOTHING_SEEN, participant=True)

    def finish(records: Sequence[Record], format: str, outcome: Outcome) -> Response:
        text, parts = said(records, format)
        ended = msgspec.structs.replace(
            begun.answer,
            text=text,
            parts=parts,
            state=str(outcome.state),
            reason=outcome.reason,
            usage=usage_of(outcome),
        )
        return _reply(begun, ended, status)

    return WholeReply(at.registry, reader, finish)
