"""Every store of topics does what memory does, whatever is done in whatever order."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.contract.redis_server import redis_server

from headrace.core.topic_log import START, Fork, Note, Topic, TopicHead, TopicLog
from headrace.errors import RequestError
from headrace.stores.memory.topics import MemoryTopics
from headrace.stores.redis import topics_rows as redis_topics_rows
from headrace.stores.redis.connection import RedisConnection
from headrace.stores.redis.topics import RedisTopics
from headrace.stores.sqlite.topics import SqliteTopics
from headrace.testing.clock import FakeClock

PATHS = st.sampled_from(["a", "b", "c", "d"])
RECORDS = st.lists(st.binary(max_size=5), max_size=3).map(tuple)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), PATHS, RECORDS, st.sampled_from([None, 3])),
        st.tuples(st.just("fork"), PATHS, PATHS, st.integers(0, 6), RECORDS),
        st.tuples(st.just("append"), PATHS, RECORDS, st.booleans()),
        st.tuples(st.just("touch"), PATHS),
        st.tuples(st.just("drop"), PATHS),
        st.tuples(st.just("expire"), st.integers(0, 3)),
    ),
    min_size=10,
    max_size=30,
)
#: Something to begin with.
FIRST = [("create", "a", (b"1", b"2", b"3"), 3), ("fork", "b", "a", 2, (b"4",)), ("create", "c", (b"5",), None)]


@dataclass
class Player:
    """Plays steps on one store. Ids and epochs are a store's own, so they are told by their order."""

    log: TopicLog
    now: float = 100.0
    heads: dict[str, TopicHead] = field(default_factory=dict)

    async def play(self, step: tuple) -> object:
        try:
            return await getattr(self, step[0])(*step[1:])
        except RequestError as error:
            return error.code

    async def create(self, path, records, ttl):
        return await self._made(Topic("ann", path, "text/plain", self.now, ttl), records)

    async def fork(self, path, source, inherited, records):
        head = self.heads.get(source)
        if head is None:
            return None
        fork = Fork(head.id, source, inherited % (head.tail + 1), START)
        return await self._made(Topic("ann", path, "text/plain", self.now, fork=fork), records)

    async def append(self, path, records, closed):
        head = self.heads.get(path)
        if head is None:
            return None
        done = await self.log.append(head.id, head.tail, records, note=Note(), now=self.now, closed=closed)
        self.heads[path] = done.head
        return done.ok, done.head.tail

    async def touch(self, path):
        if path in self.heads:
            await self.log.touch(self.heads[path].id, self.now)

    async def drop(self, path):
        return await self.log.drop(self.heads[path].id) if path in self.heads else None

    async def expire(self, seconds):
        self.now += seconds
        return await self.log.expire(self.now)

    async def _made(self, topic, records):
        head, new = await self.log.create(topic, records)
        if new:
            self.heads[topic.path] = head
        return new, head.tail

    async def everything(self) -> list[object]:
        """What is at every path, with the records that can be read from every place."""
        told: list[object] = [await self.log.count("ann"), [head.topic.path for head in await self.log.list("ann")]]
        for path in "abcd":
            head = await self.log.head("ann", path)
            if head is not None:
                told.append((path, head.tail, head.closed, head.gone, head.size, head.touched, head.due))
                told.append(await self._records(head))
        return told

    async def _records(self, head: TopicHead) -> object:
        whole, offset = [], START
        try:
            while not (batch := await self.log.read(head.id, offset, max_bytes=1)).reached or batch.records:
                whole.extend(batch.records)  # how many come at once is a store's own
                assert offset < batch.offset <= head.offset
                offset = batch.offset
                rest = await self.log.read(head.id, offset)
                assert rest.offset == head.offset
                assert len(rest.records) == head.tail - offset.number
        except RequestError as error:
            return error.code
        return whole


at_random = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.generate],  # to make a failure small takes minutes, with a file for each try
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


async def does_what_memory_does(player: Player, steps: list[tuple]) -> list[object]:
    """Every answer, and everything that is there afterwards, which is returned."""
    memory = Player(MemoryTopics(FakeClock()))
    for step in FIRST + steps:
        assert await player.play(step) == await memory.play(step), step
    expected = await memory.everything()
    assert await player.everything() == expected
    return expected


@pytest.mark.slow
@at_random
@given(STEPS)
async def test_the_file_does_what_memory_does(tmp_path_factory, steps):
    """Also after the file was opened again."""
    folder = tmp_path_factory.mktemp("topics")
    file = Player(await SqliteTopics.open(folder))
    try:
        expected = await does_what_memory_does(file, steps)
        await file.log.close()
        file.log = await SqliteTopics.open(folder)
        assert await file.everything() == expected
    finally:
        await file.log.close()


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.mark.slow
@pytest.mark.redis
@at_random
@given(STEPS)
async def test_redis_does_what_memory_does(redis, monkeypatch, steps):
    """Also for another process, with a few records to an entry; and what was removed leaves nothing behind."""
    monkeypatch.setattr(redis_topics_rows, "_ENTRY", 20)
    redis.ask("FLUSHALL")
    connections = [await RedisConnection.open(redis.url) for _ in range(2)]
    here, there = (RedisTopics(connection) for connection in connections)
    try:
        player = Player(here)
        expected = await does_what_memory_does(player, steps)
        player.log = there
        assert await player.everything() == expected
        for head in player.heads.values():
            await there.drop(head.id)
        assert {*redis.ask("KEYS", "*")} == {b"headrace:epoch", b"headrace:topics"}
    finally:
        for each in (here, there, *connections):
            await each.close()
