"""``kill -9`` in the middle of answers: what a client saw goes on exactly, and then it learns of the interruption."""

# ruff: noqa: ASYNC110, T201 - it looks at other processes again and again, and prints what it measured

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.e2e.clients import Client, chat
from tests.e2e.server import HeadraceServer, upstream_toml

from headrace.testing.scripted_upstream import Received, ScriptedUpstream, Stall, Trickle, answer, head, sse

KILLS = 50
STREAMS = 5

#: More words than are ever read before a kill.
WORDS = [f"{number} " for number in range(4000)]


def counting(_: Received) -> list[object]:
    """Words with numbers at about 500 a second, in pieces that have nothing to do with frames."""
    return [head(body="close"), Trickle(sse(*WORDS), size=700, pause=0.008), Stall()]


def dense(text: str) -> bool:
    """Whether a text is the beginning of the upstream's, without a gap and without anything twice."""
    return "".join(WORDS).startswith(text)


class Viewer:
    """Somebody who reads an answer, loses the server, and comes back with the last id."""

    def __init__(self, again: Callable[[str], tuple[str, str, object, dict[str, str]]]) -> None:
        #: From the last id, the request with which this client comes back.
        self._again = again
        self.client: Client
        self.before = b""
        self.after = ""

    async def watch(self, client: Client) -> None:
        """Read until the connection breaks."""
        self.client = client
        await client.rest(20)
        assert not client.whole, "a killed server cannot end a reply"

    async def come_back(self, port: int) -> str:
        """Resume, and return the whole text: what was seen before, and what came now."""
        seen = self.client
        method, path, body, headers = self._again(seen.last_id)
        resumed = await Client(port).open(method, path, body, headers)
        await resumed.rest()
        assert resumed.status == 200, (resumed.status, resumed.body)
        assert resumed.stream == seen.stream
        assert resumed.whole
        assert resumed.errors == ["interrupted"], resumed.body[-500:]
        assert not resumed.done
        assert not seen.done
        assert not seen.errors
        return seen.text + resumed.text


