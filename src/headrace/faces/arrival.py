"""The arrival of a request: when it came, by what id logs and traces know it, and what its reply took.

It is plain ASGI, and touches a reply's head only.
"""

import logging
import re
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.core.asked import ASKED, Asked
from headrace.core.registry import Registry

logger = logging.getLogger("headrace.http")

#: Methods that are named in a log; any other is somebody's own word.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE = re.compile(r"[\x20-\x7e]{0,512}")


class Arrival:
    """ASGI middleware, behind the guard, which has chosen the request's id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        registry: Registry = scope["app"].state.service.registry
        asked = Asked(scope["state"]["request_id"], registry.clock.monotonic(), *_trace(scope))
        ASKED.set(asked)  # for good: each request has a context of its own, and the outer edge logs after this
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = [*asked.told]
                if status < 400:  # how long a refusal took would tell a foreign stream from one that never was
                    more.append((b"server-timing", timing(asked, registry.clock.monotonic()).encode()))
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = _route(scope)
            registry.meters.requests.add(route, f"{status // 100}xx")
            level = logging.WARNING if status >= 500 else logging.DEBUG
            method = scope["method"] if scope["method"] in _METHODS else "other"
            logger.log(level, "%s %s: %d", method, route, status)


def timing(asked: Asked, now: float) -> str:
    """What a head can say of the time until it: the model's until its first records, where they have come, and ours."""
    total = now - asked.at
    course = asked.course
    if course is None or not course.first:
        return f"headrace;dur={total * 1000:.1f}"
    model = course.first - course.asked
    return f"upstream;dur={model * 1000:.1f}, headrace;dur={max(0.0, total - model) * 1000:.1f}"


def _route(scope: Scope) -> str:
    """The path as the app knows it, without what stands in it."""
    return str(getattr(scope.get("route"), "path", "none"))


def _trace(scope: Scope) -> tuple[str, str]:
    """The client's trace context, where it is valid."""
    headers: dict[bytes, Any] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.lower(), []).append(value.decode("latin-1"))
    parent = headers.get(b"traceparent", [])
    if len(parent) != 1 or not _TRACEPARENT.fullmatch(parent[0]):
        return "", ""
    state = ",".join(headers.get(b"tracestate", []))
    return parent[0], state if _TRACESTATE.fullmatch(state) else ""
