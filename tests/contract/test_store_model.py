"""Any sequence of operations on a store agrees with a dict of lists."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule
from tests.contract.redis_server import RedisServer, redis_server

from headrace.core.log import Appended, Bound, Name
from headrace.errors import NotFound, OffsetAhead, StreamGone
from headrace.model.record import Record
from headrace.stores.memory.log import MemoryLog
from headrace.stores.redis.connection import RedisConnection
from headrace.stores.redis.log import RedisLog
from headrace.stores.sqlite.log import SqliteLog
from headrace.testing.contract import CUT, DONE, fails, meta, read_all, same

DATA = st.binary(max_size=300) | st.just(b"x").map(lambda byte: byte * 70_000)
RECORDS = st.lists(st.builds(Record, st.sampled_from(["", "delta", "é"]), DATA), max_size=5)
OUTCOMES = st.sampled_from([None, None, None, DONE, CUT])
KEYS = st.sampled_from(["k1", "k2"])


class StoreMachine(RuleBasedStateMachine):
    """The model: records and outcome per stream, the dropped ones, and who holds which name."""

    streams = Bundle("streams")

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.records = {}
        self.outcomes = {}
        self.gone = set()
        self.keys = {}
        self.chats = {}
        self.count = 0

    def do(self, work):
        return self.runner.run(work)

    async def open(self):
        return MemoryLog()

    @initialize()
    def start(self):
        self.log = self.do(self.open())

    @rule(target=streams, key=KEYS | st.none(), chat=KEYS)
    def create(self, key, chat):
        self.count += 1
        id = f"s{self.count}"
        names = [Name("chat", chat), *([Name("idempotency", key, "f")] if key else [])]
        holder = self.keys.get(key) if key else None
        bound = self.do(self.log.create(id, meta(created=float(self.count)), names))
        if holder is not None:
            same(bound, Bound(holder, "f"))
            return holder
        same(bound, Bound(id, "f" if key else ""))
        self.records[id] = []
        self.outcomes[id] = None
        self.chats[chat] = id
        if key:
            self.keys[key] = id
        return id

    async def _append(self, *args):
        return await self.log.append(*args)

    @rule(
        id=streams,
        records=RECORDS,
        outcome=st.sampled_from([None, None, None, DONE, CUT]),
        off=st.sampled_from([0, 0, 0, 1, -1]),
    )
    def append(self, id, records, outcome, off):
        if id in self.gone:
            self.do(fails(StreamGone, self._append(id, 0, records)))
            return
        tail = len(self.records[id])
        ok = off == 0 and self.outcomes[id] is None
        if ok:
            self.records[id] = self.records[id] + records
            self.outcomes[id] = outcome
        done = self.do(self._append(id, tail + off, records, outcome))
        same(done, Appended(ok, len(self.records[id]), self.outcomes[id]))

    @rule(id=streams, records=RECORDS)
    def append_twice_at_once(self, id, records):
        if id in self.gone or self.outcomes[id] is not None:
            return
        tail = len(self.records[id])

        async def both():
            first = self.log.append(id, tail, records)
            second = self.log.append(id, tail, [Record("", b"late")])
            return await asyncio.gather(first, second)

        first, second = self.do(both())
        self.records[id] = self.records[id] + records
        same(first.ok, True)
        same(second.ok, not records)
        if second.ok:
            self.records[id] = [*self.records[id], Record("", b"late")]

    @rule(id=streams, data=st.data(), max_bytes=st.sampled_from([1, 100, 65536]))
    def read(self, id, data, max_bytes):
        if id in self.gone:
            self.do(fails(StreamGone, self.log.read(id, 0)))
            return
        expected = self.records[id]
        after = data.draw(st.integers(0, len(expected) + 1))
        if after > len(expected):
            self.do(fails(OffsetAhead, self.log.read(id, after)))
            return
        same(self.do(read_all(self.log, id, after, max_bytes)), (expected[after:], self.outcomes[id]))

    @rule(id=consumes(streams))
    def drop(self, id):
        same(self.do(self.log.drop(id)), id not in self.gone)
        self.gone.add(id)
        self.keys = {key: holder for key, holder in self.keys.items() if holder != id}
        self.chats = {chat: holder for chat, holder in self.chats.items() if holder != id}

    @rule()
    def nobody(self):
        self.do(fails(NotFound, self.log.read("nobody", 0)))

    @invariant()
    def names_and_list_agree(self):
        if self.count == 0:
            return
        for key in ("k1", "k2"):
            bound = self.do(self.log.resolve("ann", key, ["idempotency"]))
            same(bound and bound.id, self.keys.get(key))
            bound = self.do(self.log.resolve("ann", key, ["chat"]))
            same(bound and bound.id, self.chats.get(key))
        standing = [id for id in self.records if id not in self.gone]
        heads = self.do(self.log.list("ann"))
        same([head.id for head in heads], standing[::-1])
        same([head.tail for head in heads], [len(self.records[id]) for id in standing[::-1]])
        size = [
            sum(len(r.event.encode()) * 0 + len(r.event) + len(r.data) for r in self.records[id])
            for id in standing[::-1]
        ]
        same([head.size for head in heads], size)

    def teardown(self):
        if hasattr(self, "log"):
            self.do(self.log.close())
        self.runner.close()


class SqliteMachine(StoreMachine):
    """The same on a data folder, with orderly ends, crashes and housekeeping in between."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()

    async def open(self):
        return await SqliteLog(Path(self.folder.name)).open()

    def _reopened(self):
        self.log = self.do(self.open())
        open_ones = {id for id, outcome in self.outcomes.items() if outcome is None and id not in self.gone}
        same(set(self.do(self.log.reap(lambda head: CUT))), open_ones)
        for id in open_ones:
            self.outcomes[id] = CUT

    @precondition(lambda self: self.count > 0)
    @rule()
    def end_and_open_again(self):
        self.do(self.log.close())
        self._reopened()

    @precondition(lambda self: self.count > 0)
    @rule()
    def crash_and_open_again(self):
        async def abandon():
            place = self.log._place
            place._timer.cancel()
            for task in place.tasks:
                task.cancel()
            place.lock.release()

        self.do(abandon())
        self._reopened()

    @rule()
    def tidy(self):
        self.do(self.log._place.upkeep.tidy())

    def teardown(self):
        super().teardown()
        self.folder.cleanup()


class RedisMachine(StoreMachine):
    """The same on a Redis, by two workers: one writes, and what is told is what the other reads."""

    server: RedisServer

    async def open(self):
        self.server.ask("FLUSHALL")
        self.other = await RedisLog(await RedisConnection.open(self.server.url)).open()
        return await RedisLog(await RedisConnection.open(self.server.url)).open()

    @rule(id=StoreMachine.streams)
    def read_elsewhere(self, id):
        if id not in self.gone:
            same(self.do(read_all(self.other, id)), (self.records[id], self.outcomes[id]))

    def teardown(self):
        if hasattr(self, "other"):
            self.do(self.other.close())
        super().teardown()


@pytest.fixture(scope="class")
def redis_of_its_own(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as RedisMachine.server:
        yield


TestMemoryModel = StoreMachine.TestCase
TestMemoryModel.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestSqliteModel = SqliteMachine.TestCase
TestSqliteModel.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.redis
@pytest.mark.usefixtures("redis_of_its_own")
class TestRedisModel(RedisMachine.TestCase):
    """Started and ended with its server."""

    settings = settings(
        max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
