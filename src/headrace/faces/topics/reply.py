"""Replies about topics: how one stands, pages of it, and events for as long as a connection may last.

Readers of topics come back by themselves, so that their replies may end cleanly at any event: after a minute, when the
process stops, and when the topic is deleted.
"""

import asyncio
from collections.abc import AsyncIterator
from random import randint
from typing import NamedTuple

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headrace.core.deadlines import NEVER, Sweep
from headrace.core.topic_log import TopicBatch, TopicHead
from headrace.core.topic_reader import TopicReader
from headrace.core.topics import Topics
from headrace.errors import (
    NotFound,
    ProducerFenced,
    RequestError,
    SequenceConflict,
    StoreError,
    StreamGone,
    TopicClosed,
)
from headrace.faces.reply import NO_BUFFERING, RETRY, SEND, left
from headrace.wire import durable

#: Seconds after which a connection that follows a topic ends; the client opens another.
CONNECTION = 60.0
#: Intervals by which a cursor that is shown again goes on, at most.
_JITTER = 180

PING = b": ping\n\n"
#: A topic may hold a page of anybody's; it must not run as one of ours.
_HARMLESS = {"content-security-policy": "sandbox; default-src 'none'"}


def head_of(head: TopicHead) -> dict[str, str]:
    """How a topic stands, as headers."""
    told = {"content-type": head.topic.content_type, "stream-next-offset": str(head.offset)}
    if head.closed:
        told["stream-closed"] = "true"
    return told


def life_of(head: TopicHead) -> dict[str, str]:
    """When a topic expires, as headers."""
    if head.topic.ttl is not None:
        return {"stream-ttl": str(head.topic.ttl)}
    return {} if head.topic.expires is None else {"stream-expires-at": durable.shown_time(head.topic.expires)}


def batch_of(batch: TopicBatch) -> dict[str, str]:
    """Where a reader is after a batch, as headers."""
    told = {"stream-next-offset": str(batch.offset)}
    if batch.reached:
        told["stream-up-to-date"] = "true"
    if batch.ended:
        told["stream-closed"] = "true"
    return told


def refusal_of(error: RequestError) -> dict[str, str]:
    """What a refused writer needs to know, as headers."""
    if isinstance(error, TopicClosed):
        return {"stream-closed": "true", "stream-next-offset": error.offset}
    if isinstance(error, ProducerFenced):
        return {"producer-epoch": str(error.epoch)}
    if isinstance(error, SequenceConflict) and error.expected is not None:
        return {"producer-expected-seq": str(error.expected)}
    return {}


def etag_of(head: TopicHead, start: str, batch: TopicBatch) -> str:
    """What tells a page of a topic from what it is after an append or a close."""
    return f'"{head.id}:{start}:{batch.offset}{":c" if batch.ended else ""}"'


def page(head: TopicHead, batch: TopicBatch, headers: dict[str, str], *, empty: int = 200) -> Response:
    """A page of a topic. ``empty`` is the status where there is nothing on it."""
    if not batch.records and empty != 200:
        return Response(None, empty, headers=headers)
    body = durable.json_array(batch.records) if head.topic.is_json else b"".join(batch.records)
    return Response(body, headers={**headers, **_HARMLESS, "content-type": head.topic.content_type})


class Following(NamedTuple):
    """What it needs to follow a topic. Times in seconds; ``cursor`` is the one that the client shows."""

    topics: Topics
    sweep: Sweep
    keepalive: float
    send_timeout: float
    cursor: str | None = None

    def next_cursor(self) -> str:
        """The cursor to go on with."""
        return durable.cursor(self.topics.clock.time(), self.cursor, randint(1, _JITTER))  # noqa: S311


class TopicEvents(Response):
    """Follows a topic from ``batch`` on, as server-sent events."""

    def __init__(self, following: Following, head: TopicHead, batch: TopicBatch, cache: str) -> None:
        self.status_code = 200
        self.background = None
        kind = head.topic.kind
        encoded = {} if durable.is_text(kind) else {"stream-sse-data-encoding": "base64"}
        self.init_headers({**NO_BUFFERING, "content-type": "text/event-stream", "cache-control": cache, **encoded})
        self._with = following
        self._kind = kind
        self._first = batch
        self._reader = TopicReader(following.topics, head, batch.offset)
        self._cursor = following.next_cursor()
        self._task: asyncio.Task[None] | None = None
        self._send_due = NEVER
        self._left = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply. Returns early, without the last part of the body, where the topic cannot be read."""
        watcher = asyncio.create_task(self._watch(receive))
        self._task = asyncio.create_task(self._reply(scope, send))
        self._with.sweep.add(self)
        try:
            await self._task
        except asyncio.CancelledError:
            if not self._left:
                raise
        except OSError:
            pass  # the client has left: that is how some servers tell it on send
        finally:
            watcher.cancel()
            self._task.cancel()
            self._with.sweep.discard(self)

    def tick(self, now: float) -> None:
        """Let a client go that takes nothing of what it is sent."""
        if now >= self._send_due:
            self._leave()

    async def _watch(self, receive: Receive) -> None:
        await left(receive)
        self._leave()

    def _leave(self) -> None:
        self._left, self._send_due = True, NEVER
        if self._task is not None:
            self._task.cancel()

    async def _reply(self, scope: Scope, send: Send) -> None:
        if scope.get("http_version", "1.1") == "1.1":
            self.headers["connection"] = "keep-alive"
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        send = scope.get(SEND, send)
        try:
            async for block in self._blocks():
                self._send_due = self._with.sweep.now + self._with.send_timeout
                await send({"type": "http.response.body", "body": block, "more_body": True})
                self._send_due = NEVER
        except StoreError:
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _blocks(self) -> AsyncIterator[bytes]:
        topics = self._with.topics
        end = topics.clock.monotonic() + CONNECTION
        yield b"retry: %d\n" % randint(*RETRY) + self._block(self._first)  # noqa: S311
        ended = self._first.ended
        try:
            while not ended and (left := end - topics.clock.monotonic()) > 0 and not topics.draining:
                batch = await self._reader.next(min(self._with.keepalive, left))
                yield PING if batch is None else self._block(batch)
                ended = batch is not None and batch.ended
        except (NotFound, StreamGone):
            return

    def _block(self, batch: TopicBatch) -> bytes:
        data = durable.data_event(batch.records, self._kind) if batch.records else b""
        offset, cursor = str(batch.offset), self._cursor
        return data + durable.control_event(offset, cursor, up_to_date=batch.reached, closed=batch.ended)
