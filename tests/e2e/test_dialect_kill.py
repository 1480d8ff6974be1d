"""A server that is killed or stopped in the middle of answers: each dialect's clients come back, over every provider's.

What a client saw goes on exactly; then it is told of the interruption in its own dialect. No provider is asked twice.
"""

import asyncio
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.e2e.clients import Client
from tests.e2e.dialect_house import SPEAKS, upstreams_toml
from tests.e2e.server import HeadraceServer

from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.testing.scripted_upstream import Received, Script, ScriptedUpstream, Stall, Trickle, head
from headrace.testing.spoken import Said, dialect_at, spoken

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

KILLS = 4

#: More words than are ever read before a kill, and how many frames come after them.
WORDS = [f"{number} " for number in range(3000)]
_ENDING = {CHAT: 3, RESPONSES: 4, MESSAGES: 3}
_BEGUN = {dialect: b"".join(spoken(dialect, Said(texts=WORDS))[: -_ENDING[dialect]]) for dialect in SPEAKS.values()}

PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages", "ui": "/api/chat"}

#: What looks like a normal end, in any of the dialects.
NORMAL = ("[DONE]", "response.completed", "message_stop", "message_delta", '"type":"finish"', '"finish_reason":"')


def counting(request: Received) -> Script:
    """Words with numbers, in pieces that have nothing to do with frames; then silence. Each answer has its own id."""
    begun = _BEGUN[dialect_at(request.target)].replace(b"_spoken", b"_%d" % request.connection)
    return [head(body="close"), Trickle(begun, size=900, pause=0.02), Stall()]


@dataclass
class Viewer:
    """Somebody who reads an answer in a dialect, over one of the upstreams."""

    dialect: str
    upstream: str
    port: int
    chat: str = ""
    client: Client = field(init=False)

    async def begin(self) -> None:
        """Start the answer, and read until there is some of it."""
        self.client = await Client(self.port).open("POST", PATHS[self.dialect], self._body())
        assert self.client.status == 200, self.client.body
        await self.client.until(lambda client: len(client.body) > 3000)

    async def again(self, path: str, headers: Mapping[str, str]) -> Client:
        """Another request, read to its end."""
        return await (await Client(self.port).open("GET", path, headers=headers)).rest()

    def resumptions(self) -> list[tuple[str, dict[str, str]]]:
        """The requests with which clients of this dialect go on from what they have."""
        id, last = self.client.stream, {"Last-Event-ID": self.client.last_id}
        any_stream = (f"/v1/streams/{id}?as={self.dialect}", last)
        if self.dialect == "ui":
            return [(f"/api/chat/{quote(self.chat)}/stream", last), any_stream]
        path = f"{PATHS[self.dialect]}/{id}?stream=true"
        if self.dialect != "responses":
            return [(path, last), any_stream]
        events = [json.loads(event.data) for event in self.client.events]
        own = PATHS["responses"] + f"/{events[0]['response']['id']}?stream=true"
        return [(f"{own}&starting_after={events[-1]['sequence_number']}", {}), (path, last), any_stream]

    def replays(self) -> list[str]:
        """The requests with which they begin from the start."""
        own = f"/api/chat/{quote(self.chat)}/stream"
        return [
            f"/v1/streams/{self.client.stream}?as={self.dialect}",
            own if self.dialect == "ui" else f"{PATHS[self.dialect]}/{self.client.stream}?stream=true",
        ]

    def _body(self) -> dict[str, Any]:
        asked: dict[str, Any] = {"model": f"{self.upstream}/m", "stream": True}
        if self.dialect == "responses":
            return {**asked, "input": "x"}
        if self.dialect == "messages":
            return {**asked, "max_tokens": 99, "messages": [{"role": "user", "content": "x"}]}
        if self.dialect == "ui":
            parts = [{"type": "text", "text": "x"}]
            return {**asked, "id": self.chat, "messages": [{"id": "u", "role": "user", "parts": parts}]}
        return {**asked, "messages": [{"role": "user", "content": "x"}]}


def told(client: Client) -> list[tuple[str, str]]:
    """The events as their dialect has them: names and data."""
    return [(event.name, event.data) for event in client.events]


def text_of(events: list[tuple[str, str]]) -> str:
    """The text of an answer, in any of the dialects."""
    return "".join(_text(json.loads(data)) for _, data in events)


def _text(value: dict[str, Any]) -> str:
    match value:
        case {"choices": list(choices)}:
            return "".join(choice["delta"].get("content") or "" for choice in choices)
        case {"type": "response.output_text.delta" | "text-delta", "delta": str(delta)}:
            return delta
        case {"type": "content_block_delta", "delta": {"text": str(text)}}:
            return text
    return ""


