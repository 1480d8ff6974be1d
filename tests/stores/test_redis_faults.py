"""Redis that goes away, forgets, fills up or says no: what was acknowledged is there, or its loss is told (S8, 5a)."""

import asyncio
import logging
import signal
from contextlib import asynccontextmanager

import pytest
from tests.contract.redis_server import redis_server
from tests.stores.relay import Relay

from headrace.config import Store
from headrace.core.clock import SystemClock
from headrace.core.log import Kept, Name
from headrace.core.meters import Meters
from headrace.errors import OffsetAhead, StoreCorrupt, StoreError, StoreUnavailable, StreamGone
from headrace.model.outcome import Outcome, State
from headrace.stores.opening import open_log
from headrace.stores.redis import append as redis_append
from headrace.stores.redis.connection import RedisConnection
from headrace.stores.redis.line import Dialer, pack
from headrace.stores.redis.log import RedisLog
from headrace.testing.contract import CUT, DONE, Bell, meta, numbered, put, read_all

pytestmark = [pytest.mark.redis, pytest.mark.timeout(30)]

LOST = Outcome(state=State.FAILED, reason="storage", ended_at=1_800_000_300.0)
#: What a server keeps over a restart, and one that forgets everything.
KEEPS = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture
def server(request, tmp_path):
    with redis_server(tmp_path, *getattr(request, "param", ())) as server:
        yield server


@asynccontextmanager
async def worker(url, *, lease=10.0):
    """One process on a Redis."""
    log = await RedisLog(await RedisConnection.open(url), lease=lease).open()
    try:
        yield log
    finally:
        await log.close()


async def until(condition, seconds=5.0):
    """Look again and again."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - somebody else's process changes it
            await asyncio.sleep(0.02)


async def reaps(log, ids):
    """Whether a worker has closed these now; nothing is closed for a while after its own lease had lapsed."""
    return [*await log.reap(lambda _: CUT)] == ids


async def silenced(log):
    """Stop a worker's heart-beat, and wait until its lease has lapsed."""
    for task in [*log._tasks]:
        task.cancel()
    await asyncio.sleep(log._lease + 0.05)


# --- what an append may meet (line 5a)


async def test_a_stale_owners_longer_batch_is_refused(server):
    """A worker that was taken for dead finds its stream closed, however far it has got meanwhile."""
    async with worker(server.url, lease=0.6) as stale, worker(server.url, lease=0.6) as living:
        await put(stale, "s", 3)
        await silenced(stale)
        await until(lambda: reaps(living, ["s"]))
        done = await stale.append("s", 3, numbered(4, 50))
        assert (done.ok, done.tail, done.outcome) == (False, 3, CUT)
        assert await read_all(living, "s") == (numbered(1, 3), CUT)
        assert not stale.owns("s")


async def test_a_lost_tail_under_a_living_owner_is_noticed(server):
    """A Redis that comes back with older data ends the stream where it stands; no number is given away twice."""
    async with worker(server.url) as log, worker(server.url) as other:
        await put(log, "s", 3)
        server.ask("SAVE")
        assert (await log.append("s", 3, numbered(4, 6))).tail == 6
        epoch = log.epoch
        server.stop(signal.SIGKILL)
        server.start()
        done = await log.append("s", 6, numbered(7, 7))
        assert (done.ok, done.tail, done.outcome) == (False, 3, None)
        assert log.epoch > epoch
        assert (await log.append("s", 3, (), LOST)).ok
        for each in (log, other):
            assert await read_all(each, "s") == (numbered(1, 3), LOST)
            with pytest.raises(OffsetAhead):
                await each.read("s", 6)
        assert other.epoch == log.epoch


async def test_an_append_whose_answer_was_lost_is_not_doubled(server):
    """The records, their end and a name are there once; the caller is told that they are."""
    async with Relay(server.port) as relay, worker(f"redis://127.0.0.1:{relay.port}") as log:
        await put(log, "s", 2)
        for first, outcome in ((3, None), (6, DONE)):
            relay.lose_answers()
            done = await log.append("s", first - 1, numbered(first, first + 2), outcome)
            assert (done.ok, done.tail, done.outcome) == (True, first + 2, outcome)
            assert relay.lost
        assert await read_all(log, "s") == (numbered(1, 8), DONE)


async def test_two_appends_that_are_alike_are_two(server):
    """What is asked twice is not taken for what is sent twice: the second finds the first in its place."""
    async with worker(server.url) as log:
        await put(log, "s", 1)
        done = await asyncio.gather(*(log.append("s", 1, numbered(2, 2)) for _ in range(2)))
        assert [each.ok for each in done] == [True, False]
        done = await asyncio.gather(*(log.append("s", 2, (), DONE) for _ in range(2)))
        assert [each.ok for each in done] == [True, False]


