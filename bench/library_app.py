"""The app that bench/library.py measures: the same events, streamed in every way there is."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.responses import Response, StreamingResponse

from headrace.fastapi import Streams

try:
    from sse_starlette.sse import EventSourceResponse as Peer
except ImportError:
    Peer = None

app = FastAPI()
plain = Streams(None)
memory = Streams("memory:", prefix="/memory", keep=1)
sqlite = Streams(f"sqlite:{os.environ['BENCH_FOLDER']}", prefix="/sqlite")
app.include_router(memory.router)
app.include_router(sqlite.router)


async def events(count: int, rate: float) -> AsyncIterator[dict[str, object]]:
    """What is streamed: as fast as it is taken, or so many a second."""
    due = time.monotonic()
    for number in range(count):
        yield {"number": number, "text": "a token of some length", "done": False}
        if rate:
            due += 1 / rate
            await asyncio.sleep(max(0, due - time.monotonic()))


@app.get("/cpu")
def cpu() -> float:
    return time.process_time()


@app.get("/StreamingResponse")
async def starlette(count: int, rate: float = 0) -> Response:
    async def framed() -> AsyncIterator[str]:
        async for event in events(count, rate):
            yield f"data: {json.dumps(event)}\n\n"

    return StreamingResponse(framed(), media_type="text/event-stream")


@app.get("/sse-without-store")
async def without_store(count: int, rate: float = 0) -> Response:
    return plain.sse(events(count, rate))


@app.get("/sse-memory")
async def in_memory(count: int, rate: float = 0) -> Response:
    return memory.sse(events(count, rate))


@app.get("/sse-sqlite")
async def in_sqlite(count: int, rate: float = 0) -> Response:
    return sqlite.sse(events(count, rate))


@app.get("/fastapi.sse", response_class=EventSourceResponse)
async def of_fastapi(count: int, rate: float = 0) -> AsyncIterator[ServerSentEvent]:
    async for event in events(count, rate):
        yield ServerSentEvent(data=event)


if Peer is not None:

    @app.get("/sse-starlette")
    async def sse_starlette(count: int, rate: float = 0) -> Response:
        async def framed() -> AsyncIterator[dict[str, str]]:
            async for event in events(count, rate):
                yield {"data": json.dumps(event)}

        return Peer(framed())
