"""Stopping and leaving in every dialect, over every provider's: its socket is closed at once, whatever it was doing."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.e2e.clients import Client
from tests.e2e.dialect_house import SPEAKS, upstreams_toml
from tests.e2e.server import HeadraceServer

from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.testing.scripted_upstream import Received, Script, ScriptedUpstream, Stall, head
from headrace.testing.spoken import Said, dialect_at, spoken

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages", "ui": "/api/chat"}

#: When somebody stops it or leaves: before the upstream's head, before its first frame, in the middle, and where the
#: answer is not streamed (which the AI SDK's chat always is).
MOMENTS = ("no head", "silence", "words", "whole")
_ENDING = {CHAT: 3, RESPONSES: 4, MESSAGES: 3}


def script(request: Received) -> Script:
    """What the model's name says; each answer has its own id."""
    dialect = dialect_at(request.target)
    if b"words" not in request.body:
        return [head(body="close"), Stall()] if b"silence" in request.body else [Stall()]
    begun = spoken(dialect, Said(texts=("One", " two")))[: -_ENDING[dialect]]
    return [head(body="close"), b"".join(begun).replace(b"_spoken", b"_%d" % request.connection), Stall()]


class Scene:
    """A server over the three upstreams."""

    def __init__(self, server: HeadraceServer, upstream: ScriptedUpstream) -> None:
        self.server = server
        self.upstream = upstream

    async def ask(self, dialect: str, upstream: str, moment: str, key: str, **headers: str) -> Client:
        """Start an answer; returns when its upstream has been asked, and what that says has been read."""
        client = Client(self.server.port)
        body = _body(dialect, f"{upstream}/{moment}", key, streamed=moment != "whole")
        named = {"Idempotency-Key": key, **{name.replace("_", "-"): value for name, value in headers.items()}}
        await self.send(client, PATHS[dialect], body, named)
        if moment == "words":
            await client.read_head()
            await client.until(lambda client: b" two" in client.body)
        return client

    async def send(self, client: Client, path: str, body: dict[str, Any], headers: dict[str, str]) -> None:
        """Send a request; returns when its upstream has been asked."""
        asked = len(self.upstream.requests)
        await client.open("POST", path, body, headers, head=False)
        async with asyncio.timeout(5):
            while len(self.upstream.requests) == asked:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def gone(self) -> None:
        """Wait until the newest upstream connection was closed by the server; that takes less than a second."""
        connection = self.upstream.connections[-1]
        async with asyncio.timeout(1):
            await connection.closed.wait()
        assert connection.left

    async def post(self, path: str) -> dict[str, Any]:
        """A POST, and the object that it gives."""
        client = await (await Client(self.server.port).open("POST", path, {})).rest()
        assert client.status == 200, client.body
        value: dict[str, Any] = json.loads(client.body)
        return value

    async def ended(self, states: set[tuple[str, str]]) -> None:
        """Wait until these are the states and reasons of all streams."""
        async with asyncio.timeout(3):
            while True:
                listed = await asyncio.to_thread(self.server.json, "GET", "/v1/streams?limit=1000")
                if {(stream["state"], stream.get("reason", "")) for stream in listed["data"]} == states:
                    return
                await asyncio.sleep(0.05)


def _body(dialect: str, model: str, chat: str, *, streamed: bool) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": model, "stream": streamed}
    if dialect == "responses":
        return {**asked, "input": "x"}
    if dialect == "messages":
        return {**asked, "max_tokens": 99, "messages": [{"role": "user", "content": "x"}]}
    if dialect == "ui":
        return {
            **asked,
            "id": chat,
            "messages": [{"id": "u", "role": "user", "parts": [{"type": "text", "text": "x"}]}],
        }
    return {**asked, "messages": [{"role": "user", "content": "x"}]}


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with ScriptedUpstream(script) as upstream:
        server = HeadraceServer(tmp_path, f"[server]\ndrain = 0.5\n{upstreams_toml(upstream.url)}")
        try:
            await asyncio.to_thread(server.start)
            yield Scene(server, upstream)
        finally:
            await asyncio.to_thread(server.stop)


def moments(dialect: str) -> tuple[str, ...]:
    """The moments that there are in a dialect."""
    return MOMENTS[:3] if dialect == "ui" else MOMENTS


@pytest.mark.parametrize("dialect", PATHS)
async def test_a_stop_by_the_key_of_the_request_works_from_the_first_moment_on(scene: Scene, dialect: str) -> None:
    """On the dialect's own route, by the idempotency key (a chat by its own id), again and again."""
    for upstream in SPEAKS:
        for moment in moments(dialect):
            key = f"{upstream} {moment}"
            client = await scene.ask(dialect, upstream, moment, key)
            stop = f"{PATHS[dialect]}/{quote(key)}/{'stop' if dialect == 'ui' else 'cancel'}"
            first = await scene.post(stop)
            await scene.gone()
            second = await scene.post(stop)
            if dialect == "responses":
                assert (first["status"], second["status"]) == ("cancelled", "cancelled")
            else:
                assert (first["cancelled"], second["cancelled"]) == (True, False)
            if not client.status:
                await client.read_head()
            await client.rest()
            _assert_stopped(client, dialect, moment)
    await scene.ended({("cancelled", "cancelled")})


def _assert_stopped(client: Client, dialect: str, moment: str) -> None:
    """The one who asked is told so: by the status where nothing had been said, else in the stream."""
    assert client.whole
    if moment != "words" and dialect != "ui":
        error = json.loads(client.body)["error"]
        assert (client.status, error["code"], client.headers["x-should-retry"]) == (409, "cancelled", "false")
        return
    assert client.status == 200
    last = json.loads(client.events[-1].data)
    if dialect == "ui":
        assert last["type"] == "abort"
    elif dialect == "responses":
        assert (last["type"], last["response"]["status"]) == ("response.incomplete", "cancelled")
        assert last["response"]["output"][0]["content"][0]["text"] == "One two"
    else:
        assert last["error"]["code"] == "cancelled"
    assert b"[DONE]" not in client.body


@pytest.mark.parametrize("dialect", PATHS)
async def test_leaving_under_cancel_closes_the_upstreams_socket(scene: Scene, dialect: str) -> None:
    """With a FIN and with a reset, whatever the client waits for."""
    for upstream in SPEAKS:
        for moment in moments(dialect):
            for reset in (False, True):
                key = f"{upstream} {moment} {reset}"
                client = await scene.ask(dialect, upstream, moment, key, Headrace_On_Leave="cancel")
                client.reset() if reset else client.close()
                await scene.gone()
    await scene.ended({("cancelled", "abandoned")})


async def test_a_stop_that_comes_before_the_answer_names_itself_is_told_to_a_poller(scene: Scene) -> None:
    """A background response that is stopped before its first event is a cancelled one, with nothing in it."""
    for upstream in SPEAKS:
        body = {**_body("responses", f"{upstream}/no head", "", streamed=False), "background": True}
        client = Client(scene.server.port)
        await scene.send(client, PATHS["responses"], body, {"Idempotency-Key": upstream})
        stopped = await scene.post(f"{PATHS['responses']}/{upstream}/cancel")
        assert (stopped["status"], stopped["output"], stopped["background"]) == ("cancelled", [], True)
        client.close()
    await scene.ended({("cancelled", "cancelled")})