async def test_a_create_whose_answer_was_lost_is_the_same_stream(server):
    """It is asked again by itself, and finds what it has made."""
    async with Relay(server.port) as relay, worker(f"redis://127.0.0.1:{relay.port}") as log:
        relay.lose_answers()
        assert (await log.create("s", meta())).id == "s"
        assert relay.lost
        assert (await log.append("s", 0, numbered(1, 1))).ok


async def test_a_resume_inside_a_batch_is_exact(server):
    """Another process reads from the middle of a batch on."""
    async with worker(server.url) as log, worker(server.url) as other:
        await put(log, "s", 9)
        await log.append("s", 9, numbered(10, 19), DONE)
        for after in range(20):
            assert await read_all(other, "s", after) == (numbered(after + 1, 19), DONE)


async def test_two_that_compete_close_each_stream_once(server):
    """Each orphan is closed by one of the two, and both see the same end."""
    short = {"lease": 0.3}
    async with (
        worker(server.url, **short) as dead,
        worker(server.url, **short) as one,
        worker(server.url, **short) as two,
    ):
        ids = [f"s{n}" for n in range(20)]
        for id in ids:
            await put(dead, id, 1)
        await silenced(dead)
        reaped = []

        async def all_are():
            for each in await asyncio.gather(one.reap(lambda _: CUT), two.reap(lambda _: DONE)):
                reaped.extend(each)
            return len(reaped) >= len(ids)

        await until(all_are)
        assert sorted(reaped) == sorted(ids)
        for id in ids:
            assert await read_all(one, id) == await read_all(two, id)


async def test_a_clock_that_jumps_is_nobodys_death(server):
    """All leases have lapsed at once, that of whoever looks too: nobody is taken for dead (S9)."""
    async with worker(server.url) as log, worker(server.url) as other:
        await put(log, "s", 1)
        server.ask("HSET", "headrace:epoch", "since", 0)
        server.ask("DEL", *(f"headrace:w:{each._writer.hex}" for each in (log, other)))
        assert [*await other.reap(lambda _: CUT)] == []
        await other._beat()
        assert [*await other.reap(lambda _: CUT)] == []
        await log._beat()
        assert (await log.append("s", 1, numbered(2, 2))).ok


async def test_a_worker_that_redis_has_forgotten_is_still_looked_after(server):
    """What it began since is closed once it is dead, and not before all leases may have been renewed."""
    async with worker(server.url, lease=0.6) as dead, worker(server.url, lease=0.6) as living:
        await silenced(dead)
        server.ask("SREM", "headrace:workers", dead._writer.hex)
        server.ask("HSET", "headrace:epoch", "since", 0)
        await put(dead, "s", 1)
        assert [*await living.reap(lambda _: CUT)] == []
        await until(lambda: reaps(living, ["s"]))


# --- S8


async def test_a_redis_that_is_down_at_the_start(server):
    """It is waited for a while; a process alone is told at once."""
    server.stop()
    with pytest.raises(StoreUnavailable):
        await RedisConnection.open(server.url)
    opening = asyncio.create_task(open_log(Store(data=server.url), 60.0, SystemClock(), Meters()))
    await asyncio.sleep(0.2)
    await asyncio.to_thread(server.start)
    log = await opening
    await put(log, "s", 1)
    await log.close()


async def test_a_worker_that_gets_no_lease_leaves_nothing_behind(server):
    """Each further try would else add its lines and tasks."""
    connection = await RedisConnection.open(server.url)
    server.ask("CONFIG", "SET", "maxmemory", 1)
    before = asyncio.all_tasks()
    with pytest.raises(StoreUnavailable):
        await RedisLog(connection).open()
    assert asyncio.all_tasks() < before
    with pytest.raises(StoreError, match="closed"):
        await connection.call("PING")


@pytest.mark.parametrize("server", [KEEPS], indirect=True)
async def test_a_redis_that_is_killed_and_keeps_its_data(server):
    """Appends wait for it and are done; its absence is nobody's death, though all leases have lapsed."""
    async with worker(server.url, lease=1.0) as log, worker(server.url, lease=1.0) as other:
        await put(log, "s", 3)
        bell = Bell()
        await other.read("s", 3, wake=bell)
        server.stop(signal.SIGKILL)
        waiting = log.append("s", 3, numbered(4, 6))
        with pytest.raises(StoreUnavailable):
            await other.check()
        await asyncio.sleep(1.2)
        await asyncio.to_thread(server.start)
        assert [*await other.reap(lambda _: CUT)] == []
        assert (await waiting).tail == 6
        await bell.wait()
        assert await read_all(other, "s") == (numbered(1, 6), None)
        assert log.owns("s")


