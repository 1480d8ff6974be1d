"""Topics of two servers on one Redis: heard of at once, and whole whatever becomes of Redis."""

# ruff: noqa: T201 - it prints what it measured

import asyncio
import json
import re
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.contract.redis_server import RedisServer, redis_server
from tests.e2e.clients import Client
from tests.e2e.server import HeadraceServer
from tests.e2e.topic_writer import LINES, Writer, check

pytestmark = [pytest.mark.slow, pytest.mark.redis, pytest.mark.timeout(60)]

#: Appends whose way is timed, and how many of a kind listen.
WORDS = 40
READERS = 3


@contextmanager
def servers_on(redis: RedisServer, folder: Path, count: int = 2) -> Iterator[list[HeadraceServer]]:
    """Servers, each with a folder of its own."""
    with ExitStack() as stack:
        made = []
        for number in range(count):
            own = folder / f"server-{number}"
            own.mkdir()
            made.append(stack.enter_context(HeadraceServer(own, env={"HEADRACE_DATA": redis.url})))
        yield made


@pytest.fixture(scope="module")
def redis(tmp_path_factory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def servers(redis: RedisServer, tmp_path_factory) -> Iterator[list[HeadraceServer]]:
    with servers_on(redis, tmp_path_factory.mktemp("servers")) as servers:
        yield servers


async def post(server: HeadraceServer, path: str, body: bytes, **headers: str) -> int:
    return (await asyncio.to_thread(server.request, "POST", path, body, {**LINES, **headers}, 20))[0]


async def poll(server: HeadraceServer, path: str, offset: str) -> tuple[str, bytes]:
    """A long poll: where to go on, and what came."""
    status, headers, body = await asyncio.to_thread(
        server.request, "GET", f"{path}?offset={offset}&live=long-poll", None, {}, 20
    )
    assert status in (200, 204), (status, body)
    return headers["stream-next-offset"], body


@pytest.mark.alone
async def test_another_server_hears_of_an_append_at_once(servers, redis):
    """A follower by events and one by long polls, on the server that did not take it; Redis rests in between."""
    here, there = servers
    path = "/v1/topics/heard"
    status, headers, _ = here.request("PUT", path, b"", LINES)
    assert status == 201
    readers = [await Client(there.port).open("GET", f"{path}?offset=-1&live=sse") for _ in range(READERS)]
    offset, waits = headers["stream-next-offset"], []
    before = _calls(redis)
    polling = asyncio.create_task(poll(there, path, offset))
    await asyncio.sleep(2)  # nothing happens, and nobody asks
    idle = _calls(redis) - before
    for number in range(WORDS):
        word = f"word-{number};".encode()
        began = time.monotonic()
        posted = asyncio.create_task(post(here, path, word))
        for reader in readers:
            await reader.until(lambda reader, word=word: word in reader.body)
        offset, body = await polling
        waits.append(time.monotonic() - began)
        assert body == word
        assert await posted == 204
        polling = asyncio.create_task(poll(there, path, offset))
        await asyncio.sleep(0.02)  # the next poll is under way
    assert await post(here, path, b"", **{"stream-closed": "true"}) == 204
    await polling
    for reader in readers:
        await reader.rest()
        assert reader.whole
    print(f"append to the last of {READERS + 1} readers: {statistics.median(waits) * 1e3:.1f} ms in the middle")
    print(f"worst {max(waits) * 1e3:.1f} ms; {idle} commands in two idle seconds")
    assert statistics.median(waits) < 0.1
    assert idle < 40  # leases, presence and what upkeep asks


def _calls(redis: RedisServer) -> int:
    """Commands that were sent, those inside of scripts not counted."""
    told = redis.ask("INFO", "commandstats")
    return sum(told.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval", "ping"))


async def test_either_server_takes_any_request(servers):
    """Made on one, written on both, forked, listed, closed and deleted on the other."""
    here, there = servers
    assert here.request("PUT", "/v1/topics/any", b"a", LINES)[0] == 201
    assert there.request("PUT", "/v1/topics/any", b"a", LINES)[0] == 200
    assert await post(there, "/v1/topics/any", b"b") == 204
    assert here.request("PUT", "/v1/topics/fork", b"c", {**LINES, "stream-forked-from": "/v1/topics/any"})[0] == 201
    assert there.request("DELETE", "/v1/topics/any")[0] == 204
    assert here.request("GET", "/v1/topics/any")[0] == 410
    assert there.request("GET", "/v1/topics/fork")[2] == b"abc"
    assert "fork" in [each["path"] for each in there.json("GET", "/v1/topics")["data"]]
    assert await post(there, "/v1/topics/fork", b"", **{"stream-closed": "true"}) == 204
    assert await post(here, "/v1/topics/fork", b"d") == 409
    assert here.request("DELETE", "/v1/topics/fork")[0] == 204
    assert there.request("GET", "/v1/topics/any")[0] == 404


async def test_redis_without_room_refuses_and_recovers(servers, redis):
    """Full, then only readable: 503 that may be tried again, reads as long as they can be; then all is well."""
    here, there = servers
    path = "/v1/topics/room"
    assert here.request("PUT", path, b"a", LINES)[0] == 201
    redis.ask("CONFIG", "SET", "maxmemory", "1mb")
    try:
        for server in servers:
            status, headers, body = server.request("POST", path, b"b", LINES)
            assert (status, json.loads(body)["error"]["code"]) == (503, "storage")
            assert headers["x-should-retry"] == "true"
            assert server.request("GET", path)[2] == b"a"
    finally:
        redis.ask("CONFIG", "SET", "maxmemory", "0")
    assert await post(there, path, b"b") == 204
    redis.ask("REPLICAOF", "127.0.0.1", "1")
    try:
        for server in servers:
            assert await post(server, path, b"c") == 503
            assert server.request("GET", path)[2] == b"ab"
    finally:
        redis.ask("REPLICAOF", "NO", "ONE")
    for server in servers:
        assert await post(server, path, b"c") == 204
    assert there.request("GET", path)[2] == b"abcc"


async def test_a_flushed_redis_is_told(servers, redis):
    """What was there is 404; an offset of it is 410 in what comes at the same path."""
    here, there = servers
    path = "/v1/topics/flushed"
    old = here.request("PUT", path, b"a", LINES)[1]["stream-next-offset"]
    redis.ask("FLUSHALL")
    assert [server.request("GET", f"{path}?offset={old}")[0] for server in servers] == [404, 404]
    assert there.request("PUT", path, b"b", LINES)[0] == 201
    for live in ("", "&live=long-poll", "&live=sse"):
        status, _, body = here.request("GET", f"{path}?offset={old}{live}")
        assert (status, json.loads(body)["error"]["code"]) == (410, "offset_ahead")


async def test_producers_go_on_over_kills(tmp_path: Path):
    """Of Redis, whose log is on the disk before each reply, and of a server: every line is there once, in order."""
    path = "/v1/topics/log"
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with redis_server(tmp_path, *options) as redis, servers_on(redis, tmp_path) as servers:
        assert servers[0].request("PUT", path, b"", LINES)[0] == 201
        writers = [Writer(servers, path, name) for name in "abcd"]
        writing = [asyncio.create_task(asyncio.to_thread(writer.write)) for writer in writers]
        for _ in range(3):
            await asyncio.sleep(0.4)
            await asyncio.to_thread(redis.stop, signal.SIGKILL)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(redis.start)
        await asyncio.to_thread(servers[0].kill)
        await asyncio.to_thread(servers[0].start)
        await asyncio.sleep(0.4)
        for writer in writers:
            writer.stopped = True
        await asyncio.gather(*writing)
        acknowledged = [check(writers, server.request("GET", path)[2]) for server in servers]
    repeated, refused = sum(each.repeated for each in writers), sum(each.refused for each in writers)
    print(f"{acknowledged[0]} lines over 3 kills of Redis and one of a server, {repeated} repeated, {refused} refused")
    assert acknowledged[0] > 100


async def test_a_redis_that_forgets_everything_is_told(tmp_path: Path):
    """Without a log of its own it comes back empty: a follower is cut off, 404, and then 410 for the old place."""
    path = "/v1/topics/log"
    with redis_server(tmp_path) as redis, servers_on(redis, tmp_path, 1) as (server,):
        old = server.request("PUT", path, b"", LINES)[1]["stream-next-offset"]
        assert await post(server, path, b"a") == 204
        reader = await Client(server.port).open("GET", f"{path}?offset={old}&live=sse")
        await reader.until(lambda reader: b"streamNextOffset" in reader.body)
        (offset,) = re.findall(rb'"streamNextOffset":"(.*?)"', reader.body)
        redis.stop(signal.SIGKILL)
        await asyncio.sleep(0.3)
        assert await post(server, path, b"b") == 503
        redis.start()
        await reader.rest()  # it is woken and cut off: what it followed is not there any more
        assert await _soon(server, path) == 404
        assert server.request("PUT", path, b"x", LINES)[0] == 201
        assert server.request("GET", f"{path}?offset={offset.decode()}")[0] == 410


async def _soon(server: HeadraceServer, path: str) -> int:
    """The status once Redis is back."""
    async with asyncio.timeout(10):
        while True:
            status = (await asyncio.to_thread(server.request, "GET", path))[0]
            if status != 503:
                return status
            await asyncio.sleep(0.05)
