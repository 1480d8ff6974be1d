"""The routes of a stream: rejoin, watch, look, cancel, delete."""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Query, Request
from starlette.responses import Response

from headrace.errors import HeadraceError
from headrace.faces.requests import cursor_of
from headrace.fastapi.durable import Desk, refuse
from headrace.model.outcome import State

Reference = Annotated[str, Path(description="A stream's id, or the `Idempotency-Key` under which it was started.")]
Watch = Annotated[bool, Query(description="Only look on: when you leave, nothing is stopped.")]
After = Annotated[str | None, Query(description="The last event id seen; `Last-Event-ID` is stronger.")]

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def router_of(prefix: str, route: str, desk: Callable[[], Desk], lifespan: Lifespan) -> APIRouter:
    """A router whose lifespan opens what its routes need."""
    router = APIRouter(prefix=prefix, tags=["Streams"], lifespan=lifespan)

    @router.get("/{id}", summary="Rejoin a stream", name=route, response_class=Response)
    async def rejoin(request: Request, id: Reference, *, watch: Watch = False, after: After = None) -> Response:  # noqa: ARG001
        """Read a stream in the form in which it was started, from its start or after the last event that was seen.

        The number after which to go on is that of an item, counted from 1. A client that has seen everything, the end
        included, gets 204, which is what stops an `EventSource`.
        """
        with _refusals():
            at = desk()
            head = await at.find(request, id)
            return at.reply(request, head, cursor_of(request, head), participant=not watch)

    @router.head("/{id}", summary="Look at a stream", response_class=Response)
    async def look(request: Request, id: Reference) -> Response:
        """Tell how a stream stands, without its items."""
        with _refusals():
            head = await desk().find(request, id)
        state = State.OPEN if head.outcome is None else head.outcome.state
        told = {"headrace-stream-id": head.id, "headrace-state": state, "headrace-tail": str(head.tail)}
        return Response(headers={**told, "cache-control": "no-store"})

    @router.post("/{id}/cancel", summary="Stop a stream")
    async def cancel(request: Request, id: Reference) -> dict[str, Any]:
        """Stop a stream; idempotent. Says whether it was still running."""
        with _refusals():
            at = desk()
            running, state = await at.registry.cancel(await at.find(request, id))
        return {"cancelled": running, "state": state}

    @router.delete("/{id}", summary="Delete a stream")
    async def delete(request: Request, id: Reference) -> dict[str, Any]:
        """Stop a stream and remove what is kept of it."""
        with _refusals():
            at = desk()
            head = await at.find(request, id)
            await at.registry.delete(head)
        return {"id": head.id, "deleted": True}

    return router


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except HeadraceError as error:
        refuse(error)