@pytest.mark.parametrize("loss", ["restart", "FLUSHALL"])
async def test_a_redis_that_forgets_everything(server, loss):
    """The stream ends as failed, for whoever asks; what is begun after that works."""
    async with worker(server.url) as log, worker(server.url) as other:
        await put(log, "s", 3)
        epoch = log.epoch
        if loss == "restart":
            server.stop(signal.SIGKILL)
            await asyncio.to_thread(server.start)
        else:
            server.ask(loss)
        done = await log.append("s", 3, numbered(4, 4))
        assert (done.ok, done.tail) == (False, 0)
        assert (await log.append("s", 0, (), LOST)).ok
        assert await read_all(other, "s") == ([], LOST)
        with pytest.raises(OffsetAhead):
            await other.read("s", 3)
        assert log.epoch > epoch
        await put(log, "next", 2, DONE)
        assert await read_all(other, "next") == (numbered(1, 2), DONE)


async def test_a_redis_that_is_slow(server):
    """Five seconds without an answer: appends and reads are late, and nothing else."""
    async with worker(server.url) as log, worker(server.url) as other:
        await put(log, "s", 1)
        server.ask("CLIENT", "PAUSE", 5000)
        done, batch = await asyncio.gather(log.append("s", 1, numbered(2, 2)), other.read("s", 0))
        assert (done.ok, done.tail) == (True, 2)
        assert [*batch.records] == numbered(1, batch.tail)
        assert [*await other.reap(lambda _: CUT)] == []


async def test_a_redis_whose_memory_is_full(server):
    """Appends wait for room; what is there can be read, and dropped."""
    async with worker(server.url) as log:
        await put(log, "s", 1)
        await put(log, "old", 1, DONE)
        server.ask("CONFIG", "SET", "maxmemory", 1)
        waiting = log.append("s", 1, numbered(2, 2))
        for refused in (log.check(), log.create("new", meta())):
            with pytest.raises(StoreUnavailable):
                await refused
        assert await read_all(log, "s") == (numbered(1, 1), None)
        assert await log.drop("old")
        assert not waiting.done()
        server.ask("CONFIG", "SET", "maxmemory", 0)
        assert (await waiting).tail == 2


async def test_a_redis_that_is_read_only(server):
    """As after a failover that left us with the old one: appends wait, reads go on."""
    async with worker(server.url) as log, worker(server.url) as other:
        await put(log, "s", 1)
        server.ask("REPLICAOF", "127.0.0.1", 1)
        waiting = log.append("s", 1, numbered(2, 2))
        with pytest.raises(StoreUnavailable):
            await log.check()
        assert await read_all(other, "s") == (numbered(1, 1), None)
        server.ask("REPLICAOF", "NO", "ONE")
        assert (await waiting).tail == 2


async def test_a_redis_that_forgets_its_scripts(server):
    """They are sent again."""
    async with worker(server.url) as log:
        await put(log, "s", 1)
        server.ask("SCRIPT", "FLUSH")
        assert (await log.append("s", 1, numbered(2, 2))).ok
        server.ask("SCRIPT", "FLUSH")
        assert await read_all(log, "s", 0, max_bytes=1) == (numbered(1, 2), None)
        assert (await log.head("s")).tail == 2


async def test_a_log_that_was_evicted_is_not_begun_in_its_middle(server):
    """The stream ends where it stood; whoever wants its records is told that they are gone."""
    async with worker(server.url) as log, worker(server.url) as other:
        await put(log, "s", 3)
        server.ask("DEL", "headrace:{s}l")
        done = await log.append("s", 3, numbered(4, 4))
        assert (done.ok, done.tail) == (False, 3)
        assert (await log.append("s", 3, (), LOST)).ok
        with pytest.raises(StreamGone):
            await other.read("s", 0)
        assert (await other.read("s", 3)).outcome == LOST


async def test_a_stream_that_was_evicted_but_for_its_log_is_begun_again(server):
    """It is like one that was lost whole; what goes in the same group is not refused with it."""
    async with worker(server.url) as log, worker(server.url) as other:
        await put(log, "s", 3)
        await put(log, "t", 1)
        server.ask("DEL", "headrace:{s}m")
        done = await log.append("s", 3, numbered(4, 4))
        assert (done.ok, done.tail, done.outcome) == (False, 0, None)
        done = await asyncio.gather(log.append("s", 0, numbered(1, 1), LOST), log.append("t", 1, numbered(2, 2)))
        assert [each.ok for each in done] == [True, True]
        assert await read_all(other, "s") == (numbered(1, 1), LOST)


