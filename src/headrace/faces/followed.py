"""The reply to somebody who listens to a feed: server-sent events, with keep-alives, for as long as both live."""

from collections.abc import AsyncGenerator
from random import randint

from starlette.responses import Response

from headrace.core.registry import Registry
from headrace.faces.dialects import EVENT_STREAM
from headrace.faces.feed import Feed
from headrace.faces.paged import PagedReply
from headrace.faces.reply import NO_BUFFERING, RETRY
from headrace.faces.service import Service
from headrace.faces.topics.reply import PING


def followed(at: Service, feed: Feed, owner: str) -> Response:
    """The reply. It begins when whatever changes from then on is seen. Ends cleanly where the process stops."""
    return PagedReply(
        _blocks(at.registry, feed),
        media_type=EVENT_STREAM,
        headers=NO_BUFFERING,
        share=at.listeners.one(owner),
        sweep=at.registry.sweep,
        send_timeout=at.manners.send_timeout,
    )


async def _blocks(registry: Registry, feed: Feed) -> AsyncGenerator[bytes]:
    async with feed.listen() as listener:
        yield b"retry: %d\n\n" % randint(*RETRY)  # noqa: S311
        while not listener.ended:
            yield await listener.next(registry.keepalive) or PING