def assert_interrupted(dialect: str, events: list[tuple[str, str]]) -> None:
    """The last event alone says that it was interrupted, and nothing says that it is whole."""
    data = json.loads(events[-1][1])
    if dialect == "chat":
        assert data["error"]["code"] == "interrupted"
    elif dialect == "messages":
        assert (events[-1][0], data["error"]["code"]) == ("error", "interrupted")
    elif dialect == "responses":
        response = data["response"]
        assert (data["type"], response["status"]) == ("response.failed", "failed")
        assert response["error"]["code"] == "interrupted"
        assert [item["status"] for item in response["output"]] == ["incomplete"]
        assert response["output"][0]["content"][0]["text"] == text_of(events)
    else:
        assert data["type"] == "error"
        assert data["errorText"].startswith("The server stopped")
    for normal in NORMAL:
        assert not any(normal in data for _, data in events)


class Scene:
    """A server over the three upstreams, and a viewer of each dialect over each of them."""

    def __init__(self, folder: Path, upstream: ScriptedUpstream) -> None:
        toml = f"[server]\ndrain = 0.5\n{upstreams_toml(upstream.url)}"
        self.server = HeadraceServer(folder, toml)
        self.upstream = upstream

    async def begin(self, name: str) -> list[Viewer]:
        """Have all of them start and read."""
        port = self.server.port
        viewers = [Viewer(dialect, up, port, f"{name} {dialect} {up}") for dialect in PATHS for up in SPEAKS]
        await asyncio.gather(*(viewer.begin() for viewer in viewers))
        return viewers

    async def rests(self, viewers: list[Viewer], seconds: float) -> None:
        """Have all of them read on."""
        await asyncio.gather(*(viewer.client.rest(seconds) for viewer in viewers))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with ScriptedUpstream(counting) as upstream:
        made = Scene(tmp_path, upstream)
        try:
            await asyncio.to_thread(made.server.start)
            yield made
        finally:
            await asyncio.to_thread(made.server.stop)


async def test_after_a_kill_every_client_goes_on_where_it_was_and_learns_of_it(scene: Scene) -> None:
    """With its own call and with its last event id; from the start it sees the same again."""
    chance = random.Random(7)
    for number in range(KILLS):
        viewers = await scene.begin(f"kill {number}")
        rests = asyncio.create_task(scene.rests(viewers, 20))
        await asyncio.sleep(chance.uniform(0.0, 0.3))
        await asyncio.to_thread(scene.server.kill)
        await rests
        await asyncio.to_thread(scene.server.start)
        await asyncio.gather(*(_comes_back(viewer) for viewer in viewers))
    assert len(scene.upstream.requests) == KILLS * len(PATHS) * len(SPEAKS)


async def _comes_back(viewer: Viewer) -> None:
    assert not viewer.client.whole, "a killed server cannot end a reply"
    seen = told(viewer.client)
    everything = [await _whole(viewer, path, {}) for path in viewer.replays()]
    assert everything[0] == everything[1]
    assert_interrupted(viewer.dialect, everything[0])
    assert "".join(WORDS).startswith(text_of(everything[0]))
    for path, headers in viewer.resumptions():
        assert seen + await _whole(viewer, path, headers) == everything[0]


async def _whole(viewer: Viewer, path: str, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """What a request shows; its body comes to its own end."""
    client = await viewer.again(path, headers)
    assert (client.status, client.whole, client.stream) == (200, True, viewer.client.stream)
    return told(client)


async def test_the_objects_of_killed_answers_say_so(scene: Scene) -> None:
    """An error in two of the dialects, a failed response with what there is of it in the third."""
    viewers = await scene.begin("objects")
    await asyncio.to_thread(scene.server.kill)
    await asyncio.to_thread(scene.server.start)
    for viewer in viewers:
        await viewer.client.rest()
        for path in ("/v1/chat/completions", "/v1/messages"):
            reply = await viewer.again(f"{path}/{viewer.client.stream}", {})
            error = json.loads(reply.body)["error"]
            assert (reply.status, error["code"], reply.headers["x-should-retry"]) == (502, "interrupted", "true")
        reply = await viewer.again(f"/v1/responses/{viewer.client.stream}", {})
        value = json.loads(reply.body)
        assert (reply.status, value["status"], value["error"]["code"]) == (200, "failed", "interrupted")
        assert value["output"][0]["content"][0]["text"].startswith(text_of(told(viewer.client)))


async def test_a_server_that_stops_tells_every_client_so(scene: Scene) -> None:
    """SIGTERM: each is told in its dialect and sees nothing else when it comes back; none ends as if it were whole."""
    viewers = await scene.begin("drain")
    rests = asyncio.create_task(scene.rests(viewers, 20))
    process = scene.server.process
    assert process is not None
    os.kill(process.pid, signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 15) == 0
    await rests
    await asyncio.to_thread(scene.server.start)
    for viewer in viewers:
        assert viewer.client.whole
        assert_interrupted(viewer.dialect, told(viewer.client))
        assert "".join(WORDS).startswith(text_of(told(viewer.client)))
        for path in viewer.replays():
            assert await _whole(viewer, path, {}) == told(viewer.client)
        for path, headers in viewer.resumptions():
            assert (await viewer.again(path, headers)).status == 204
    assert len(scene.upstream.requests) == len(viewers)
