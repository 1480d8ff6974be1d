"""Other calls of a configured upstream (embeddings, audio, images …): passed through, not durable, in constant memory.

The upstream is the one that serves the ``model`` of a JSON body; else the one that the header ``Headrace-Upstream``
names; else the first that is configured, and where a client of Anthropic's asks, the first that speaks its API.

Behind one upstream key stand all owners of ours, and what is kept there (files, batches, stored answers) does not know
them apart. So where there are keys, only calls pass that keep nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from headrace.core.routing import Forwarded, Forwarding, speaks
from headrace.errors import Forbidden, NotFound, UpstreamError, UpstreamTimeout
from headrace.faces import failures
from headrace.faces.access import limits
from headrace.faces.access.auth import Caller, caller
from headrace.faces.guard import local_path
from headrace.faces.reply import left
from headrace.faces.requests import body_of, query_of
from headrace.faces.service import Manners, Service, service
from headrace.faces.starting import targets_of
from headrace.model.dialect import MESSAGES
from headrace.wire.json_object import encode, lenient

#: What is below these is ours alone: a wrong method or path there is refused, never somebody else's to answer.
OURS = ("/v1/streams/", "/v1/topics/", "/v1/proxy/", "/v1/chat/", "/v1/messages/", "/v1/responses/", "/v1/exports/")

#: Ours where a folder is served; else a client of OpenAI's means the files that its upstream keeps.
FILES = "/v1/files/"

#: What is not, though it is below them: batches run and are kept at the upstream, and these two make no stream.
FOREIGN = ("/v1/messages/batches/", "/v1/responses/compact/", "/v1/responses/input_tokens/")


def is_ours(scope: Scope) -> bool:
    """Whether a path below ``/v1`` is answered here and nowhere else."""
    below = local_path(scope) + "/"
    if below.startswith(FILES):
        return scope["app"].state.service.folder is not None
    return below.startswith(OURS) and not below.startswith(FOREIGN)


class OwnRoute(APIRoute):
    """A route among what is ours that leaves the rest to the pass-through, where ``{id}`` would take it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as any route does, but for what is not ours."""
        return super().matches(scope) if is_ours(scope) else (Match.NONE, {})


class ForeignRoute(APIRoute):
    """A route that leaves what is ours to the other routes, whose refusals say what is wrong."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as any route does, but for what is ours."""
        return (Match.NONE, {}) if is_ours(scope) else super().matches(scope)


router = APIRouter(tags=["Pass-through"], route_class=ForeignRoute)

Asked = Annotated[Service, Depends(service)]
Asker = Annotated[Caller, Depends(caller)]

#: The first part of paths whose calls keep nothing upstream that another owner could read or delete.
KEEP_NOTHING = frozenset(
    {
        "audio",
        "completions",
        "embeddings",
        "images",
        "models",
        "moderations",
        "rerank",
        "score",
        "tokenize",
        "detokenize",
    }
)

#: Bytes of a JSON body that is read to see which model it asks for; larger ones go by the header or the default.
LOOKED_AT = 4 << 20

#: Headers of an upstream's response that pass on. Never its cookies, its length (it may be inflated) or its framing.
_PASSED = ("content-type", "content-disposition", "content-range", "accept-ranges", "etag", "last-modified")


@router.api_route("/v1/{path:path}", methods=["GET", "POST", "DELETE"], include_in_schema=False)
async def forward(request: Request, path: str, at: Asked, who: Asker) -> Response:
    """Pass a call on to an upstream and its answer back."""
    if who.key and (path.partition("/")[0] not in KEEP_NOTHING or request.method == "DELETE"):
        raise NotFound("Where there are several owners, only calls pass through that keep nothing at the upstream.")
    await limits.check(at, who)
    forwarder, body = await _target(request, at, who)
    return await passed(request, at, forwarder, f"/{path}", None if body == b"" else body)


