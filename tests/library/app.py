"""Apps for tests of the library: one route, streams over a store or none, a clock that stands still or the real one."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from headrace.fastapi import Streams
from headrace.testing.asgi import AppDriver
from headrace.wire.sse import Decoder, Frame

Make = Callable[[Streams], Response]


@asynccontextmanager
async def serving(make: Make, url: str | None = "memory:", **options: Any) -> AsyncIterator[AppDriver]:
    """An app whose ``/go`` replies with what ``make`` makes of its streams. ``X-User`` is who asks."""
    streams = Streams(url, owner=lambda request: request.headers.get("x-user", "anybody"), grace=0.0, **options)
    app = FastAPI()
    app.include_router(streams.router)

    @app.api_route("/go", methods=["GET", "POST"])
    async def go(request: Request) -> Response:
        return make(streams)

    async with AppDriver(app) as driver:
        yield driver


def frames(body: bytes) -> list[Frame]:
    """The events of a body."""
    decoder = Decoder()
    found = decoder.feed(body)
    decoder.close()
    assert not decoder.discarded
    return found


def told(body: bytes) -> list[tuple[str, bytes]]:
    """Names and data of a body's events."""
    return [(frame.event, frame.data) for frame in frames(body)]
