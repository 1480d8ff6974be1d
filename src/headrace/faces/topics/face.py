"""Live topics: logs with many writers, by path, in the Durable Streams protocol.

A topic belongs to the key that made it. Whoever reads it is at an offset, catches up from there, and may follow it: by
long-polling or as server-sent events, which a browser's ``EventSource`` resumes by itself.
"""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from headrace.core.deadlines import pause
from headrace.core.topic_append import Appended
from headrace.core.topic_log import Offset, TopicBatch, TopicHead
from headrace.core.topic_reader import TopicReader
from headrace.errors import RequestError
from headrace.faces import failures
from headrace.faces.access.auth import Caller, caller
from headrace.faces.reply import left
from headrace.faces.requests import body_of
from headrace.faces.service import Service, service
from headrace.faces.topics.reply import (
    Following,
    TopicEvents,
    batch_of,
    etag_of,
    head_of,
    life_of,
    page,
    refusal_of,
)
from headrace.faces.topics.request import ROOT, append_of, create_of, live_of, offset_of, path_of, records_of
from headrace.wire import durable

router = APIRouter(prefix="/v1/topics", tags=["Topics"])

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]
TopicPath = Annotated[str, Path(description="The topic's path, such as `build/log`.")]

#: Bytes on one page of a topic, and in one event.
PAGE = 1 << 20
EVENT = 64 << 10

#: Seconds for which a poll is held that comes while the process stops: an empty reply at once would be followed by the
#: next question at once, over and over, for as long as running answers are given their time.
PARTING = 1.0


@router.get("", summary="List one's own topics")
async def index(
    at: Asked,
    who: Asker,
    *,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[str, Query(description="The last path of the page before.", max_length=512)] = "",
) -> dict[str, Any]:
    """List one's own topics, by path."""
    heads = await at.topics.list(who.owner, after=after, limit=limit)
    return {"object": "list", "data": [_summary(head) for head in heads], "has_more": len(heads) == limit}


@router.put("/{path:path}", summary="Create a topic")
async def create(request: Request, path: TopicPath, at: Asked, who: Asker) -> Response:
    """Create a topic, with its first content or as a fork of another; 200 where it is there and just as asked."""
    asked = create_of(request, who.owner, path)
    body = await body_of(request)
    head, made = await at.topics.create(asked, lambda kind: records_of(body, kind))
    headers = {**head_of(head), **life_of(head), "cache-control": "no-store"}
    if made:
        headers["location"] = _url(request, head)
    return Response(b"", 201 if made else 200, headers=headers)


@router.post("/{path:path}", summary="Append to a topic")
async def append(request: Request, path: TopicPath, at: Asked, who: Asker) -> Response:
    """Append a body to a topic, close it (`Stream-Closed: true`), or both at once. Producers may repeat themselves."""
    head = await at.topics.find(who.owner, path_of(path))
    body = await body_of(request)
    try:
        asked = append_of(request, body)
        done = await at.topics.append(head, asked)
    except RequestError as error:
        reply = failures.of_error(error, request.scope)
        reply.headers.update(refusal_of(error))
        if "producer-expected-seq" in reply.headers:
            reply.headers["producer-received-seq"] = request.headers["producer-seq"]
        return reply
    new = bool(asked.producer and asked.records and not done.repeated)
    return Response(None, 200 if new else 204, headers=_appended(done))


@router.head("/{path:path}", summary="Look at a topic")
async def look(path: TopicPath, at: Asked, who: Asker) -> Response:
    """Tell how a topic stands. That is no reading: its time to live goes on."""
    head = await at.topics.find(who.owner, path_of(path))
    return Response(headers={**head_of(head), **life_of(head), "cache-control": "no-store"})


@router.delete("/{path:path}", summary="Delete a topic")
async def delete(path: TopicPath, at: Asked, who: Asker) -> Response:
    """Delete a topic. Its forks keep what they read of it."""
    await at.topics.delete(who.owner, path_of(path))
    return Response(status_code=204)


@router.get("/{path:path}", summary="Read a topic")
async def read(
    request: Request,
    path: TopicPath,
    at: Asked,
    who: Asker,
    *,
    cursor: Annotated[str | None, Query(description="The `Stream-Cursor` of the last live reply.")] = None,
) -> Response:
    """Read a topic after an `offset` (`-1`: from its start, `now`: from its tail), and with `live` follow it."""
    head = await at.topics.find(who.owner, path_of(path))
    shown, live = offset_of(request), live_of(request)
    if shown is None and "live" in request.query_params:
        raise RequestError("A live read needs an offset.", param="offset")
    start = await at.topics.place(head, "-1" if shown is None else shown)
    cache = "no-store" if who.key else "no-cache"
    if not live:
        return _catch_up(request, head, start, await at.topics.read(head, start, PAGE), f"private, {cache}")
    manners = at.registry.keepalive, at.manners.send_timeout, cursor
    following = Following(at.topics, at.registry.sweep, *manners)
    if live == "sse":
        batch = await at.topics.read(head, start, EVENT)
        if batch.ended and not batch.records and request.headers.get("last-event-id"):
            return Response(status_code=204)  # which stops an EventSource
        return TopicEvents(following, head, batch, f"private, {cache}, no-cache, no-transform")
    batch = await _unless_left(request, _poll(at, head, start))
    headers = {**batch_of(batch), "stream-cursor": following.next_cursor(), "cache-control": f"private, {cache}"}
    return page(head, batch, headers, empty=204)


async def _poll(at: Service, head: TopicHead, start: Offset) -> TopicBatch:
    """What there is, or comes before a stream would carry a keep-alive."""
    batch = await at.topics.read(head, start, PAGE)
    if batch.records or batch.ended:
        return batch
    if at.topics.draining:
        await pause(at.registry.clock, PARTING)
        return await at.topics.read(head, start, PAGE)
    return await TopicReader(at.topics, head, start).next(at.registry.keepalive, PAGE) or batch


async def _unless_left(request: Request, work: Coroutine[Any, Any, TopicBatch]) -> TopicBatch:
    """Do the work as long as the client is there."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(left(request.receive))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise RequestError("The client has left.")
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


def _catch_up(request: Request, head: TopicHead, start: Offset, batch: TopicBatch, cache: str) -> Response:
    headers = {**batch_of(batch), "cache-control": cache}
    if request.query_params.get("offset") == "now":
        return page(head, batch, {**headers, "cache-control": "no-store"})
    headers["etag"] = etag_of(head, str(start), batch)
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or headers["etag"] in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(None, 304, headers=headers)
    return page(head, batch, headers)


def _appended(done: Appended) -> dict[str, str]:
    headers = {"stream-next-offset": str(done.head.offset)}
    if done.head.closed:
        headers["stream-closed"] = "true"
    if done.producer is not None:
        headers["producer-epoch"] = str(done.producer.epoch)
        headers["producer-seq"] = str(done.producer.sequence)
    return headers


def _url(request: Request, head: TopicHead) -> str:
    """The absolute URL of a topic. The guard has looked at the host."""
    root = request.scope.get("root_path", "")
    return f"{request.url.scheme}://{request.url.netloc}{root}{ROOT}{quote(head.topic.path)}"


def _summary(head: TopicHead) -> dict[str, Any]:
    topic = head.topic
    return {
        "path": topic.path,
        "object": "topic",
        "content_type": topic.content_type,
        "created": topic.created,
        "closed": head.closed,
        "records": head.tail,
        "bytes": head.size,
        "next_offset": str(head.offset),
        "ttl": topic.ttl,
        "expires": None if topic.expires is None else durable.shown_time(topic.expires),
    }
