"""Server-sent events: a counter, in as few lines as it takes to do it right.

    uvicorn examples.sse_counter:app
    curl -N 'http://127.0.0.1:8000/sse/numbers?to=5'

A silent generator is kept alive with a comment every 15 seconds, a client who leaves ends it, and the last event is
``close``: an ``EventSource`` that is not told to stop would begin again.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import FastAPI, Query, Response

from headrace.fastapi import sse

app = FastAPI()


async def numbers(to: int) -> AsyncIterator[dict[str, int]]:
    """Count."""
    for number in range(1, to + 1):
        yield {"number": number, "of": to}
        await asyncio.sleep(0.1)


@app.get("/sse/numbers")
async def count(to: Annotated[int, Query(ge=1, le=10_000)] = 10) -> Response:
    """Send an event for each number."""
    return sse(numbers(to))