async def test_a_redis_that_stays_away_is_given_up(server, monkeypatch):
    """The append fails; the end is written when Redis is back, after whatever had come through."""
    monkeypatch.setattr(redis_append, "PATIENCE", 0.3)
    async with Relay(server.port) as relay, worker(f"redis://127.0.0.1:{relay.port}") as log:
        await put(log, "s", 2)
        relay.lose_answers(always=True)
        with pytest.raises(StoreUnavailable):
            await log.append("s", 2, numbered(3, 4))
        relay.heal()
        done = await log.append("s", 2, (), LOST)
        assert (done.ok, done.tail) == (False, 4)
        assert (await log.append("s", 4, (), LOST)).ok
        assert await read_all(log, "s") == (numbered(1, 4), LOST)


async def test_a_line_that_broke_is_not_dialled_behind_our_back(server):
    """Who dials also asks for the epoch, and subscribes again."""
    line = await Dialer(server.url).dial()
    await line.send([pack(b"PING")])
    assert await line.receive() == b"PONG"
    await line.close()
    with pytest.raises(StoreUnavailable):
        await line.send([pack(b"PING")])


# --- wake-ups and signals


async def test_what_was_told_while_the_line_was_down_is_heard(server):
    """A reader and an owner that missed a wake-up look for themselves."""
    async with worker(server.url) as log, worker(server.url) as other:
        await put(log, "s", 1)
        heard = asyncio.Queue()
        log.on_cancel(heard.put_nowait)
        bell = Bell()
        await other.read("s", 1, wake=bell)
        server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await log.append("s", 1, numbered(2, 2))
        await other.send_cancel("s")
        await bell.wait()
        assert await asyncio.wait_for(heard.get(), 5) == "s"


@pytest.mark.parametrize("always", [False, True], ids=["once", "for a while"])
async def test_a_cancel_whose_answer_was_lost_is_heard(server, always, caplog):
    """What was told is removed once it has been obeyed; where it cannot be read, a heart-beat looks again."""

    async def given_up():
        return "signals cannot be read" in caplog.text

    async with (
        Relay(server.port) as relay,
        worker(f"redis://127.0.0.1:{relay.port}", lease=0.9) as log,
        worker(server.url) as other,
    ):
        await put(log, "s", 1)
        heard = asyncio.Queue()
        log.on_cancel(heard.put_nowait)
        await other.send_cancel("s")
        assert await asyncio.wait_for(heard.get(), 5) == "s"
        await log._listening
        relay.lose_answers(always=always)
        await other.send_cancel("s")
        if always:
            await until(given_up)
            relay.heal()
        assert await asyncio.wait_for(heard.get(), 5) == "s"
        assert relay.lost
        await log._listening
        assert not server.ask("EXISTS", f"headrace:told:{log._writer.hex}")


async def test_a_cancel_while_a_lease_has_lapsed_is_heard(server):
    """Nobody has closed the stream yet, so its worker may come back."""
    async with worker(server.url) as log, worker(server.url) as other:
        await put(log, "s", 1)
        heard = asyncio.Queue()
        log.on_cancel(heard.put_nowait)
        server.ask("DEL", f"headrace:w:{log._writer.hex}")
        await other.send_cancel("s")
        assert await asyncio.wait_for(heard.get(), 5) == "s"


async def test_nobody_is_taken_for_gone_while_redis_is_away(server):
    """An answer is not given up because nobody can say who reads it."""
    async with worker(server.url) as log:
        await put(log, "s", 1)
        assert not await log.present("s")
        server.stop()
        assert await log.present("s")
        await asyncio.to_thread(server.start)
        assert not await log.present("s")


async def test_who_follows_is_told_of_the_end(server, monkeypatch):
    """Also who waits for a subscription that does not stand yet; it is not left behind."""
    async with worker(server.url) as log, worker(server.url) as other:
        await put(log, "s", 1)
        bell = Bell()
        await other.read("s", 1, wake=bell)
        monkeypatch.setattr(other.connection, "watch", lambda *_: asyncio.Event().wait())
        reading = asyncio.create_task(other.read("t", 0, wake=Bell()))
        await asyncio.sleep(0)
        await other.close()
        async with asyncio.timeout(1):
            await bell.wait()
            with pytest.raises(StoreError, match="closed"):
                await reading


