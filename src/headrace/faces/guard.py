"""The guard in front of everything: hosts, origins, heads and bodies, CORS, and what every response carries.

Loopback is no protection from web pages: a page may send requests to it (cross-site), or become same-origin with it
(DNS rebinding). So on loopback the ``Host`` must be one of ours, and whatever may start or change something is refused
to pages from elsewhere, unless their origin is configured.

It is plain ASGI: after a response's head it hands on what the application sends, untouched.
"""

import asyncio
import math
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.config import Settings
from headrace.errors import (
    BodyStalled,
    BodyTooLarge,
    Forbidden,
    HeadraceError,
    HeadTooLarge,
    HostRefused,
    RequestError,
    UnsupportedBody,
)
from headrace.faces.cors import CorsPolicy, Headers

#: Renders an error in the words of a request's client: status, headers, body.
Render = Callable[[Scope, HeadraceError], tuple[int, Mapping[str, str], bytes]]

#: Paths on which a mere GET starts an answer.
STARTED_BY_GET = frozenset({"/chat/stream", "/chat/completions"})

#: Paths below which even a mere GET goes out with somebody's credentials, and bodies are passed on and never held: how
#: large one may be, their face knows.
PASSED_ON = "/v1/proxy/"
UNHELD = 1 << 62

#: Header fields that a request may have, and bytes that they and its path may. The HTTP server may bear more.
MOST_FIELDS = 100
HEAD_BYTES = 64 << 10

#: Bytes a second of a held body: whoever sends fewer for long uses up the patience with them, a piece at a time.
SLOWEST = 512

#: Refusals after which the rest of a body is still on its way.
_UNREAD = (HeadTooLarge, BodyTooLarge, BodyStalled)
_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
#: The request's id on a response, as OpenAI's SDKs look for it, and as Anthropic's do.
_REQUEST_IDS = (b"x-request-id", b"request-id")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

#: Carried by every response that does not say otherwise. URLs may hold tickets, so no page passes them on.
_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """ASGI middleware. ``render`` gives an error the shape that a path's clients understand."""

    def __init__(self, app: ASGIApp, settings: Settings, render: Render) -> None:
        self._app = app
        self._render = render
        self._hosts = _hosts(settings)
        self._cors = CorsPolicy(settings.cors)
        self._body_bytes = settings.limits.body_bytes
        self._patience = settings.deadlines.body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _by_name(scope["headers"])
        request_id = _request_id(headers)
        origin = _text(headers, b"origin")
        ids = [(name, request_id.encode()) for name in _REQUEST_IDS]
        reply = _Reply(send, [*ids, *self._cors.headers(origin, local_path(scope))])
        held = not local_path(scope).startswith(PASSED_ON)
        limit = self._body_bytes if held else UNHELD
        body = _Body(receive, limit, self._patience if scope["method"] in _UNSAFE else math.inf, held=held)
        scope = {**scope, "state": {**scope.get("state", {}), "request_id": request_id}}
        try:
            _check_head(scope)
            self._check_host(scope, headers)
            if self._cors.is_preflight(scope["method"], headers):
                await self._preflight(reply, origin, local_path(scope))
                return
            self._check_origin(scope, headers, origin)
            _check_body(headers, limit)
            await self._app(scope, body.receive, reply.for_app(body))
        except HeadraceError as error:
            if reply.started:
                raise
            await self._refuse(scope, reply, body.error or error)
        else:
            if body.error is not None and not reply.started:
                await self._refuse(scope, reply, body.error)

    def _check_host(self, scope: Scope, headers: Mapping[bytes, list[bytes]]) -> None:
        """Refuse a host that is not ours (the defence against DNS rebinding), and what is no host at all."""
        found = headers.get(b"host", [])
        if not found and (self._hosts is None or scope.get("http_version") in ("1", "1.0")):  # no browser
            return
        match = _HOST.fullmatch(found[0].decode("latin-1")) if len(found) == 1 else None
        if match is None or not (self._hosts is None or match[1].lower().removesuffix(".") in self._hosts):
            raise HostRefused("This server does not answer for that host; [server] hosts names those that it does.")

    def _check_origin(self, scope: Scope, headers: Mapping[bytes, list[bytes]], origin: str) -> None:
        """Refuse what a page from elsewhere would start or change.

        A browser's own word (``Sec-Fetch-Site``) counts more than the comparison of ``Origin`` with ``Host``, because
        a proxy may have changed the latter. Clients that are no browsers send neither.
        """
        path = local_path(scope).rstrip("/")
        if scope["method"] not in _UNSAFE and not _starts(scope["method"], path):
            return
        if origin and self._cors.allows(origin):
            return
        site = _text(headers, b"sec-fetch-site")
        if site:
            own = site in ("same-origin", "none")
        else:
            own = not origin or origin.partition("://")[2].lower() == _text(headers, b"host").lower()
        if not own:
            raise Forbidden("Web pages from elsewhere may not do this; [cors] origins names those that may.")

    async def _preflight(self, reply: "_Reply", origin: str, path: str) -> None:
        if not self._cors.allows(origin):
            raise Forbidden("Web pages of this origin may not ask here; [cors] origins names those that may.")
        await reply.send_whole(204, self._cors.preflight(path), b"")

    async def _refuse(self, scope: Scope, reply: "_Reply", error: HeadraceError) -> None:
        status, headers, body = self._render(scope, error)
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        if isinstance(error, _UNREAD) and scope.get("http_version", "1.1").startswith("1"):
            raw.append((b"connection", b"close"))  # the rest of the body is not waited for
        await reply.send_whole(status, raw, b"" if scope["method"] == "HEAD" else body, length=len(body))


