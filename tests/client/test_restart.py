"""The clients and a real server that is killed under them: nothing twice, nothing left out, and the end is told."""

import asyncio

import pytest
from tests.e2e.server import HeadraceServer

from headrace.client import AsyncClient, Client, Outcome, State, Text

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60), pytest.mark.anyio]


def counted(items):
    """How far the counter came, without a gap."""
    text = "".join(item.text for item in items if isinstance(item, Text))
    numbers = [int(number) for number in text.split()]
    assert numbers == list(range(1, len(numbers) + 1))
    return len(numbers)


def test_a_killed_server_interrupts_the_answer(tmp_path):
    """What was seen goes on without a gap, and what ended it is said. The key has not started another."""
    with HeadraceServer(tmp_path) as server:
        client = Client(server.url)
        seen = []
        for item in client.chat("demo/counter", "count"):
            seen.append(item)
            if len(seen) == 20:
                server.kill()
                server.start()
        assert counted(seen) >= 18
        assert seen[-1].state is State.INTERRUPTED
        assert [each.state for each in client.streams()] == [State.INTERRUPTED]


async def test_an_answer_is_read_on_from_a_restarted_server(tmp_path):
    """One that had ended by then: by its cursor, by another client, whole."""
    with HeadraceServer(tmp_path) as server:
        async with AsyncClient(server.url) as client:
            answer = client.chat("demo/counter", "count", max_tokens=30)
            seen = [await anext(answer) for _ in range(10)]
            id, cursor = answer.id, answer.cursor
            await answer.close()
            watcher = client.watch(id)
            assert counted([item async for item in watcher]) == 30
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            seen += [item async for item in client.follow(id, after=cursor)]
    assert counted(seen) == 30
    assert isinstance(seen[-1], Outcome)
    assert (seen[-1].reason, seen[-1].usage.output) == ("length", 30)


async def test_the_last_reader_to_leave_is_awaited(tmp_path):
    """For as long as the client is patient; a watcher holds nothing."""
    with HeadraceServer(tmp_path) as server:
        async with AsyncClient(server.url, patience=1.0) as client:
            async with client.chat("demo/stall", "x") as answer:
                await anext(answer)
            watched = [item async for item in client.watch(answer.id)]
    assert watched[-1].state is State.CANCELLED
    assert "nobody" in watched[-1].message
