"""An app as its users would write it: the public API only. Run by uvicorn in a process of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from fastapi import FastAPI
from starlette.responses import Response

from headrace.fastapi import Streams

#: Items of one stream, and seconds between two.
LAST, PAUSE = 400, 0.005

app = FastAPI()
streams = Streams("sqlite:///streams.db", on_leave="keep", grace=0.1)
app.include_router(streams.router)
runs = 0


async def count(last: int) -> AsyncIterator[dict[str, int]]:
    global runs  # noqa: PLW0603
    runs += 1
    for number in range(last):
        yield {"number": number}
        await asyncio.sleep(PAUSE)


def count_plainly(last: int) -> Iterator[dict[str, int]]:
    global runs  # noqa: PLW0603
    runs += 1
    for number in range(last):
        yield {"number": number}
        time.sleep(PAUSE)


@app.post("/async")
async def of_async(last: int = LAST) -> Response:
    return streams.sse(count(last))


@app.post("/plain")
async def of_plain(last: int = LAST) -> Response:
    return streams.sse(count_plainly(last))


@app.post("/lines")
async def lines(last: int = LAST) -> Response:
    return streams.ndjson(count(last))


@app.get("/runs")
async def how_often() -> int:
    return runs


@app.get("/ready")
async def ready() -> bool:
    return True
