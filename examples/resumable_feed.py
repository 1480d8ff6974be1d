"""A feed that goes on where its client lost it.

    uvicorn examples.resumable_feed:app
    curl -N -m 2 http://127.0.0.1:8000/sse/resumable
    curl -N http://127.0.0.1:8000/sse/resumable -H 'Last-Event-ID: THE LAST id: YOU SAW'

An ``EventSource`` does the second by itself: it repeats its request with the id of the last event. What it missed is
sent from the store, and the generator is not started twice. Every item is in ``./streams-data`` before it is sent, so
that neither a lost connection nor ``kill -9`` makes a gap.
"""

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI, Response

from headrace.fastapi import Streams

#: A feed that everybody has left goes on for a minute. After that it is cancelled, and a late client is told so.
streams = Streams("sqlite:///streams-data", on_leave="linger=60")

app = FastAPI()
app.include_router(streams.router)


async def feed() -> AsyncIterator[dict[str, int]]:
    """Something new every tenth of a second."""
    for number in range(1, 101):
        yield {"news": number}
        await asyncio.sleep(0.1)


@app.get("/sse/resumable")
async def resumable() -> Response:
    """Begin a feed, or go on with the one that ``Last-Event-ID`` names."""
    return streams.sse(feed(), retry=1000)
