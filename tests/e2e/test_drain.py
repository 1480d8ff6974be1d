"""SIGTERM: new work is refused at once, readers are told how it ended, and the process ends in time with status 0."""

# ruff: noqa: T201 - it prints what it measured

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.e2e.clients import Client, chat
from tests.e2e.server import HeadraceServer, upstream_toml

from headrace.testing.scripted_upstream import Received, ScriptedUpstream, Stall, Trickle, answer, head, sse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

WORDS = [f"{number} " for number in range(4000)]


def script(request: Received) -> list[object]:
    """Words without end, a short answer that takes a second, or silence."""
    if b"short" in request.body:
        return [head(body="close"), Trickle(sse(*WORDS[:60], finish_reason="stop", done=True), size=250, pause=0.02)]
    if b"silence" in request.body:
        return [Stall()]
    if b"at once" in request.body:
        return [answer("one", "two")]
    return [head(body="close"), Trickle(sse(*WORDS), size=400, pause=0.02), Stall()]


class Scene:
    """A server with its upstream."""

    def __init__(self, folder: Path, upstream: ScriptedUpstream) -> None:
        self.folder = folder
        self.upstream = upstream
        self.server = HeadraceServer(folder)
        self.signalled = 0.0

    async def start(self, drain: float) -> None:
        """Start the server with so many seconds to drain."""
        toml = f"[server]\ndrain = {drain}\n" + upstream_toml(f"{self.upstream.url}/v1")
        (self.folder / "headrace.toml").write_text(toml)
        await asyncio.to_thread(self.server.start)

    async def ask(self, path: str, text: str = "x", **headers: str) -> Client:
        """Start an answer, and read until it has begun."""
        body = chat(text=text) if "completions" in path else {"message": text, "model": "m"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        client = await Client(self.server.port).open("POST", path, body, named)
        return await client.until(lambda client: len(client.body) > 300)

    def signal(self) -> None:
        """Tell it to stop."""
        self.signalled = time.monotonic()
        os.kill(self.server.pid, signal.SIGTERM)

    async def exit(self) -> tuple[int, float]:
        """Its exit status, and how long it took since it was last told."""
        process, self.server.process = self.server.process, None
        assert process is not None
        try:
            status = await asyncio.to_thread(process.wait, 15)
        finally:
            process.kill()
        return status, time.monotonic() - self.signalled

    async def state(self, id: str) -> tuple[str, str]:
        """State and reason of a stream."""
        listed = self.server.json("GET", "/v1/streams")["data"]
        return next((stream["state"], stream.get("reason", "")) for stream in listed if stream["id"] == id)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Not started yet."""
    async with ScriptedUpstream(script) as upstream:
        made = Scene(tmp_path, upstream)
        try:
            yield made
        finally:
            await asyncio.to_thread(made.server.stop)


async def test_unfinished_readers_are_told_in_their_dialect_or_cut(scene: Scene) -> None:
    """No ``[DONE]``, no zero chunk where there are no words for it; the streams are interrupted afterwards."""
    await scene.start(1)
    told = [await scene.ask(path) for path in ("/v1/chat/completions", "/chat", "/v1/chat/stream")]
    cut = [await scene.ask("/infer"), await scene.ask("/chat", Accept="text/plain")]
    observer = await Client(scene.server.port).open("GET", f"/v1/streams/{told[0].stream}")
    whole = Client(scene.server.port)
    await whole.open("POST", "/v1/chat/completions", {**chat(text="silence"), "stream": False}, head=False)
    async with asyncio.timeout(5):
        while len(scene.upstream.requests) < 6:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    scene.signal()
    clients = [*told, observer, *cut]
    rests = [asyncio.create_task(client.rest()) for client in clients]
    status, took = await scene.exit()
    await asyncio.gather(*rests)
    print(f"\nwith running answers and drain = 1: exit {status} after {took:.2f} s")
    assert status == 0
    assert 0.9 < took < 3.5
    for client in [*told, observer]:
        assert client.errors == ["interrupted"], client.body[-300:]
        assert client.whole
        assert not client.done
    for client in cut:
        assert not client.whole
        assert not client.done
    await whole.read_head()
    await whole.rest()
    assert whole.status == 502
    assert b'"code":"interrupted"' in whole.body
    await scene.start(1)
    for client in clients:
        assert (await scene.state(client.stream))[0] == "interrupted"
    texts = {}
    for client in told:
        again = await (await Client(scene.server.port).open("GET", f"/v1/streams/{client.stream}")).rest()
        texts[client.stream] = again.text
        assert again.text == client.text
    assert all("".join(WORDS).startswith(text) for text in texts.values())


async def test_while_it_drains_nothing_begins_and_everybody_may_come_back(scene: Scene) -> None:
    """``/ready`` is 503 at once; a rejoin, a retry under its key and a cancel still work; what can finish does."""
    await scene.start(8)
    endless = await scene.ask("/v1/chat/completions", Idempotency_Key="k", Headrace_On_Leave="keep")
    short = await scene.ask("/v1/chat/completions", "short")
    port = scene.server.port
    scene.signal()
    async with asyncio.timeout(2):
        while (ready := await (await Client(port).open("GET", "/ready")).rest()).status == 200:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert ready.status == 503
    assert b"draining" in ready.body
    assert (await (await Client(port).open("GET", "/health")).rest()).status == 200
    refused = await (await Client(port).open("POST", "/v1/chat/completions", chat(text="at once"))).rest()
    assert refused.status == 503
    endless.close()
    path = f"/v1/chat/completions/{endless.stream}?stream=true"
    again = await Client(port).open("GET", path, headers={"Last-Event-ID": endless.last_id})
    await again.until(lambda client: len(client.body) > 2000)
    assert "".join(WORDS).startswith(endless.text + again.text)
    retried = await Client(port).open("POST", "/v1/chat/completions", chat(), {"Idempotency-Key": "k"})
    assert retried.stream == endless.stream
    await short.rest()
    assert short.done
    assert short.text == "".join(WORDS[:60])
    began = time.monotonic()
    await (await Client(port).open("POST", f"/v1/streams/{endless.stream}/cancel")).rest()
    await asyncio.gather(again.rest(), retried.rest())
    assert again.errors == ["cancelled"]
    status, _ = await scene.exit()
    print(f"\nafter the last answer: exit {status} in {time.monotonic() - began:.2f} s")
    assert status == 0
    assert time.monotonic() - began < 2
    assert len(scene.upstream.requests) == 2


async def test_a_second_signal_means_now(scene: Scene) -> None:
    """The process ends at once, with status 0; what was running is interrupted."""
    await scene.start(30)
    client = await scene.ask("/v1/chat/completions")
    scene.signal()
    await asyncio.sleep(0.3)
    scene.signal()
    rest = asyncio.create_task(client.rest())
    status, took = await scene.exit()
    await rest
    print(f"\nsecond signal: exit {status} after {took:.2f} s")
    assert status == 0
    assert took < 2
    assert not client.done
    await scene.start(1)
    assert (await scene.state(client.stream))[0] == "interrupted"


@pytest.mark.alone
async def test_an_idle_server_ends_at_once(scene: Scene) -> None:
    """Under a second, whether there are kept connections, and connections without a request, or not."""
    await scene.start(30)
    port = scene.server.port
    body = {**chat(text="at once"), "stream": False}
    kept = await Client(port).open("POST", "/v1/chat/completions", body)
    await kept.until(lambda client: client.whole)
    silent = socket.create_connection(("127.0.0.1", port))
    with silent:
        await asyncio.sleep(0.1)
        scene.signal()
        status, took = await scene.exit()
    kept.close()
    print(f"\nidle: exit {status} after {took:.2f} s")
    assert status == 0
    assert took < 1


@pytest.mark.alone
async def test_half_a_request_is_not_waited_for(scene: Scene) -> None:
    """It gets the few seconds that replies have to leave, and none where a second signal comes."""
    await scene.start(30)
    with socket.create_connection(("127.0.0.1", scene.server.port)) as half:
        half.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        await asyncio.sleep(0.1)
        scene.signal()
        await asyncio.sleep(0.5)
        assert scene.server.process is not None
        assert scene.server.process.poll() is None
        scene.signal()
        status, took = await scene.exit()
    assert status == 0
    assert took < 1


async def test_a_stalled_client_does_not_hold_up_the_end(scene: Scene) -> None:
    """Whoever reads nothing is left behind."""
    await scene.start(0.2)
    stalled = await Client(scene.server.port).open("POST", "/v1/chat/completions", chat(), buffer=4096)
    await asyncio.sleep(1)
    scene.signal()
    status, took = await scene.exit()
    stalled.close()
    print(f"\nwith a stalled client: exit {status} after {took:.2f} s")
    assert status == 0
    assert took < 8
