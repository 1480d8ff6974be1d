"""The proxy: requests to the configured targets, passed on and back as they come, in constant memory.

Where a target says ``record``, what succeeds becomes a durable stream: it may be left and rejoined, others may read it,
and a retry under the same idempotency key asks nobody again.
"""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from headrace.core.routing import Attempt, Call
from headrace.core.stream import NOTHING_SEEN
from headrace.errors import Draining, NotFound
from headrace.faces.access import limits
from headrace.faces.access.auth import Caller, caller
from headrace.faces.raw import SANDBOX, rejoin
from headrace.faces.recorded import RecordedReply
from headrace.faces.relay import Relay, Show, Upload
from headrace.faces.requests import continued, leave_policy, names_of
from headrace.faces.service import Proxied, Service, service
from headrace.model.dialect import RAW
from headrace.model.request import Meta
from headrace.upstreams.http import Exchange
from headrace.upstreams.recording import Recording
from headrace.upstreams.target import Asked

PREFIX = "/v1/proxy/"

router = APIRouter(prefix=PREFIX.rstrip("/"), tags=["Proxy"])

At = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]
Name = Annotated[str, Path(description="A target that the configuration names.")]
Below = Annotated[str, Path(description="Where the request goes, below the target's base.")]

#: What is said of every answer: it is for who asked, goes out as it comes, and is nobody's page here.
_OURS = {"cache-control": "private, no-cache, no-transform", "x-accel-buffering": "no", **SANDBOX}
#: What a recorded request does not say: its answer is whole, its bytes are what they mean, its place is in our ids.
_NOT_RECORDED = frozenset({"accept-encoding", "if-range", "last-event-id", "range"})


@router.get("/{target}/{path:path}", summary="Ask a target")
async def ask(request: Request, target: Name, path: Below, at: At, who: Asker) -> Response:  # noqa: ARG001
    """Pass a request on to a configured target, and its answer back as it comes; other methods as configured."""
    return await pass_on(request, at, who)


@router.api_route("/{target}/{path:path}", methods=["HEAD", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
async def pass_on(request: Request, at: At, who: Asker) -> Response:
    """Pass a request on to a configured target, and its answer back. Raises NotFound where there is no such target."""
    name, path = place_of(request)
    proxied = at.targets.get(name)
    if proxied is None:
        raise NotFound("There is no such target.")
    if request.method not in proxied.target.methods:
        raise HTTPException(405, headers={"allow": ", ".join(proxied.target.methods)})
    query = request.scope.get("query_string", b"").decode("latin-1")
    asked = Asked(request.method, path, query, request.headers)
    proxied.target.url(path, query)  # what cannot be asked is refused before anything begins
    if at.registry.draining:
        raise Draining
    await limits.check(at, who)
    below = request.scope.get("root_path", "") + PREFIX + name
    show = partial(_shown, proxied, asked, below)
    if proxied.record and request.method != "HEAD":
        return await _recorded(request, at, who, asked, show)

    async def send_on(upload: Upload) -> Exchange:
        return await proxied.target.ask(asked._replace(body=upload.body))

    return Relay(send_on, show, sweep=at.registry.sweep, bounds=proxied.bounds, expected=_has_body(request))


async def _recorded(request: Request, at: Service, who: Caller, asked: Asked, show: Show) -> Response:
    """The answer as a stream: a new one, or the one that the client had before."""
    if found := await continued(at, request, who.owner):
        return await rejoin(at, *found, participant=True, named=False)
    name = request.path_params["target"]
    proxied = at.targets[name]
    upload = Upload(request.receive, proxied.whole, expected=_has_body(request))
    body = b"".join([piece async for piece in upload]) if upload.body else b""
    headers = {name: value for name, value in asked.headers.items() if name not in _NOT_RECORDED}
    asked = asked._replace(headers=headers, body=body if upload.body else None)
    policy = leave_policy(request, who.on_leave or at.manners.linger)
    now = at.registry.clock.time()
    meta = Meta(owner=who.owner, key=who.key, dialect=RAW, created=now, model=name, on_leave=str(policy))
    recording = Recording(name, proxied.target, asked)
    attempt = Attempt(recording, Call(dialect=RAW, body={}, model=name, stream=True))
    told = f"{asked.method} {name}{asked.path}?{asked.query}".encode() + b"\0" + body
    head, fresh = await at.registry.start(meta, [attempt], policy, names_of(request, RAW, told))
    if not fresh:
        return await rejoin(at, head, NOTHING_SEEN, participant=True, named=False)
    return RecordedReply(at, head, recording, show, proxied.bounds)


def _shown(proxied: Proxied, asked: Asked, below: str, answer: Exchange) -> dict[str, str]:
    return {**proxied.target.passed(answer, asked, below), **_OURS}


def _has_body(request: Request) -> bool:
    """Whether there is a body to be passed on: what a GET carries means nothing, and HTTP/2 need not say."""
    if request.method in ("GET", "HEAD"):
        return False
    headers = request.headers
    told = "transfer-encoding" in headers or headers.get("content-length", "0").strip("0") != ""
    silent = "content-length" not in headers and request.method != "DELETE"
    return told or (silent and request.scope.get("http_version", "1.1").startswith("2"))


def place_of(request: Request) -> tuple[str, str]:
    """The target's name and the path below it, as the client wrote them: an escaped slash is no slash.

    Raises NotFound where what the client wrote is not what was routed.
    """
    try:
        raw = request.scope["raw_path"].decode("ascii")
    except UnicodeDecodeError:
        raise NotFound from None
    rest = raw.removeprefix(request.scope.get("root_path", ""))
    if not rest.startswith(PREFIX):
        raise NotFound
    name, slash, path = rest.removeprefix(PREFIX).partition("/")
    return name, slash + path
