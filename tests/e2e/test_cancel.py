"""Stopping and leaving: the upstream's socket is closed at once, and nothing is left behind."""

# ruff: noqa: ASYNC110, T201 - it looks at another process again and again, and prints what it measured

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
import uvicorn
from pydantic import SecretStr
from tests.e2e.clients import Client, chat
from tests.e2e.server import KINDS, HeadraceServer, upstream_toml

from headrace.app import create_app
from headrace.config.values import Settings, Store, Upstream
from headrace.core.registry import Registry
from headrace.core.statistics import Statistics
from headrace.testing.scripted_upstream import Endless, Received, ScriptedUpstream, Stall, Trickle, head, sse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

WORDS = [f"{number} " for number in range(4000)]

#: When somebody leaves or cancels: in the middle, before the first token, before the head, and where all is one piece.
MOMENTS = ("words", "silence", "no head", "no head, whole")

DEADLINES = """
[deadlines]
send = 1.5
"""


def script(request: Received) -> list[object]:
    """What the message asks for: silence before the head, before the first token, a flood, or words without end."""
    if b"no head" in request.body:
        return [Stall()]
    if b"silence" in request.body:
        return [head(body="close"), Stall()]
    if b"flood" in request.body:
        return [head(body="close"), Endless(sse("x" * 8000))]
    return [head(body="close"), Trickle(sse(*WORDS), size=400, pause=0.02), Stall()]


class Scene:
    """A server with its upstream, and what it holds."""

    def __init__(self, server: HeadraceServer, upstream: ScriptedUpstream) -> None:
        self.server = server
        self.upstream = upstream

    async def ask(self, path: str = "/v1/chat/completions", text: str = "x", **headers: str) -> Client:
        """Start an answer; returns when its upstream has been asked, the reply's head not read yet."""
        asked = len(self.upstream.requests)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        client = Client(self.server.port)
        await client.open("POST", path, self.body(path, text), named, head=False)
        async with asyncio.timeout(5):
            while len(self.upstream.requests) == asked:
                await asyncio.sleep(0.001)
        return client

    @staticmethod
    def body(path: str, text: str) -> dict[str, object]:
        """A request for a path; a text that speaks of a whole is not to be streamed."""
        stream = "whole" not in text
        if "completions" in path:
            return {**chat(text=text), "stream": stream}
        return {"message": text, "model": "m", "stream": stream}

    async def gone(self, since: float) -> float:
        """Seconds from ``since`` until the newest upstream connection was closed by the server."""
        connection = self.upstream.connections[-1]
        async with asyncio.timeout(5):
            await connection.closed.wait()
        assert connection.left
        assert connection.closed_at is not None
        return connection.closed_at - since

    def held(self) -> tuple[int, int, int]:
        """The server's file descriptors, established connections and threads."""
        pid = self.server.pid
        links = []
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                links.append(str(link.readlink()))
        sockets = {target[8:-1] for target in links if target.startswith("socket:[")}
        rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
        established = sum(row[3] == "01" and row[9] in sockets for row in rows)
        return len(links), established, len(list(Path(f"/proc/{pid}/task").iterdir()))

    def memory(self) -> float:
        """The server's resident memory in MB."""
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def states(self) -> dict[str, tuple[str, str]]:
        """State and reason of every stream."""
        listed = self.server.json("GET", "/v1/streams?limit=1000")["data"]
        return {stream["id"]: (stream["state"], stream.get("reason", "")) for stream in listed}


@pytest.fixture
def kind() -> str:
    """What serves the app, where a test does not try both."""
    return "own"


@pytest.fixture
async def scene(tmp_path: Path, kind: str) -> AsyncIterator[Scene]:
    """A running server."""
    async with ScriptedUpstream(script) as upstream:
        server = HeadraceServer(tmp_path, upstream_toml(f"{upstream.url}/v1") + DEADLINES, kind=kind)
        try:
            await asyncio.to_thread(server.start)
            yield Scene(server, upstream)
        finally:
            await asyncio.to_thread(server.stop)


def now() -> float:
    return asyncio.get_running_loop().time()


def figures(name: str, values: list[float]) -> None:
    """Print and hold what was measured: every stop is under half a second."""
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(f"\n{name}: n {len(ordered)}, p50 {ordered[len(ordered) // 2] * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms", end="")
    assert ordered[-1] < 0.5


@pytest.mark.alone
async def test_a_cancel_closes_the_upstreams_socket(scene: Scene) -> None:
    """By the stream's id or by the idempotency key, in the middle, before the first token and before the head."""
    for text in MOMENTS:
        took = [await _cancelled(scene, text, f"{text}-{number}", by_id=number % 2 > 0) for number in range(25)]
        figures(f"cancel, {text}", took)
    assert set(scene.states().values()) == {("cancelled", "cancelled")}
    assert len(scene.upstream.requests) == 25 * len(MOMENTS)


async def _cancelled(scene: Scene, text: str, key: str, *, by_id: bool) -> float:
    """Cancel an answer; seconds until its upstream's connection was closed."""
    port = scene.server.port
    client = await scene.ask(text=text, Idempotency_Key=key)
    name = quote(key)
    if text == "words":
        await client.read_head()
        await client.until(lambda client: len(client.body) > 500)
        name = client.stream if by_id else name
    began = now()
    cancel = await Client(port).open("POST", f"/v1/streams/{name}/cancel")
    took = await scene.gone(began)
    await cancel.rest()
    assert b'"cancelled":true' in cancel.body
    again = await (await Client(port).open("POST", f"/v1/streams/{name}/cancel")).rest()
    assert b'"cancelled":false' in again.body
    if not client.status:
        await client.read_head()
    await client.rest()
    assert b'"code":"cancelled"' in client.body
    assert not client.done
    assert client.status == (200 if text == "words" else 409)
    return took


