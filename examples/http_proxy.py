"""A download through this server, from one place that the server chooses, in constant memory.

    pip install httpx2
    PROXY_TARGET=https://example.org uvicorn examples.http_proxy:app
    curl -O -J http://127.0.0.1:8000/proxy/index.html
    curl -r 0-99 http://127.0.0.1:8000/proxy/index.html

A client that may name the URL can make the server fetch what only the server can reach: its own admin page, or the
cloud's credentials. So it names a path, and the host is ours. (``headrace serve`` has a proxy too: ``/v1/proxy``.)
"""

import os
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from httpx2 import AsyncClient, HTTPError, Timeout
from httpx2 import Response as Upstream

from headrace.fastapi import bytes_

TARGET = os.environ.get("PROXY_TARGET", "https://example.org").rstrip("/")

#: What goes there and comes back. Cookies and credentials do neither; what is not named here does not pass.
ASKED = ("range", "if-range")
TOLD = ("content-length", "content-range", "accept-ranges", "etag", "last-modified", "content-encoding")

#: Redirects are not followed: they could lead to any host. A silence of half a minute ends it, a long body does not.
client = AsyncClient(follow_redirects=False, timeout=Timeout(10, read=30))

app = FastAPI()


async def upstream(path: str, request: Request) -> AsyncIterator[Upstream]:
    """The answer, of which the body is still to come; it is closed when the reply is over, however that ends."""
    if {".", ".."} & set(path.split("/")):
        raise HTTPException(404, "There is no such file.")
    asked = {name: request.headers[name] for name in ASKED if name in request.headers}
    # "identity": the lengths that are passed on are those of the bytes that are passed on.
    headers = {**asked, "accept-encoding": "identity"}
    try:
        async with client.stream("GET", f"{TARGET}/{quote(path)}", headers=headers) as reply:
            yield reply
    except HTTPError:
        raise HTTPException(502, "The file cannot be fetched now.") from None


@app.get("/proxy/{path:path}")
async def proxy(path: str, reply: Annotated[Upstream, Depends(upstream)]) -> Response:
    """Pass a file on as fast as the client takes it, for the browser to save: a page of theirs must not run as ours."""
    if reply.status_code not in (200, 206, 404, 416):
        raise HTTPException(502, "The file cannot be fetched now.")
    headers = {name: reply.headers[name] for name in TOLD if name in reply.headers}
    name = path.rpartition("/")[2] or "download"
    return bytes_(reply.aiter_raw(), status_code=reply.status_code, headers=headers, filename=name)
