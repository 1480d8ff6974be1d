"""Every store of topics keeps the contract."""

from pathlib import Path

import pytest
from tests.contract.redis_server import RedisServer, redis_server

from headrace.core.topic_log import START, TopicLog
from headrace.errors import OffsetAhead
from headrace.stores.memory.topics import MemoryTopics
from headrace.stores.redis.connection import RedisConnection
from headrace.stores.redis.topics import RedisTopics
from headrace.stores.sqlite.topics import SqliteTopics
from headrace.testing.clock import FakeClock
from headrace.testing.topic_rules import TopicRule, all_of, made, topic_rule_name, topic_rules


class MemoryStage:
    """One process's memory: whoever opens it gets the same log."""

    def __init__(self) -> None:
        self.log = MemoryTopics(FakeClock())

    async def open(self) -> TopicLog:
        return self.log


class SqliteStage:
    """A data folder, opened as several workers do."""

    def __init__(self, folder: Path, durability: str) -> None:
        self.folder = folder
        self.durability = durability
        self.logs: list[SqliteTopics] = []

    async def open(self, boot: str = "") -> SqliteTopics:
        log = await SqliteTopics.open(self.folder, durability=self.durability, boot=boot)
        self.logs.append(log)
        return log

    async def close(self) -> None:
        for log in self.logs:
            await log.close()


class RedisStage:
    """One Redis, opened as several machines do."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.logs: list[RedisTopics] = []
        self.connections: list[RedisConnection] = []

    async def open(self) -> RedisTopics:
        self.connections.append(await RedisConnection.open(self.server.url))
        self.logs.append(RedisTopics(self.connections[-1]))
        return self.logs[-1]

    async def close(self) -> None:
        for each in (*self.logs, *self.connections):
            await each.close()


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def redis_stage(redis):
    redis.ask("FLUSHALL")
    stage = RedisStage(redis)
    yield stage
    await stage.close()


@pytest.fixture(params=["process", "power"])
async def stage(request, tmp_path):
    stage = SqliteStage(tmp_path / "data", request.param)
    yield stage
    await stage.close()


@pytest.mark.parametrize("rule", topic_rules(), ids=topic_rule_name)
async def test_memory(rule: TopicRule):
    """The reference keeps all rules."""
    await rule(MemoryStage())


@pytest.mark.parametrize("rule", topic_rules(), ids=topic_rule_name)
async def test_sqlite(rule: TopicRule, stage: SqliteStage):
    """A data folder keeps all rules, with several workers too."""
    await rule(stage)


@pytest.mark.redis
@pytest.mark.parametrize("rule", topic_rules(), ids=topic_rule_name)
async def test_redis(rule: TopicRule, redis_stage: RedisStage):
    """A Redis keeps all rules, with several processes too."""
    await rule(redis_stage)


async def test_what_was_written_is_there_when_the_folder_is_opened_again(stage):
    """Records, places and ids are those of before."""
    log = await stage.open()
    head = await made(log, None, b"a", b"b")
    await log.close()
    again = await stage.open()
    assert await again.head("ann", "a/b") == head
    assert await all_of(again, head.id) == [b"a", b"b"]
    assert not (await again.read(head.id, head.offset)).records


async def test_a_machine_that_stopped_raises_the_epoch(stage):
    """What was written stays readable; a place of a record that was lost is not mistaken for its successor's."""
    log = await stage.open(boot="one")
    head = await made(log, None, b"a")
    lost = head.offset._replace(number=2)
    await log.close()
    log = await stage.open(boot="two")
    done = await log.append(head.id, 1, [b"b"], note=head.note, now=head.touched)
    assert done.head.offset.epoch > head.offset.epoch
    assert [*(await log.read(head.id, head.offset)).records] == [b"b"]
    with pytest.raises(OffsetAhead):
        await log.read(head.id, lost)
    assert await all_of(log, head.id) == [b"a", b"b"]


async def test_an_epoch_stays_while_the_machine_runs(stage):
    """A process that starts or dies changes no epoch."""
    heads = []
    for path in ("one", "two"):
        log = await stage.open(boot="same")
        heads.append(await made(log, heads[0].topic._replace(path=path) if heads else None, b"a"))
    assert heads[0].offset.epoch == heads[1].offset.epoch


async def test_removed_records_leave_the_file(stage):
    """In pieces, after the removal; a restart goes on with what is left."""
    log = await stage.open()
    head = await made(log, None, *(b"secret-%d" % n for n in range(1500)))
    await log.drop(head.id)
    await log.close()
    log = await stage.open()
    assert log._sweeping is not None
    await log._sweeping
    await log.expire(head.touched)
    await log.close()
    assert b"secret-1" not in (stage.folder / "topics.db").read_bytes()
    log = await stage.open()
    assert (await made(log, None, b"new")).id > head.id
    assert (await log.read(head.id + 1, START)).records == [b"new"]
