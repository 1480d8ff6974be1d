"""Topics on a Redis that breaks: nothing doubled, nothing silently lost, and all well again by itself."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.contract.redis_server import RedisServer, redis_server

from headrace.core.topic_log import START, Note, Offset
from headrace.errors import NotFound, OffsetAhead, StoreUnavailable, StreamGone
from headrace.stores.redis import connection as redis_connection
from headrace.stores.redis.connection import RedisConnection
from headrace.stores.redis.topics import RedisTopics
from headrace.testing.contract import Bell, fails
from headrace.testing.topic_rules import NOTE, NOW, add, all_of, fork, made, topic

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[RedisServer]:
    """A Redis that no test breaks for good."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(shared: RedisServer) -> RedisServer:
    shared.ask("FLUSHALL")
    return shared


class LosesReplies(RedisConnection):
    """Once carried out, the reply to an append is lost, and ``then`` happens."""

    then: Callable[[], object] | None = None

    async def run(self, script, *args):
        reply = await super().run(script, *args)
        then, self.then = self.then, None
        if then is None:
            return reply
        await then()
        raise StoreUnavailable


@asynccontextmanager
async def opened(server: RedisServer, kind: type[RedisConnection] = RedisConnection) -> AsyncIterator[RedisTopics]:
    """Topics as one process has them."""
    connection = await kind.open(server.url)
    topics = RedisTopics(connection)
    try:
        yield topics
    finally:
        await topics.close()
        await connection.close()


async def nothing() -> None:
    """What happens where nobody else does anything."""


async def until_it_works(call) -> float:
    """Call until Redis is back; seconds that it took."""
    start = time.monotonic()
    async with asyncio.timeout(10):
        while True:
            try:
                await call()
            except StoreUnavailable:
                await asyncio.sleep(0.02)
            else:
                return time.monotonic() - start


# --- replies that are lost


@pytest.mark.parametrize("size", [1, 100_000])
async def test_an_append_whose_reply_was_lost_is_not_made_twice(server, size):
    """Neither when nobody wrote since, nor when another one has, nor when it closed the topic."""
    async with opened(server, LosesReplies) as here, opened(server) as there:
        head = await made(here)
        here._connection.then = nothing
        head = await add(here, head, b"a" * size, b"b")

        async def other():
            await there.append(head.id, head.tail + 1, [b"theirs"], note=Note(), now=NOW)

        here._connection.then = other
        done = await here.append(head.id, head.tail, [b"c" * size], note=NOTE, now=NOW)
        assert (done.ok, done.head.tail) == (True, 4)
        here._connection.then = nothing
        assert (await add(here, done.head, closed=True)).closed
        assert await all_of(there, head.id) == [b"a" * size, b"b", b"c" * size, b"theirs"]


async def test_a_topic_whose_reply_was_lost_is_the_maker_s(server):
    """It is told that it was made, and its records are there once."""
    async with opened(server, LosesReplies) as here:
        here._connection.then = nothing
        head, new = await here.create(topic(), [b"a"])
        assert new
        assert await all_of(here, head.id) == [b"a"]


# --- what is large


async def test_many_small_records_are_one_step(server):
    """A whole body of the smallest messages: in a few entries, quickly, and read page by page from any place."""
    records = [b"%d" % number for number in range(100_000)]
    async with opened(server) as log:
        head = await made(log)
        start = time.monotonic()
        head = await add(log, head, *records)
        assert time.monotonic() - start < 2
        assert server.ask("XLEN", f"headrace:records:{head.id}") < 40
        assert await all_of(log, head.id) == records
        middle = await log.read(head.id, Offset(head.offset.epoch, 54_321), max_bytes=1)
        assert middle.records == [b"54321"]


async def test_a_page_is_bounded(server):
    """A long topic of large records comes in pages of about what was asked for."""
    async with opened(server) as log:
        head = await made(log)
        for _ in range(4):
            head = await add(log, head, *[b"z" * 300_000] * 5)
        batch = await log.read(head.id, START, max_bytes=1_000_000)
        assert len(batch.records) == 4
        assert len(await all_of(log, head.id, 1_000_000)) == 20


# --- readers