async def passed(
    request: Request, at: Service, forwarder: Forwarding, path: str, body: bytes | AsyncIterator[bytes] | None
) -> Response:
    """An upstream's answer to a request that is passed on to it. Raises UpstreamError."""
    headers = {name: value for name, value in request.headers.items() if name != "content-length"}
    try:
        async with asyncio.timeout(at.manners.first):
            answer = await forwarder.forward(request.method, path, query_of(request), headers, body)
    except TimeoutError:
        raise UpstreamTimeout from None
    return PassedReply(answer, at.manners)


async def _target(request: Request, at: Service, who: Caller) -> tuple[Forwarding, bytes | AsyncIterator[bytes] | None]:
    """Who is asked, and with which body: the client's, or one with the upstream's name for the model.

    A key that is good for some models only has to name one where it can be read, and its body is written anew: what is
    sent is what was looked at.
    """
    limited = who.grants.models is not None
    asked = None if limited else request.headers.get("headrace-upstream")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    size = request.headers.get("content-length", "")
    if asked is None and kind == "application/json" and size.isdigit() and int(size) <= LOOKED_AT:
        body = await body_of(request)
        value = lenient(body)
        model = value.get("model") if isinstance(value, dict) else None
        if isinstance(value, dict) and isinstance(model, str) and model:
            for target in targets_of(at, who, model):
                if isinstance(target.upstream, Forwarding):
                    same = target.model == model and not limited
                    return target.upstream, body if same else encode({**value, "model": target.model})
        if not limited:
            return _first(request, at), body
    if limited:
        raise Forbidden("This API key is good for some models only, and the call names none of them in JSON.")
    forwarder = _named(at, asked) if asked is not None else _first(request, at)
    return forwarder, request.stream() if request.method == "POST" else None


def _named(at: Service, name: str) -> Forwarding:
    if name not in at.forwarders:
        raise NotFound("There is no upstream that takes this call.")
    return at.forwarders[name]


def _first(request: Request, at: Service) -> Forwarding:
    found = list(at.forwarders.values())
    if failures.family_of(request.scope) is failures.MESSAGES:
        found.sort(key=lambda upstream: not speaks(upstream, MESSAGES))
    if not found:
        raise NotFound("There is no upstream that takes this call.")
    return found[0]


class PassedReply(Response):
    """An upstream's response on its way to the client, piece by piece. Where it is cut, so is this.

    So it is where the upstream falls silent, or the client takes nothing, for longer than the deadlines allow.
    """

    def __init__(self, answer: Forwarded, manners: Manners) -> None:
        self.status_code = answer.status
        self.background = None
        self.init_headers({name: answer.headers[name] for name in _PASSED if name in answer.headers})
        self._answer = answer
        self._manners = manners

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Relay. Returns early, which cuts the connection, where the upstream's body does not come to its end."""
        relaying = asyncio.create_task(self._relay(send))
        leaving = asyncio.create_task(left(receive))
        try:
            await asyncio.wait([relaying, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (relaying, leaving):
                task.cancel()
            await asyncio.gather(relaying, leaving, return_exceptions=True)
            self._answer.release()

    async def _relay(self, send: Send) -> None:
        wait = self._manners.first  # a model that has said 200 may still be thinking
        try:
            head = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await self._tell(send, head)
            while data := await self._next(wait):
                await self._tell(send, {"type": "http.response.body", "body": data, "more_body": True})
                wait = self._manners.idle
            await self._tell(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except (UpstreamError, TimeoutError):
            return

    async def _next(self, seconds: float) -> bytes:
        """The next piece, where it comes in time; empty at the end. Raises UpstreamError and TimeoutError."""
        async with asyncio.timeout(seconds):
            return await self._answer.read_some()

    async def _tell(self, send: Send, message: Message) -> None:
        """Send, where the client takes it in time. Raises TimeoutError."""
        async with asyncio.timeout(self._manners.send_timeout):
            await send(message)