@pytest.mark.alone
@pytest.mark.parametrize("kind", KINDS)
async def test_leaving_under_cancel_closes_the_upstreams_socket(scene: Scene) -> None:
    """Whatever the client waits for: the head, the first token, the next one, or the whole."""
    for path in ("/v1/chat/completions", "/v1/chat/stream", "/infer"):
        for text in MOMENTS:
            took = [await _left(scene, path, text, reset=number % 2 > 0) for number in range(10)]
            figures(f"leave {path}, {text}", took)
    async with asyncio.timeout(2):
        while set(scene.states().values()) != {("cancelled", "abandoned")}:
            await asyncio.sleep(0.05)


async def _left(scene: Scene, path: str, text: str, *, reset: bool) -> float:
    """Leave an answer; seconds until its upstream's connection was closed."""
    client = await scene.ask(path, text, Headrace_On_Leave="cancel")
    if text == "words":
        await client.read_head()
        await client.until(lambda client: len(client.body) > 500)
    began = now()
    if reset:
        client.reset()
    else:
        client.close()
    return await scene.gone(began)


async def test_lingering_costs_nothing_who_comes_back_and_ends_for_who_does_not(scene: Scene) -> None:
    """A reload loses nothing; an answer to which nobody comes back is abandoned, and its upstream is closed."""
    back = await scene.ask(Headrace_On_Leave="linger=2")
    await back.read_head()
    await back.until(lambda client: len(client.body) > 3000)
    back.reset()
    kept = scene.upstream.connections[-1]
    away = await scene.ask(Headrace_On_Leave="linger=2")
    await away.read_head()
    left_at = now()
    away.close()
    await asyncio.sleep(1)
    path = f"/v1/chat/completions/{back.stream}?stream=true"
    again = await Client(scene.server.port).open("GET", path, headers={"Last-Event-ID": back.last_id})
    assert 2.0 <= await scene.gone(left_at) < 3.0
    await again.until(lambda client: len(client.body) > 60_000)
    assert now() - left_at > 2
    assert kept.closed_at is None
    text = back.text + again.text
    assert "".join(WORDS).startswith(text)
    assert scene.states() == {away.stream: ("cancelled", "abandoned"), back.stream: ("open", "")}
    again.close()


async def test_a_client_that_stops_reading_is_let_go(scene: Scene) -> None:
    """After the send deadline its connection is closed, its answer abandoned, and its memory freed."""
    (await scene.ask(text="silence", Headrace_On_Leave="cancel")).close()  # everything is imported and warm
    await scene.gone(now())
    before = scene.held()
    memory = scene.memory()
    stalled = []
    for _ in range(5):
        headers = {"Headrace-On-Leave": "cancel"}
        body = scene.body("/v1/chat/completions", "flood")
        stalled.append(await Client(scene.server.port).open("POST", "/v1/chat/completions", body, headers, buffer=4096))
    began = time.monotonic()
    async with asyncio.timeout(15):
        while scene.upstream.open:
            await asyncio.sleep(0.02)
    print(f"\nstalled clients are let go after {time.monotonic() - began:.1f} s", end="")
    async with asyncio.timeout(15):
        while scene.held()[1] > before[1]:
            await asyncio.sleep(0.05)
    print(f", their sockets after {time.monotonic() - began:.1f} s; {memory:.1f} MB before, {scene.memory():.1f} after")
    assert time.monotonic() - began < 8
    assert scene.memory() < memory + 64
    for client in stalled:
        client.close()


async def test_no_task_is_left_behind(tmp_path: Path) -> None:
    """The same in this process, where tasks and readers can be counted: all that was started for an answer is gone."""
    async with ScriptedUpstream(script) as upstream:
        given = Upstream(base_url=f"{upstream.url}/v1", api_key=SecretStr("sk-upstream"), models=("m",))
        app = create_app(Settings(store=Store(data=str(tmp_path / "data")), upstreams={"up": given}))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve())
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.01)
        try:
            port = server.servers[0].sockets[0].getsockname()[1]
            counts = [await _tasks_after(port, upstream, app.state.service.registry) for _ in "123"]
        finally:
            server.should_exit = True
            await serving
        print(f"\ntasks after 60, 120 and 180 answers: {[len(count) for count in counts]}")
        assert counts[0] == counts[1] == counts[2]
        assert len(counts[0]) < 15


async def _tasks_after(port: int, up: ScriptedUpstream, registry: Registry) -> list[str]:
    """The tasks that are there when sixty answers have been left."""
    for start in range(0, 60, 20):
        await asyncio.gather(*(_leave(port, number) for number in range(start, start + 20)))
    async with asyncio.timeout(5):
        while up.open or registry.statistics() != Statistics(0, 0, 0, 0):
            await asyncio.sleep(0.05)
        tasks, same = _tasks(), 0
        while same < 10:  # what is ending has ended
            await asyncio.sleep(0.05)
            before, tasks = tasks, _tasks()
            same = same + 1 if tasks == before else 0
    return tasks


def _tasks() -> list[str]:
    return sorted(task.get_coro().__qualname__ for task in asyncio.all_tasks())


async def _leave(port: int, number: int) -> None:
    """Start an answer and leave it, in some moment of its life."""
    path = ("/v1/chat/completions", "/chat", "/infer")[number % 3]
    client = Client(port)
    headers = {"Headrace-On-Leave": "cancel"}
    await client.open("POST", path, Scene.body(path, MOMENTS[number % 4]), headers, head=False)
    await asyncio.sleep(0.02 * (number % 7))
    if number % 2:
        client.reset()
    else:
        client.close()
