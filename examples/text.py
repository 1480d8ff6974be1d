"""Text, word by word, as it is made.

    uvicorn examples.text:app
    curl -N http://127.0.0.1:8000/stream/text
    curl -N http://127.0.0.1:8000/stream/async

The first comes from an ordinary generator, which may block, the second from an asynchronous one, which may not.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from fastapi import FastAPI, Response

from headrace.fastapi import text

TEXT = "Each of these words is sent when it is there, and not when all of them are."

app = FastAPI()


def words() -> Iterator[str]:
    """Work that blocks belongs in an ordinary generator: it runs in a thread, and delays nobody else."""
    for word in TEXT.split():
        yield f"{word} "
        time.sleep(0.05)


async def words_async() -> AsyncIterator[str]:
    """Work that awaits belongs in an asynchronous one: thousands of them share the event loop."""
    for word in TEXT.split():
        yield f"{word} "
        await asyncio.sleep(0.05)


@app.get("/stream/text")
async def stream_text() -> Response:
    """Send the words of the ordinary generator."""
    return text(words())


@app.get("/stream/async")
async def stream_async() -> Response:
    """Send those of the asynchronous one."""
    return text(words_async())