async def test_readers_side_by_side_ask_once(server):
    """A hundred that follow one topic: one look for each append, not one for each reader."""
    async with opened(server) as log:
        head = await made(log)
        bells = [Bell() for _ in range(100)]
        await log.read(head.id, START, wake=bells[0])
        before = _scripts_run(server)
        await asyncio.gather(*(log.read(head.id, START, wake=bell) for bell in bells[1:]))
        assert _scripts_run(server) - before == 1
        await add(log, head, b"a")
        await asyncio.gather(*(bell.wait() for bell in bells))
        assert {bell.rung for bell in bells} == {1}


def _scripts_run(server: RedisServer) -> int:
    told = server.ask("INFO", "commandstats")
    return sum(found["calls"] for name, found in told.items() if name.startswith("cmdstat_eval"))


async def test_a_subscription_ends_when_nobody_comes_back(server):
    """It outlives a round of upkeep, and no more."""
    async with opened(server) as log:
        head = await made(log)
        bell = Bell()
        await log.read(head.id, START, wake=bell)
        channel = f"headrace:{{topic:{head.id}}}"
        for _ in range(3):
            await log.expire(NOW)
        assert server.ask("PUBSUB", "NUMSUB", channel) == [channel.encode(), 1]
        log.forget(head.id, bell)
        for _ in range(2):
            await log.expire(NOW)
        async with asyncio.timeout(5):
            while server.ask("PUBSUB", "NUMSUB", channel)[1]:  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.02)


# --- a Redis that stops


async def wait_for_a_reader(log: RedisTopics, id: int, offset: Offset) -> Bell:
    """A reader at the tail."""
    bell = Bell()
    batch = await log.read(id, offset, wake=bell)
    assert batch.reached
    return bell


async def test_a_redis_that_kept_everything_goes_on(tmp_path: Path):
    """With its log (AOF) nothing is lost: all offsets stay, and who waited is woken and reads on."""
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        async with opened(server) as log:
            head = await made(log, None, b"a", b"b")
            bell = await wait_for_a_reader(log, head.id, head.offset)
            server.stop(signal.SIGKILL)
            await fails(StoreUnavailable, log.read(head.id, START))
            server.start()
            await bell.wait()
            await until_it_works(lambda: log.head("ann", "a/b"))
            assert await log.head("ann", "a/b") == head
            after = await add(log, head, b"c")
            assert after.offset.epoch > head.offset.epoch
            assert [*(await log.read(head.id, head.offset)).records] == [b"c"]
            assert await all_of(log, head.id) == [b"a", b"b", b"c"]


async def test_a_redis_that_kept_nothing_says_so(tmp_path: Path):
    """Without any persistence its topics are gone: 404, and for a new one at the same path 410."""
    with redis_server(tmp_path, "--appendonly", "no") as server:
        async with opened(server) as log:
            head = await made(log, None, b"a", b"b")
            bell = await wait_for_a_reader(log, head.id, head.offset)
            server.stop(signal.SIGKILL)
            server.start()
            await bell.wait()
            await until_it_works(lambda: log.head("ann", "a/b"))
            await fails(NotFound, log.read(head.id, head.offset))
            await fails(NotFound, log.append(head.id, 2, [b"x"], note=Note(), now=NOW))
            again = await made(log, None, b"x", b"y")
            assert again.id > head.id
            await fails(OffsetAhead, log.read(again.id, head.offset))


async def test_a_lost_end_is_told_whoever_has_lived_through_it(tmp_path: Path):
    """Redis forgets the last appends twice: no offset of what was lost ever fits what was written then."""
    with redis_server(tmp_path) as server:
        async with opened(server) as log:
            kept = await made(log, None, b"a")
        server.ask("SAVE")
        lost, ids = [], {kept.id}
        for number in range(3):
            async with opened(server) as log:  # by processes that know nothing of what was before
                head = await log.head("ann", "a/b")
                assert (head.tail, head.offset) == (1, kept.offset)
                head = await add(log, head, b"%d" % number)
                other = await made(log, topic("other"))
                assert other.id not in ids
                ids.add(other.id)
                for offset in lost:
                    await fails(OffsetAhead, log.read(head.id, offset))
                assert [*(await log.read(head.id, kept.offset)).records] == [b"%d" % number]
                lost.append(head.offset)
            server.stop(signal.SIGKILL)
            server.start()