async def test_an_append_that_was_declined_is_answered_when_its_worker_closes(server):
    """Whoever awaits it does not hang."""
    async with worker(server.url) as log, worker(server.url) as other:
        await put(log, "s", 1)
        declined = other.append("s", 1, numbered(2, 2))
        await other.close()
        with pytest.raises(StoreError, match="closed"):
            await asyncio.wait_for(declined, 1)


async def test_one_subscription_for_all_readers_of_a_stream(server):
    """A hundred that wait are one for Redis, and none once they have left."""
    async with worker(server.url, lease=0.6) as log, worker(server.url, lease=0.6) as other:
        await put(log, "s", 1)
        bells = [Bell() for _ in range(100)]
        await asyncio.gather(*(other.read("s", 1, wake=bell) for bell in bells))
        assert server.ask("PUBSUB", "NUMSUB", "headrace:{s}")[1] == 1
        for bell in bells:
            other.forget("s", bell)

        async def left():
            return server.ask("PUBSUB", "NUMSUB", "headrace:{s}")[1] == 0

        await until(left)


# --- what is kept


async def test_every_key_lapses_by_itself(server):
    """But for the epoch, whose loss would be taken for the loss of everything."""
    async with worker(server.url) as log, worker(server.url) as other:
        await put(log, "open", 1)
        await put(log, "done", 1, DONE)
        await put(log, "recorded", 1, DONE)
        await log.mark_recorded(["recorded"])
        await log.drop("open")
        await other.set_presence("done", present=True)
        await log.check()
        await log.secret()
        keys = {key.decode() for key in server.ask("KEYS", "*")}
        assert len(keys) > 10
        assert {key for key in keys if server.ask("TTL", key) < 0} == {"headrace:epoch"}


async def test_what_was_tampered_with_is_not_delivered(server):
    """Each batch has its checksum."""
    async with worker(server.url) as log, worker(server.url) as other:
        await put(log, "s", 1)
        [(id, fields)] = server.ask("XRANGE", "headrace:{s}l", "-", "+")
        server.ask("DEL", "headrace:{s}l")
        server.ask("XADD", "headrace:{s}l", id, "b", fields[b"b"][:-1] + b"2")
        with pytest.raises(StoreCorrupt):
            await other.read("s", 0)


async def test_a_newer_schema_is_left_alone(server):
    """An older server does not write into what it does not know (S14)."""
    server.ask("HSET", "headrace:epoch", "schema", 2, "number", 1)
    with pytest.raises(StoreError, match="newer"):
        await RedisConnection.open(server.url)


async def test_an_eviction_policy_is_warned_of(server, caplog):
    """Only noeviction keeps what was acknowledged."""
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    with caplog.at_level(logging.WARNING):
        async with worker(server.url):
            pass
    assert "maxmemory-policy is allkeys-lru" in caplog.text


async def test_a_secret_is_shared(server):
    """All processes sign with the same one."""
    async with worker(server.url) as log, worker(server.url) as other:
        secret = await log.secret()
        assert len(secret) == 32
        assert await other.secret() == secret


async def test_what_the_dead_had_not_recorded_is_inherited(server):
    """Of one that ended in order, and of one that died: another worker has it from then on."""
    async with worker(server.url, lease=0.6) as heir:
        for id in ("ended", "died"):
            log = await RedisLog(await RedisConnection.open(server.url), lease=0.6).open()
            await put(log, id, 1, DONE)
            if id == "died":
                await silenced(log)
            await log.close()
        assert [*await heir.unrecorded()] == []

        async def inherited():
            assert await reaps(heir, [])
            return len(await heir.unrecorded()) == 2

        await until(inherited)
        assert sorted(head.id for head in await heir.unrecorded()) == ["died", "ended"]
        await heir.mark_recorded(["died", "ended"])
        assert await heir.expire(DONE.ended_at + 1e6, Kept()) == 2


async def test_a_stream_that_was_perhaps_created_is_taken_back(server):
    """Its caller was told that there is none; so there is none, and its name is free again."""
    async with Relay(server.port) as relay, worker(f"redis://127.0.0.1:{relay.port}", lease=0.6) as log:
        relay.lose_answers(always=True)
        with pytest.raises(StoreUnavailable):
            await log.create("s", meta(), [Name("idempotency", "k")])
        relay.heal()

        async def taken_back():
            return await log.head("s") is None and not [*await log.list("ann")]

        await until(taken_back)
        assert await log.resolve("ann", "k", ["idempotency"]) is None
