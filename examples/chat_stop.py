"""A chat with a Stop button that stops the model, in an app of your own.

    uvicorn examples.chat_stop:app             # then open http://127.0.0.1:8000
    curl -N http://127.0.0.1:8000/v1/chat/stream -d '{"message": "Hello"}'
    curl -X POST http://127.0.0.1:8000/v1/streams/THE_ID_OF_ITS_START/cancel

Headrace is mounted in the app, with all its routes. It has a demo model; with ``OPENAI_API_KEY``, or another provider's
variables, it has theirs. The page is ``fetch.html``: Stop ends the call to the model wherever that runs, where closing
the page's own connection would leave the model writing, and you paying.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, RedirectResponse

from headrace.app import create_app
from headrace.config import load

headrace = create_app(load())


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open Headrace with the app: a mounted app is not told by itself."""
    async with headrace.router.lifespan_context(headrace):
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def root() -> RedirectResponse:
    """Lead to the page, and tell it that its server is this one."""
    return RedirectResponse("/chat.html?server=")


@app.get("/chat.html")
async def page() -> FileResponse:
    """The page."""
    return FileResponse(Path(__file__).with_name("fetch.html"))


app.mount("/", headrace)  # last: it takes every path that is left
