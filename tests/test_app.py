"""The app as a whole: its lifespan, its edge, its page of routes."""

import pytest
from starlette.types import Receive, Scope, Send
from tests.faces.front import MESSAGES, Fake, front, script

import headrace.app
from headrace.app import Edge, create_app
from headrace.config import Settings, Store
from headrace.testing.asgi import AppDriver


async def test_the_app_lives_and_ends_by_its_lifespan():
    async with AppDriver(create_app(Settings(store=Store(data="memory:")))) as driver:
        reply = await driver.ask("GET", "/ready")
        assert (reply.status, reply.body) == (200, b'{"status":"ready"}')


async def test_nothing_is_opened_before_the_lifespan_begins(tmp_path):
    create_app(Settings(store=Store(data=str(tmp_path / "data"))))
    assert not (tmp_path / "data").exists()


def test_importing_the_module_makes_no_app():
    with pytest.raises(AttributeError):
        _ = headrace.app.nothing


@pytest.mark.parametrize("begun", [False, True])
async def test_what_nobody_foresaw_is_a_500_without_its_words(begun, caplog):
    """Or a cut, where the response had begun; the log has the kind and the place, never the text."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("secret prompt")

    reply = await AppDriver(Edge(app)).ask("GET", "/v1/x")
    assert reply.status == (200 if begun else 500)
    assert reply.complete != begun
    assert b"secret" not in reply.body
    assert "secret" not in caplog.text
    assert "ValueError" in caplog.text


async def test_draining_takes_nothing_new_and_still_lets_clients_rejoin():
    async with front(Fake(lambda _: script("a"))) as at:
        body = {"model": "fake", "stream": True, "messages": MESSAGES}
        id = (await at.ask("POST", "/v1/chat/completions", body)).headers["headrace-stream-id"]
        at.registry.draining = True
        assert (await at.ask("GET", "/ready")).status == 503
        assert (await at.ask("GET", "/health")).status == 200
        refused = await at.json("POST", "/v1/chat/completions", body, status=503)
        assert refused["error"]["code"] == "draining"
        assert (await at.ask("GET", f"/v1/streams/{id}")).complete
        repeated = await at.ask("POST", "/v1/chat/completions", body, {"last-event-id": f"{id}:1"})
        assert (repeated.status, repeated.complete) == (200, True)


async def test_every_route_of_the_page_has_a_description():
    """Those of the pass-through are not listed."""
    paths = create_app(Settings()).openapi()["paths"]
    assert "/v1/chat/completions" in paths
    assert "/chat/stream" in paths
    for path, methods in paths.items():
        for method, operation in methods.items():
            assert len(operation.get("description", "")) > 10, (method, path)
