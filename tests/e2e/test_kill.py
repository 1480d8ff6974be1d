"""``kill -9`` before the first byte, during start-up and compaction; in the middle of answers it is a gate's."""

# ruff: noqa: ASYNC110 - it looks at other processes again and again, and prints what it measured

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.e2e.clients import Client, chat
from tests.e2e.server import HeadraceServer, upstream_toml

from headrace.gates.words import endless, is_beginning, whole
from headrace.testing.scripted_upstream import Received, ScriptedUpstream, Stall, head


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
    async with ScriptedUpstream(_at_once_or_endless) as upstream:
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
            assert is_beginning(running.text + resumed.text)
        finally:
            server.stop()


def _at_once_or_endless(request: Received) -> list[object]:
    return whole(1500)(request) if b"at once" in request.body else endless(request)


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
