"""Two servers on one Redis: start an answer on one, rejoin it on the other, stop it from either, lose nothing."""

# ruff: noqa: T201 - it prints what it measured

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from tests.contract.redis_server import RedisServer, redis_server
from tests.e2e.clients import Client, Event, chat
from tests.e2e.server import HeadraceServer, ServerFailed, upstream_toml

from headrace.testing.scripted_upstream import Received, ScriptedUpstream, Stall, Trickle, head, sse

pytestmark = [pytest.mark.slow, pytest.mark.redis, pytest.mark.timeout(60)]

RECORDS = 120
#: Seconds after which a killed server's answers are closed by the other.
LEASE = 2.0


def script(request: Received) -> list[object]:
    """What the message asks for: words that end, or words without end."""
    if b"endless" in request.body:
        words = [f"{number} " for number in range(4000)]
        return [head(body="close"), Trickle(sse(*words), size=400, pause=0.02), Stall()]
    words = [f"{number} " for number in range(RECORDS)]
    return [head(), Trickle(sse(*words), size=190, pause=0.01), sse(finish_reason="stop", done=True)]


class Nodes:
    """The servers, their upstream and their Redis."""

    def __init__(self, servers: list[HeadraceServer], upstream: ScriptedUpstream, redis: RedisServer) -> None:
        self.servers = servers
        self.upstream = upstream
        self.redis = redis

    async def start(self, text: str, node: int = 0) -> Client:
        """Begin an answer on a server, and read some of it."""
        client = await Client(self.servers[node].port).open("POST", "/v1/chat/completions", chat(text=text))
        return await client.until(lambda client: len(client.events) > 1)

    async def rejoin(self, node: int, stream: str, after: str) -> Client:
        """Read on, on a server."""
        headers = {"Last-Event-ID": after} if after else {}
        return await Client(self.servers[node].port).open("GET", f"/v1/streams/{stream}", headers=headers)


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    """Two of them, each with a folder of its own."""
    async with ScriptedUpstream(script) as upstream:
        with ExitStack() as stack:
            (tmp_path / "redis").mkdir()
            redis = stack.enter_context(
                redis_server(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always")
            )
            servers = []
            for name in ("a", "b"):
                (tmp_path / name).mkdir()
                toml = f"[store]\nlease = {LEASE}\n" + upstream_toml(f"{upstream.url}/v1")
                server = HeadraceServer(tmp_path / name, toml, env={"HEADRACE_DATA": redis.url})
                await asyncio.to_thread(server.start)
                stack.callback(server.stop, signal.SIGKILL)
                servers.append(server)
            yield Nodes(servers, upstream, redis)


def seen(events: list[Event]) -> list[tuple[str, str]]:
    """Data blocks with their places."""
    return [(event.id.rpartition(":")[2], event.data) for event in events]


async def goes_on(client: Client) -> None:
    """More comes, and not only what was on its way."""
    goal = len(client.events) + 100
    await client.until(lambda client: len(client.events) > goal)


async def test_an_answer_is_resumed_at_every_record_on_either_server(nodes: Nodes) -> None:
    """While it comes, by a client that reads a block here and a block there; and once it has ended, from each place."""
    first = await nodes.start("x")
    stream = first.stream
    collected = seen(first.events)
    first.reset()
    for turn in count(1):
        client = await nodes.rejoin(turn % 2, stream, collected[-1][0])
        if client.status == 204:
            break
        await client.until(lambda client: bool(client.events))
        # A few at a time: reading one by one would fall behind an answer that comes in bursts.
        collected += seen(client.events)
        client.reset()
    whole = [seen((await (await nodes.rejoin(node, stream, "")).rest()).events) for node in (0, 1)]
    assert whole[0] == whole[1] == collected
    assert turn > 20
    text = "".join(Event(f"data: {data}".encode()).text for _, data in collected)
    assert text == "".join(f"{number} " for number in range(RECORDS))
    for place, (cursor, _) in enumerate(collected):
        client = await nodes.rejoin(place % 2, stream, cursor)
        rest = seen((await client.rest()).events) if client.status == 200 else []
        assert rest == [(id, data) for id, data in collected[place + 1 :] if id != cursor], cursor
    assert len(nodes.upstream.requests) == 1


async def test_a_cancel_on_one_server_stops_the_others_upstream(nodes: Nodes) -> None:
    """Within a second, from either side; its readers are told on both."""
    took = []
    for number in range(10):
        client = await nodes.start("endless", number % 2)
        reader = await nodes.rejoin(1 - number % 2, client.stream, "")
        began = time.monotonic()
        port = nodes.servers[1 - number % 2].port
        cancel = await Client(port).open("POST", f"/v1/streams/{client.stream}/cancel")
        async with asyncio.timeout(5):
            await nodes.upstream.connections[-1].closed.wait()
        took.append(time.monotonic() - began)
        assert b'"cancelled":true' in (await cancel.rest()).body
        for each in (client, reader):
            await each.rest()
            assert each.errors == ["cancelled"]
            assert not each.done
    print(f"\ncancel across servers: worst {max(took) * 1e3:.0f} ms")
    assert max(took) < 1.0


async def test_a_killed_servers_answer_is_interrupted_on_the_other(nodes: Nodes) -> None:
    """Within the lease; what was read is a prefix of what is kept, and nobody hangs."""
    await asyncio.sleep(LEASE)  # Redis itself has just begun: nobody is taken for dead until all could renew
    client = await nodes.start("endless")
    reader = await nodes.rejoin(1, client.stream, "")
    await reader.until(lambda reader: len(reader.events) > 20)
    nodes.servers[0].stop(signal.SIGKILL)
    killed = time.monotonic()
    await client.rest()
    await reader.rest()
    took = time.monotonic() - killed
    print(f"\ninterrupted is told {took:.2f} s after the kill, with a lease of {LEASE:.0f} s")
    assert reader.errors == ["interrupted"]
    assert not reader.done
    assert reader.text.startswith(client.text)
    assert took < LEASE + 4  # a second until the next look, and what a busy machine adds
    again = await (await nodes.rejoin(1, client.stream, "")).rest()
    assert again.text == reader.text
    assert again.errors == ["interrupted"]


async def test_a_redis_that_stops_for_a_while_costs_nothing(nodes: Nodes) -> None:
    """Silent for five seconds, then killed and started again: answers wait for it and go on, on both servers."""
    client = await nodes.start("endless")
    reader = await nodes.rejoin(1, client.stream, "")
    await reader.until(lambda reader: len(reader.events) > 20)
    nodes.redis.pause()
    await asyncio.sleep(5.0)
    nodes.redis.resume()
    for each in (client, reader):
        await goes_on(each)
    await asyncio.to_thread(nodes.redis.stop, signal.SIGKILL)
    assert (await asyncio.to_thread(nodes.servers[0].request, "GET", "/ready"))[0] == 503
    await asyncio.to_thread(nodes.redis.start)
    await goes_on(client)
    again = await nodes.rejoin(1, client.stream, "")
    await again.until(lambda again: len(again.events) > len(client.events))
    text = "".join(f"{number} " for number in range(4000))
    for each in (client, reader, again):
        assert text.startswith(each.text)
        assert not each.errors
    assert nodes.upstream.open == len(nodes.upstream.requests) == 1


async def test_a_flushed_redis_is_told(nodes: Nodes) -> None:
    """The answer ends as failed, a place in what was lost is refused, and the next answer is whole."""
    client = await nodes.start("endless")
    await client.until(lambda client: len(client.events) > 20)
    nodes.redis.ask("FLUSHALL")
    await client.rest()
    assert not client.done
    async with asyncio.timeout(5):
        await nodes.upstream.connections[-1].closed.wait()
    for node in (0, 1):
        lost = await nodes.rejoin(node, client.stream, client.last_id.rpartition(":")[2])
        assert lost.status == 410
        told = await (await nodes.rejoin(node, client.stream, "")).rest()
        assert (told.errors, told.text) == (["storage"], "")
    assert (await (await nodes.start("x", 1)).rest()).done


async def test_a_server_leaves_newer_data_alone(tmp_path: Path) -> None:
    """It does not start, and says why in a line (S14)."""
    with redis_server(tmp_path) as redis:
        redis.ask("HSET", "headrace:epoch", "schema", 2, "number", 1)
        server = HeadraceServer(tmp_path, env={"HEADRACE_DATA": redis.url})
        with pytest.raises(ServerFailed, match="ended with 1"):
            await asyncio.to_thread(server.start)
        assert "A newer version of Headrace has written this Redis" in server.log.read_text()
        assert "Traceback" not in server.log.read_text()
        assert redis.ask("KEYS", "*") == [b"headrace:epoch"]
