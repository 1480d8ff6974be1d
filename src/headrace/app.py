"""The app: faces on routes, errors in each client's words, and the service behind them.

``uvicorn headrace.app:app`` serves it with the settings of the environment; ``headrace serve`` makes its own.
"""

import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace import __version__
from headrace.config import Settings, load
from headrace.errors import HeadraceError, NotFound, RequestError
from headrace.faces import (
    chat_completions,
    described,
    exports,
    failures,
    files,
    health,
    messages,
    metrics,
    models,
    overview,
    passthrough,
    proxy,
    simple_chat,
    streams,
    ui_chat,
)
from headrace.faces.access import signing_in, ticketing
from headrace.faces.arrival import Arrival
from headrace.faces.conversations import answers as conversation_answers
from headrace.faces.conversations import face as conversations
from headrace.faces.conversations import watch as conversation_watch
from headrace.faces.guard import Guard
from headrace.faces.reply import SEND
from headrace.faces.responses import face as responses
from headrace.faces.straight import Straight
from headrace.faces.topics import face as topics
from headrace.parts import Parts
from headrace.web import assets, reference

logger = logging.getLogger(__name__)

DESCRIPTION = """\
Every response is a **durable stream**: leave it, rejoin it, share it, stop it, replay it.

A stream has an id (`Headrace-Stream-Id` of every streaming reply). Wherever a route takes an id, it also takes the
stream's other names: the `chatcmpl-…` that the client saw, or its `Idempotency-Key`.
"""


#: The framework's own traces hold whole URLs, with the tickets in them, and the texts of exceptions; ours do not.
_UNSEEN: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


#: In the order in which they are asked for a path.
FACES = (
    chat_completions,
    responses,
    messages,
    ui_chat,
    simple_chat,
    streams,
    topics,
    exports,
    files,
    proxy,
    ticketing,
    signing_in,
    conversation_watch,
    conversations,
    conversation_answers,
    overview,
    models,
    health,
    metrics,
    passthrough,
)


class Edge:
    """The outermost layer: what nobody foresaw becomes a 500 without a word of the exception's own.

    It stands behind the guard and the arrival too, so that such a reply carries what all do.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except HeadraceError as error:
            if not begun:
                await failures.of_error(error, scope)(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the edge: nothing may leave here, least of all an exception's text
            where = traceback.extract_tb(error.__traceback__)[-1]
            logger.error("unexpected %s in %s:%s", type(error).__name__, where.name, where.lineno)  # noqa: TRY400
            if not begun:
                await failures.of_error(HeadraceError(), scope)(scope, receive, send)


class Headrace(FastAPI):
    """The app; streaming replies find in the scope how the server itself takes a message."""

    def openapi(self) -> dict[str, Any]:
        """The API's description; the same each time."""
        if self.openapi_schema is None:
            self.openapi_schema = described.completed(super().openapi())
        return self.openapi_schema

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        scope[SEND] = send
        await super().__call__(scope, receive, send)


def create_app(settings: Settings) -> FastAPI:
    """Make the app for some settings. Nothing is opened before its lifespan begins."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Parts(settings) as parts:
            app.state.service = parts.service
            yield

    app = Headrace(
        title="Headrace",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        license_info={"name": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        telemetry=_UNSEEN,
    )
    for face in FACES:
        app.include_router(face.router)
    app.router.routes.extend([reference.route(app.openapi), *assets.routes()])
    app.add_exception_handler(HeadraceError, failures.on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_middleware(Straight, routes=[route for face in FACES for route in face.router.routes])
    app.add_middleware(Edge)
    app.add_middleware(Arrival)
    app.add_middleware(Guard, settings=settings, render=failures.render)
    app.add_middleware(Edge)
    return app


async def _on_invalid(request: Request, error: Exception) -> Response:
    """A parameter that FastAPI has refused, as an error of ours that names it."""
    problem = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": ("request",), "msg": ""}
    name = str(problem["loc"][-1])
    refused = RequestError(f"The parameter '{name}' is not valid: {problem['msg']}.", param=name)
    return failures.of_error(refused, request.scope)


async def _on_http(request: Request, error: Exception) -> Response:
    """What the router refuses: no such path, or not this method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    refused: HeadraceError = RequestError()
    if status == 404:
        refused = NotFound("There is no such route.")
    elif status == 405:
        refused = RequestError("This route does not take that method.")
    reply = failures.of_error(refused, request.scope)
    reply.status_code = status
    if isinstance(error, HTTPException) and error.headers:
        reply.headers.update(error.headers)
    return reply


def __getattr__(name: str) -> FastAPI:
    """Make ``app`` when a server asks for it, so that importing this module opens and reads nothing."""
    if name != "app":
        raise AttributeError(name)
    made = create_app(load())
    globals()["app"] = made
    return made
