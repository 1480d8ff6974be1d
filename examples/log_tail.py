"""A log file, live: each line is an event, when it is written.

    LOG_FILE=/var/log/syslog uvicorn examples.log_tail:app
    curl -N http://127.0.0.1:8000/sse/live

The id of an event is where its line ends in the file, so that an ``EventSource`` that comes back misses nothing, even
from a server that was restarted. Which file it is says the server, never the client: a path in a request would be an
invitation to read any file.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Header, Response

from headrace.fastapi import Event, sse

LOG = Path(os.environ.get("LOG_FILE", "app.log"))

#: Bytes that are read at once, and so the longest line that is sent in one piece.
AT_ONCE = 65536

app = FastAPI()


def size() -> int:
    """How long the file is; nothing where there is none yet."""
    return LOG.stat().st_size if LOG.exists() else 0


def read(after: int) -> tuple[int, list[bytes]]:
    """Where in the file we are, and the lines that are whole from there on."""
    if size() < after:
        after = 0  # it was rotated, and begins anew
    if size() == after:
        return after, []
    with LOG.open("rb") as file:
        file.seek(after)
        data = file.read(AT_ONCE)
    whole = data[: data.rfind(b"\n") + 1] or (data if len(data) == AT_ONCE else b"")
    return after, whole.splitlines(keepends=True)


async def lines(after: int) -> AsyncIterator[Event]:
    """Follow the file for as long as the client is there. Reading blocks, so a thread does it; waiting does not."""
    while True:
        after, found = await asyncio.to_thread(read, after)
        for line in found:
            after += len(line)
            yield Event(line.decode(errors="replace").rstrip("\r\n"), id=str(after))
        if not found:
            await asyncio.sleep(0.1)


@app.get("/sse/live")
async def tail(last_event_id: Annotated[int | None, Header(ge=0)] = None) -> Response:
    """Send what is written from now on, or after the last line that was seen."""
    after = await asyncio.to_thread(size) if last_event_id is None else last_event_id
    return sse(lines(after))