# --- a Redis that lives, and does not do its work


async def test_a_flushed_redis_starts_anew(server):
    """Topics are gone for everybody; new ones are made at once, and no old offset fits them."""
    async with opened(server) as here, opened(server) as there:
        head = await made(here, None, b"a")
        forked = await made(here, fork(head, 1, "fork"))
        server.ask("FLUSHALL")
        for log in (here, there):
            assert await log.head("ann", "a/b") is None
            await fails(NotFound, log.append(head.id, 1, [b"x"], note=Note(), now=NOW))
        again = await made(there, None, b"x")
        assert again.id > forked.id
        await fails(OffsetAhead, here.read(again.id, head.offset))
        await add(here, again, b"y")


async def test_a_read_only_redis_is_unavailable_until_it_is_not(server):
    """A failover leaves a replica at the address: writes are refused and nothing is half there."""
    async with opened(server) as log:
        head = await made(log, None, b"a")
        server.ask("REPLICAOF", "127.0.0.1", "1")
        try:
            await fails(StoreUnavailable, log.append(head.id, 1, [b"b"], note=NOTE, now=NOW))
            await fails(StoreUnavailable, log.create(topic("new")))
        finally:
            server.ask("REPLICAOF", "NO", "ONE")
        await until_it_works(lambda: log.append(head.id, 1, [b"c"], note=NOTE, now=NOW))
        assert await all_of(log, head.id) == [b"a", b"c"]


async def test_a_full_redis_serves_what_it_has(server):
    """Appends are refused whole; readers go on, a topic can be put off and removed, and then there is room again."""
    async with opened(server) as log:
        head = await made(log, topic(ttl=100), b"a")
        large = await made(log, topic("large"), b"z" * 1_000_000)
        server.ask("CONFIG", "SET", "maxmemory", "1mb")
        try:
            for records, closed in (([b"b"], False), ([], True)):
                call = log.append(head.id, 1, records, note=NOTE, now=NOW, closed=closed)
                with pytest.raises(StoreUnavailable):
                    await call
            with pytest.raises(StoreUnavailable):
                await log.create(topic("new"), [b"x"])
            assert await all_of(log, head.id) == [b"a"]
            await log.touch(head.id, NOW + 50)
            assert (await log.head("ann", "a/b")).due == NOW + 150
            assert await log.drop(large.id)
            assert await log.expire(NOW + 150) == 1
            assert await log.list("ann") == []
        finally:
            server.ask("CONFIG", "SET", "maxmemory", "0")
        assert (await made(log, topic("new"), b"x")).tail == 1


async def test_a_paused_redis_doubles_nothing(server, monkeypatch):
    """An append was given up and sent again; when Redis goes on it carries out both, and makes one of them."""
    monkeypatch.setattr(redis_connection, "PATIENCE", 1.0)
    async with opened(server) as log:
        head = await made(log)
        again = asyncio.Event()
        dial = log._connection.dial

        async def dialled():
            again.set()
            return await dial()

        monkeypatch.setattr(log._connection, "dial", dialled)
        server.pause()
        try:
            append = asyncio.create_task(log.append(head.id, 0, [b"a"], note=NOTE, now=NOW))
            await asyncio.wait_for(again.wait(), 10)  # the first try is over, the second is not
        finally:
            server.resume()
        done = await append
        assert (done.ok, done.head.tail) == (True, 1)
        assert await all_of(log, head.id) == [b"a"]


async def test_an_evicted_log_is_not_passed_over(server):
    """A Redis that throws keys away: a topic whose records are gone says so, and can be removed."""
    async with opened(server) as log:
        head = await made(log, None, b"a", b"b")
        server.ask("DEL", f"headrace:records:{head.id}")
        await fails(StreamGone, log.read(head.id, START))
        assert await log.drop(head.id)
        again = await made(log, None, b"x")
        server.ask("DEL", f"headrace:topic:{again.id}")
        assert await log.head("ann", "a/b") is None
        assert (await made(log, None, b"y")).id > again.id