class Round:
    """Some answers, two readers each, one kill, and what is there after it."""

    def __init__(self, server: HeadraceServer, name: str) -> None:
        self.server = server
        self.name = name
        self.viewers: list[list[Viewer]] = []
        self.watching: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Start the answers in three dialects, and have each read by its starter and by an ``EventSource``."""
        await asyncio.gather(*(self._begin(number) for number in range(STREAMS)))

    async def _begin(self, number: int) -> None:
        path, body = [
            ("/v1/chat/completions", chat(text=f"{self.name} {number}")),
            ("/chat", {"message": f"{self.name} {number}", "model": "m"}),
            ("/v1/chat/stream", {"message": f"{self.name} {number}", "model": "m"}),
        ][number % 3]
        keyed = {"Idempotency-Key": f"{self.name}-{number}"}
        client = await Client(self.server.port).open("POST", path, body, keyed)
        assert client.status == 200, client.body
        starter = Viewer(lambda last: ("POST", path, body, {**keyed, **({"Last-Event-ID": last} if last else {})}))
        url = f"/v1/streams/{client.stream}"
        source = Viewer(lambda last: ("GET", url, None, {"Last-Event-ID": last} if last else {}))
        self.viewers.append([starter, source])
        self._watch(starter, client)
        self._watch(source, await Client(self.server.port).open("GET", url))

    def _watch(self, viewer: Viewer, client: Client) -> None:
        self.watching.append(asyncio.create_task(viewer.watch(client)))

    async def come_back(self) -> tuple[int, int]:
        """Check every reader; returns how many words were seen before the kill, and how many only after it."""
        await asyncio.gather(*self.watching)
        before = after = 0
        for viewers in self.viewers:
            texts = await asyncio.gather(*(viewer.come_back(self.server.port) for viewer in viewers))
            assert len(set(texts)) == 1, "two readers of one stream have seen the same"
            assert dense(texts[0]), texts[0][-200:]
            replay = await Client(self.server.port).open("GET", f"/v1/streams/{viewers[0].client.stream}")
            await replay.rest()
            assert replay.text == texts[0]
            most = max(len(viewer.client.text.split()) for viewer in viewers)
            before += most
            after += len(texts[0].split()) - most
        return before, after


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_fifty_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """Every reader sees what it saw before, plus at most what was committed, then ``interrupted``: never an end."""
    chance = random.Random(11)
    async with ScriptedUpstream(counting) as upstream:
        server = HeadraceServer(tmp_path, upstream_toml(f"{upstream.url}/v1"))
        seen = unseen = 0
        began = time.monotonic()
        try:
            await asyncio.to_thread(server.start)
            for number in range(KILLS):
                around = Round(server, f"kill {number}")
                await around.begin()
                await asyncio.sleep(chance.uniform(0.0, 0.5))
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                before, after = await around.come_back()
                seen += before
                unseen += after
        finally:
            server.stop()
        print(
            f"\n{KILLS} kills, {KILLS * STREAMS} streams, {KILLS * STREAMS * 2} readers in"
            f" {time.monotonic() - began:.0f} s: {seen} words seen before, {unseen} committed and seen after,"
            " 0 lost, 0 doubled"
        )
        assert seen > KILLS * STREAMS
        assert len(upstream.requests) == KILLS * STREAMS, "coming back is never a second call"


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_retry_after_a_kill_before_the_first_byte_is_not_a_second_call(tmp_path: Path) -> None:
    """An upstream that has accepted a request is not asked again under the same idempotency key."""

    def silent(_: Received) -> list[object]:
        return [head(body="close"), Stall()]

    async with ScriptedUpstream(silent) as upstream:
        server = HeadraceServer(tmp_path, upstream_toml(f"{upstream.url}/v1"))
        try:
            for number in range(5):
                await asyncio.to_thread(server.start)
                keyed = {"Idempotency-Key": f"once-{number}"}
                client = await Client(server.port).open("POST", "/v1/chat/completions", chat(), keyed, head=False)
                async with asyncio.timeout(5):
                    while len(upstream.requests) == number:
                        await asyncio.sleep(0.01)
                await asyncio.to_thread(server.kill)
                client.close()
                await asyncio.to_thread(server.start)
                again = await Client(server.port).open("POST", "/v1/chat/completions", chat(), keyed)
                await again.rest()
                assert again.status == 502, again.body
                assert b'"code":"interrupted"' in again.body
                assert len(upstream.requests) == number + 1
                server.stop()
        finally:
            server.stop()


def _kill_at(server: HeadraceServer, seconds: Sequence[float]) -> None:
    """Start it again and again, and kill it so many seconds later, wherever it is then."""
    for wait in seconds:
        process = server.launch()
        time.sleep(wait)
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_kills_during_start_up_and_compaction_tear_nothing(tmp_path: Path) -> None:
    """Whatever the moment: the next start finds finished answers whole, and interrupted ones as they were."""
    async with ScriptedUpstream(_at_once_or_counting) as upstream:
        server = HeadraceServer(tmp_path, upstream_toml(f"{upstream.url}/v1"))
        try:
            await asyncio.to_thread(server.start)
            finished: list[Client] = []
            # Compaction begins within a second of an end, so that these kills fall before, into and after it.
            for wait in (0.0, 0.3, 0.6, 0.8, 0.9, 1.0):
                finished += await asyncio.gather(*(_answer(server) for _ in range(4)))
                await asyncio.sleep(wait)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                await _same(server, finished[-8:])
            running = await Client(server.port).open("POST", "/v1/chat/completions", chat())
            await running.until(lambda client: len(client.body) > 2000)
            await asyncio.to_thread(server.kill)
            await running.rest()
            await asyncio.to_thread(_kill_at, server, [0.3 + 0.03 * step for step in range(14)])
            await asyncio.to_thread(server.start)
            await _same(server, finished)
            headers = {"Last-Event-ID": running.last_id}
            resumed = await Client(server.port).open("GET", f"/v1/streams/{running.stream}", headers=headers)
            await resumed.rest()
            assert resumed.errors == ["interrupted"]
            assert dense(running.text + resumed.text)
        finally:
            server.stop()


def _at_once_or_counting(request: Received) -> list[object]:
    return [answer(*WORDS[:1500])] if b"at once" in request.body else counting(request)


async def _answer(server: HeadraceServer) -> Client:
    """A finished answer."""
    client = await Client(server.port).open("POST", "/v1/chat/completions", chat(text="at once"))
    await client.rest(20)
    assert client.done
    return client


async def _same(server: HeadraceServer, finished: Sequence[Client]) -> None:
    for client in finished:
        path = f"/v1/chat/completions/{client.stream}?stream=true&starting_after=0"
        again = await (await Client(server.port).open("GET", path)).rest()
        assert again.done
        assert [(e.data, e.id.rpartition(":")[2]) for e in client.events] == [(e.data, e.id) for e in again.events]
