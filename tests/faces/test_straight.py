"""The straight way: it reaches what FastAPI would have reached, and nothing else."""

from fastapi import APIRouter, Query, Request
from starlette.responses import Response
from starlette.routing import Match

from headrace.app import FACES
from headrace.faces.straight import destinations

STARTING = {
    "/v1/chat/completions",
    "/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/api/chat",
    "/chat",
    "/chat/stream",
    "/v1/chat/stream",
    "/infer",
}


def straight():
    return destinations([route for face in FACES for route in face.router.routes])


def test_whatever_starts_an_answer_is_reached_straight():
    assert {("POST", path) for path in STARTING} <= set(straight())


def test_it_ends_where_the_framework_would_have_ended():
    routes = [route for face in FACES for route in face.router.routes]
    for (method, path), reached in straight().items():
        scope = {"type": "http", "method": method, "path": path, "headers": []}
        chosen = next(route for route in routes if route.matches(dict(scope))[0] is Match.FULL)
        assert chosen is reached.route, path


def test_what_the_framework_has_to_parse_or_to_make_is_left_to_it():
    router = APIRouter()

    @router.get("/plain")
    async def plain(request: Request) -> Response:
        return Response(str(request.url))

    @router.get("/query")
    async def query(request: Request, q: str = Query()) -> Response:
        return Response(q + str(request.url))

    @router.get("/made")
    async def made(request: Request) -> dict[str, str]:
        return {"url": str(request.url)}

    @router.get("/below/{path:path}")
    async def below(request: Request) -> Response:
        return Response(str(request.url))

    @router.get("/silent")
    async def silent() -> Response:
        return Response()

    assert set(destinations(router.routes)) == {("GET", "/plain")}
