"""The straight way to routes that want nothing of the framework but a request, and make their replies themselves.

FastAPI would match the path twice, and enter and solve what such a route doesn't have: a quarter of a request's calls.
It goes on describing these routes, and serves all others.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from inspect import get_annotations
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.faces.access.auth import caller
from headrace.faces.guard import local_path
from headrace.faces.service import service

#: What makes a parameter of a route, from the request.
Makes = Callable[[Request], Awaitable[Any]]

_KNOWN: Mapping[Any, Makes] = {service: service, caller: caller}


class Straight:
    """ASGI middleware, the innermost. What a route raises goes through it."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._destinations = destinations(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        reached = self._destinations.get((scope["method"], local_path(scope))) if scope["type"] == "http" else None
        if reached is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = reached.route
        response = await reached.reply(Request(scope, receive, send))
        await response(scope, receive, send)


class Destination:
    """Where the way of some requests ends."""

    __slots__ = ("_asked", "_made", "route")

    def __init__(self, route: APIRoute, asked: str, made: Mapping[str, Makes]) -> None:
        self.route = route
        self._asked = asked
        self._made = made

    async def reply(self, request: Request) -> Response:
        """What the route says to a request."""
        values = {name: await make(request) for name, make in self._made.items()}
        response: Response = await self.route.endpoint(**{self._asked: request}, **values)
        return response


def destinations(routes: Iterable[BaseRoute]) -> Mapping[tuple[str, str], Destination]:
    """Those of the routes that are reached straight, by method and path."""
    found: dict[tuple[str, str], Destination] = {}
    for route in routes:
        if isinstance(route, APIRoute) and "{" not in route.path and (reached := _destination(route)) is not None:
            for method in route.methods or ():
                found.setdefault((method, route.path), reached)
    return found


def _destination(route: APIRoute) -> Destination | None:
    """None where FastAPI is needed: to parse parameters, for dependencies that are not ours, or to make a reply."""
    needs = route.dependant
    parsed = (needs.path_params, needs.query_params, needs.header_params, needs.cookie_params, needs.body_params)
    if any(parsed) or not needs.request_param_name or get_annotations(route.endpoint).get("return") is not Response:
        return None
    made = {need.name: _KNOWN[need.call] for need in needs.dependencies if need.name and need.call in _KNOWN}
    return Destination(route, needs.request_param_name, made) if len(made) == len(needs.dependencies) else None