class _Body:
    """A request's body on its way in: bounded, and not for ever. ``patience`` is in seconds.

    Waiting takes from the patience, what comes gives back of it: of a body that is ``held`` as much as its bytes are
    worth, so that whoever sends one now and then is soon out of it.
    """

    __slots__ = ("_held", "_left", "_over", "_patience", "_receive", "_waiting", "error")

    def __init__(self, receive: Receive, limit: int, patience: float, *, held: bool) -> None:
        self._receive = receive
        self._held = held
        self._left = limit
        self._patience = patience
        self._waiting = patience
        self._over = False
        #: Why no more of it was taken.
        self.error: RequestError | None = None

    async def receive(self) -> Message:
        """The next message. Raises BodyTooLarge and BodyStalled."""
        if self.error is not None:
            raise self.error
        if self._over:
            return await self._receive()
        message = await self._next()
        size = len(message.get("body", b""))
        self._over = message["type"] != "http.request" or not message.get("more_body", False)
        self._left -= size
        if self._left < 0:
            self.error = BodyTooLarge()
            raise self.error
        self._waiting = min(self._patience, self._waiting + size / SLOWEST) if self._held else self._patience
        return message

    async def _next(self) -> Message:
        if self._waiting == math.inf:
            return await self._receive()
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            async with asyncio.timeout(self._waiting):
                return await self._receive()
        except TimeoutError:
            self.error = BodyStalled()
            raise self.error from None
        finally:
            self._waiting -= clock() - begun


class _Reply:
    """A response on its way out: its head gets what every response carries."""

    __slots__ = ("_ours", "_send", "started")

    def __init__(self, send: Send, ours: Headers) -> None:
        self._send = send
        self._ours = ours
        self.started = False

    def for_app(self, body: _Body) -> Send:
        """What the application sends with. Where the body was refused, an answer that has not begun is dropped.

        (Frameworks turn whatever a body's reading raises into an answer of their own.)
        """

        def send(message: Message) -> Awaitable[None]:
            if self.started:
                return self._send(message)
            if body.error is not None:
                return _nothing()
            return self._start(message)

        return send

    async def send_whole(self, status: int, headers: Headers, body: bytes, *, length: int | None = None) -> None:
        """An answer of our own, which may say what the application's may not."""
        self._ours = [*headers, *self._ours]
        if status != 204:
            self._ours.append((b"content-length", str(len(body) if length is None else length).encode()))
        await self._start({"type": "http.response.start", "status": status})
        await self._send({"type": "http.response.body", "body": body})

    async def _start(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": _head(message.get("headers", ()), self._ours)}
        await self._send(message)


async def _nothing() -> None:
    """Send nothing."""


def _head(said: Iterable[tuple[bytes, bytes]], ours: Headers) -> Headers:
    """A response's headers: what the application says, what it leaves out, and what is not its to say.

    An upstream's CORS headers, passed on by mistake, would open this server to its pages.
    """
    kept = [(name.lower(), value) for name, value in said]
    kept = [pair for pair in kept if pair[0] not in _REQUEST_IDS and not pair[0].startswith(b"access-control-")]
    names = {name for name, _ in kept}
    return [*kept, *(pair for pair in _SECURITY if pair[0] not in names), *ours]


def _check_head(scope: Scope) -> None:
    """Refuse a head that is larger than any client needs: what is made of it here costs more than its bytes."""
    fields = scope["headers"]
    size = (
        len(scope["path"]) + len(scope.get("query_string", b"")) + sum(len(name) + len(value) for name, value in fields)
    )
    if len(fields) > MOST_FIELDS or size > HEAD_BYTES:
        raise HeadTooLarge


def _check_body(headers: Mapping[bytes, list[bytes]], limit: int) -> None:
    """Refuse a body by what its headers say. Inflating it would not be bounded, so it is not done."""
    encodings = {value.strip().lower() for value in headers.get(b"content-encoding", [])}
    if encodings - {b"", b"identity"}:
        raise UnsupportedBody("A request body with a Content-Encoding is not read here.")
    lengths = set(headers.get(b"content-length", []))
    if not lengths:
        return
    if len(lengths) > 1 or not all(length.isdigit() for length in lengths):
        raise RequestError("The Content-Length is not one number.")
    (length,) = lengths
    if len(length) > 15 or int(length) > limit:
        raise BodyTooLarge(f"The request body is larger than {limit} bytes.")


def _hosts(settings: Settings) -> frozenset[str] | None:
    """The hosts that are answered for; None is all of them."""
    server = settings.server
    if "*" in server.hosts or not (server.loopback or server.hosts):
        return None
    bound = f"[{server.host}]" if ":" in server.host and not server.host.startswith("[") else server.host
    return _LOOPBACK_NAMES | {bound.lower()} | set(server.hosts)


def _request_id(headers: Mapping[bytes, list[bytes]]) -> str:
    """The client's, where it is one that can stand in a log; else a new one."""
    for name in (b"x-request-id", b"x-client-request-id"):
        if _REQUEST_ID.fullmatch(given := _text(headers, name)):
            return given
    return f"req_{secrets.token_hex(12)}"


def _starts(method: str, path: str) -> bool:
    """Whether even a method that should change nothing starts something there."""
    return path.startswith(PASSED_ON) or (method == "GET" and path in STARTED_BY_GET)


def local_path(scope: Mapping[str, Any]) -> str:
    """The path below the app's own root, where it is mounted somewhere."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found


def _text(headers: Mapping[bytes, list[bytes]], name: bytes) -> str:
    """A header's only value; several are none that can be trusted."""
    values = headers.get(name, [])
    if len(values) > 1:
        return ", ".join(value.decode("latin-1") for value in values)
    return values[0].decode("latin-1") if values else ""
