"""All of it in one app, at the paths that tutorials about streaming use. Each comment says what many of them get wrong.

    pip install httpx2
    uvicorn examples.tour:app
    curl -N http://127.0.0.1:8000/stream/text
    curl -N 'http://127.0.0.1:8000/sse/numbers?to=5'
    curl -N 'http://127.0.0.1:8000/ai/stream?message=Hello'

It takes the variables of the examples that it is made of (``DATABASE_URL``, ``LOG_FILE``, ``MEDIA``, ``PROXY_TARGET``)
and the keys of model providers. Without any of these the demo model answers.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from examples import (
    chat_stop,
    csv_export,
    database_ndjson,
    file_download,
    http_proxy,
    log_tail,
    resumable_feed,
    sse_counter,
    text,
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open what the examples open."""
    async with chat_stop.lifespan(app), database_ndjson.lifespan(app):
        yield


app = FastAPI(title="A tour of streaming", lifespan=lifespan)

# -- text, rows, files -------------------------------------------------------------------------------------------------

# `time.sleep` in an `async def` stops every other client for as long. In an ordinary generator it has its own thread.
app.add_api_route("/stream/text", text.stream_text)

# `async def` alone makes nothing asynchronous: what it waits for has to be awaited.
app.add_api_route("/stream/async", text.stream_async)

# `.all()` holds the whole table in memory, and so does a driver that is not told how many rows to fetch at a time. Who
# leaves early leaves a query running, where nobody closes the generator. A JSON array is of use only when it is whole.
app.add_api_route("/stream/users", database_ndjson.stream_users)

# `",".join(row)` breaks at the first comma or quote; a cell that begins with `=` is run by the spreadsheet that opens
# the file; and an export that fails in the middle looks like a whole one, if its end does not say otherwise.
app.add_api_route("/export/csv", csv_export.export)


# `read()` holds the whole file in memory, and on the event loop it stops everybody. Without `Range` no player can seek
# and no download can go on. A name in a `Content-Disposition` has to be escaped: a quote in it ends it. A path that
# comes from the client reads any file: names are looked up in one folder (see /files/… in file_download.py).
@app.api_route("/download/video", methods=["GET", "HEAD"])
def download_video() -> FileResponse:
    """Send ``video.mp4`` of the folder."""
    return FileResponse(file_download.file_of("video.mp4"), filename="video.mp4")


# `?url=` lets any client fetch what only this server can reach (SSRF), redirects do so at second hand, and a filter on
# the URL's text stops neither. Here the server knows the host, and the client names a path of it: `?path=README`.
# `response.content` holds all of it in memory, and without a time-out a silent server keeps this one waiting for ever.
app.add_api_route("/proxy/download", http_proxy.proxy)

# -- server-sent events ------------------------------------------------------------------------------------------------

# `yield f"data: {text}\n\n"` falls apart at a line end in the text. Without `X-Accel-Buffering: no` and `no-cache` a
# proxy keeps the events until there are enough; without a comment now and then it ends a silent connection; without a
# last event that says so, an `EventSource` takes the end for a lost connection, and begins again.
app.add_api_route("/sse/numbers", sse_counter.count)

# An `id:` alone resumes nothing: somebody has to keep the events, and to read `Last-Event-ID`. A list in memory does so
# until it is full, or there is a second worker. Here they are in a store before they are sent.
app.add_api_route("/sse/resumable", resumable_feed.resumable)
app.include_router(resumable_feed.streams.router)

# `while True` without a look at the client goes on when it has left, once for each reload of the page; and asking
# `is_disconnected()` between two events comes too late where there is none. Here leaving ends the wait itself.
app.add_api_route("/sse/live", log_tail.tail)

# -- models ------------------------------------------------------------------------------------------------------------


class At:
    """A route of Headrace's at a path of our own."""

    def __init__(self, path: str) -> None:
        self.path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        path = self.path.format(**scope["path_params"])
        await chat_stop.headrace({**scope, "path": path, "raw_path": path.encode()}, receive, send)


# A synchronous SDK in an `async def` stops everybody for each token. `yield str(error)` tells the client of keys, hosts
# and prompts, and a cut answer without any word looks like a short one: here an error has a stable code and no `done`.
# `EventSource` repeats its GET when the connection is lost: without a store that asks, and pays, for a second answer.
app.add_route("/ai/stream", At("/chat/stream"))

# Stop that sets a flag is seen at the next token, if that comes, by the worker that happens to have the flag; Stop
# that only ends the page's request leaves the model writing. Here it closes the connection to the model, from any
# worker, and nobody stops the answer of somebody else. The first event has the id that it takes.
app.add_route("/ai/generate", At("/v1/chat/stream"), methods=["POST"])
app.add_route("/ai/cancel/{id}", At("/v1/streams/{id}/cancel"), methods=["POST"])

# Anthropic's own events, as its SDKs read them (they are named, and `message_stop` is the end, not `[DONE]`).
app.add_route("/claude/stream", At("/v1/messages"), methods=["POST"])

app.mount("/", chat_stop.app)  # last: the page with its Stop button, and all other routes of Headrace
