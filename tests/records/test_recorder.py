"""The recorder: closed streams become rows, once, whatever the database does meanwhile."""

import asyncio
import logging
import sqlite3
import threading

import pytest

from headrace.config import Price
from headrace.core.log import Head
from headrace.model.outcome import Outcome, State, Usage
from headrace.model.request import Meta
from headrace.records import recorder as recorder_module
from headrace.records.database import Database
from headrace.records.recorder import BATCH, EXPIRING, WAITING, Recorder
from headrace.records.rows import insert_new
from headrace.records.sqlite import FILE
from headrace.records.tables import requests
from headrace.testing.clock import FakeClock


class Closed:
    """A log of closed streams, as far as the recorder knows one."""

    def __init__(self, *heads):
        self.heads = list(heads)
        self.recorded = []

    async def unrecorded(self, limit=100):
        return [head for head in self.heads if head.id not in self.recorded][:limit]

    async def mark_recorded(self, ids):
        self.recorded += ids

    async def expire(self, now, kept):
        return 0


USAGE = Usage(input=10, output=20, cached=3, reasoning=4)


def closed(id, owner="alice", created=1.0, usage=USAGE, **more):
    """A stream that has ended."""
    meta = Meta(owner=owner, dialect="openai.chat", created=created, model="gpt", conversation=more.pop("chat", ""))
    outcome = Outcome(
        state=State.COMPLETED,
        reason="stop",
        ended_at=created + 2,
        first_at=created + 1,
        usage=usage,
        upstream="openai",
        upstream_model="gpt-2026",
    )
    return Head(id, meta, "openai.chat", more.pop("tail", 5), outcome, size=99)


async def test_a_closed_stream_becomes_a_row(database):
    """With everything that its outcome says."""
    log = Closed(closed("s1", chat="c1"))
    recorder = Recorder(log, database, FakeClock())
    assert await recorder.fill() == 1
    assert log.recorded == ["s1"]
    found = await recorder.generation("alice", "s1")
    assert (found.id, found.owner, found.dialect, found.model) == ("s1", "alice", "openai.chat", "gpt")
    assert (found.upstream, found.upstream_model, found.conversation) == ("openai", "gpt-2026", "c1")
    assert (found.created, found.first_at, found.ended_at) == (1.0, 2.0, 3.0)
    assert (found.state, found.reason, found.records, found.bytes) == (State.COMPLETED, "stop", 5, 99)
    assert found.usage == USAGE


async def test_usage_that_nobody_knows_stays_unknown(database):
    """Which is not zero; an estimate stays an estimate."""
    log = Closed(closed("s1", usage=None), closed("s2", usage=Usage(input=1, output=2, exact=False)))
    recorder = Recorder(log, database, FakeClock())
    await recorder.fill()
    assert (await recorder.generation("alice", "s1")).usage is None
    assert (await recorder.generation("alice", "s2")).usage == Usage(input=1, output=2, exact=False)


async def test_a_priced_answer_has_its_cost(database):
    """By the upstream's own name, else by the asked one; unknown where there is no price, or no usage."""
    prices = {"gpt-2026": Price(input=1_000_000, output=1_000, cached=1)}
    log = Closed(closed("s1"), closed("s2", usage=None))
    recorder = Recorder(log, database, FakeClock(), prices)
    await recorder.fill()
    assert [(await recorder.generation("alice", id)).cost for id in ("s1", "s2")] == [pytest.approx(7.020003), None]
    unpriced = Recorder(Closed(closed("s3")), database, FakeClock())
    await unpriced.fill()
    assert (await unpriced.generation("alice", "s3")).cost is None


async def test_recording_twice_leaves_the_first_row(database):
    """A crash between the commit and the mark has the stream recorded again."""
    recorder = Recorder(Closed(closed("s1", tail=5)), database, FakeClock())
    await recorder.fill()
    again = Closed(closed("s1", tail=6), closed("s2"))
    assert await Recorder(again, database, FakeClock()).fill() == 1
    assert again.recorded == ["s1", "s2"]
    assert (await recorder.generation("alice", "s1")).records == 5
    assert len(await recorder.generations("alice")) == 2


async def test_recorders_that_share_a_log_do_not_race_through_it(opens):
    """One is told to go on; the others that nothing was left to them. All of it is marked, whoever does it."""
    log = Closed(*(closed(f"s{n}") for n in range(BATCH)))
    recorders = [Recorder(log, opens(), FakeClock()) for _ in range(4)]
    counts = await asyncio.gather(*(recorder.fill() for recorder in recorders))
    assert sorted(counts) == [0, 0, 0, BATCH]
    assert set(log.recorded) == {head.id for head in log.heads}
    assert len(await recorders[0].generations("alice", limit=BATCH + 1)) == BATCH


async def test_answers_that_end_together_are_recorded_by_one_look(database):
    """Each asks for it when it ends; all but the first find nothing left, and take nothing twice."""
    log = Closed(*(closed(f"s{n}") for n in range(BATCH)))
    recorder = Recorder(log, database, FakeClock())
    counts = await asyncio.gather(*(recorder.fill() for _ in range(BATCH)))
    assert counts == [BATCH] + [0] * (BATCH - 1)
    assert len(log.recorded) == BATCH


async def test_a_stop_records_all_that_has_ended(opens):
    """However much it is."""
    log = Closed(*(closed(f"s{n}") for n in range(2 * BATCH + 3)))
    await Recorder(log, opens(), FakeClock()).close()
    assert len(log.recorded) == 2 * BATCH + 3


async def test_a_long_backlog_is_recorded_in_parts(database):
    """The count tells whether there may be more."""
    recorder = Recorder(Closed(*(closed(f"s{n}") for n in range(BATCH + 3))), database, FakeClock())
    assert [await recorder.fill() for _ in range(3)] == [BATCH, 3, 0]


async def test_text_and_numbers_that_databases_refuse_stop_nothing(database):
    """Lone surrogates, NULs, endless names, more tokens than fit."""
    bad = closed("s1", usage=Usage(input=1 << 80, output=1))
    meta = Meta(owner="alice", dialect="d" * 1_000, created=1.0, model="a\ud800\0" + "x" * 10_000)
    bad = bad._replace(meta=meta)
    recorder = Recorder(Closed(bad), database, FakeClock())
    assert await recorder.fill() == 1
    found = await recorder.generation("alice", "s1")
    assert found.model.startswith("a?x")
    assert len(found.model) == 511
    assert found.usage.input == (1 << 63) - 1
    assert found.dialect == "d" * 64


async def test_a_database_that_is_gone_is_told_once_and_tried_again(tmp_path, caplog):
    """Nothing is marked as recorded before it is."""
    blocked = tmp_path / "data"
    blocked.write_text("")
    database = Database(blocked)
    log = Closed(closed("s1"))
    recorder = Recorder(log, database, FakeClock())
    with caplog.at_level(logging.ERROR):
        assert [await recorder.fill() for _ in range(3)] == [0, 0, 0]
    assert (len(caplog.records), log.recorded) == (1, [])
    assert caplog.messages[0].endswith("(FileExistsError)")
    blocked.unlink()
    assert await recorder.fill() == 1
    assert log.recorded == ["s1"]
    await database.close()


async def test_a_lock_of_another_process_is_waited_out_off_the_loop(tmp_path):
    """While somebody holds the file, only the recorder waits."""
    database = Database(tmp_path, patience=0.01)
    recorder = Recorder(Closed(closed("s1")), database, FakeClock())
    await database.run(lambda connection: None)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert await recorder.fill() == 0
    other.execute("ROLLBACK")
    other.close()
    assert await recorder.fill() == 1
    await database.close()


async def test_a_slow_database_does_not_stop_the_loop(database):
    """Other work goes on while a transaction hangs."""
    recorder = Recorder(Closed(closed("s1")), database, FakeClock())
    release = threading.Event()
    hanging = asyncio.create_task(database.run(lambda connection: release.wait(10)))
    filling = asyncio.create_task(recorder.fill())
    for _ in range(100):
        await asyncio.sleep(0)
    recorder.keep("r1", "alice", {"a": 1})
    assert await recorder.request("alice", "r1") == {"a": 1}
    assert not filling.done()
    release.set()
    assert await filling == 1
    await hanging
    await recorder.close()


# -- requests --------------------------------------------------------------------------------------------------------


async def test_a_request_is_written_at_once(opens):
    """A process that dies in the middle of the answer leaves its request behind."""
    database = opens()
    body = {"messages": [{"role": "user", "content": "Grüße 😀 \0"}], "n": 1.5}
    recorder = Recorder(Closed(), database, FakeClock())
    assert recorder.keep("r1", "alice", body)
    await asyncio.sleep(0)
    await database.run(lambda connection: None)
    assert await Recorder(Closed(), opens(), FakeClock()).request("alice", "r1") == body
    await recorder.close()


async def test_requests_wait_while_the_database_is_gone(tmp_path):
    """They are there to be read meanwhile, and written when it is back."""
    blocked = tmp_path / "data"
    blocked.write_text("")
    database = Database(blocked)
    recorder = Recorder(Closed(), database, FakeClock())
    assert recorder.keep("r1", "alice", {"a": 1})
    await recorder.fill()
    assert await recorder.request("alice", "r1") == {"a": 1}
    assert await recorder.request("bob", "r1") is None
    blocked.unlink()
    await recorder.fill()
    await recorder.close()
    rows = sqlite3.connect(blocked / FILE)
    assert rows.execute("SELECT id, owner, body FROM requests").fetchall() == [("r1", "alice", '{"a": 1}')]
    rows.close()


async def test_waiting_requests_are_bounded(tmp_path):
    """Memory does not grow with a database that stays away."""
    blocked = tmp_path / "data"
    blocked.write_text("")
    recorder = Recorder(Closed(), Database(blocked), FakeClock())
    taken = [recorder.keep(f"r{n}", "alice", {}) for n in range(WAITING + 1)]
    assert taken == [True] * WAITING + [False]
    await recorder.close()


async def test_waiting_requests_are_bounded_in_bytes_too(database, monkeypatch):
    """A thousand of them may be a thousand pictures. What is written or forgotten makes room."""
    monkeypatch.setattr(recorder_module, "WAITING_BYTES", 1_000)
    recorder = Recorder(Closed(), database, FakeClock())
    picture = {"picture": "x" * 400}
    assert [recorder.keep(f"r{n}", "alice", picture) for n in range(3)] == [True, True, False]
    await recorder.forget("alice", "r0")
    assert [recorder.keep(f"s{n}", "alice", picture) for n in range(2)] == [True, False]
    await recorder.fill()
    assert [recorder.keep(f"t{n}", "alice", picture) for n in range(3)] == [True, True, False]
    assert not recorder.keep("huge", "alice", {"number": 10**1_000})
    await recorder.close()


async def test_what_has_waited_is_written_in_parts_that_a_server_takes(tmp_path, monkeypatch):
    """In its order, one transaction after another: all of it at once could be more than it ever takes."""
    monkeypatch.setattr(recorder_module, "TOGETHER", 1_000)
    written = []

    def insert(connection, table, rows):
        written.append([row["id"] for row in rows])
        return insert_new(connection, table, rows)

    monkeypatch.setattr(recorder_module, "insert_new", insert)
    blocked = tmp_path / "data"
    blocked.write_text("")
    database = Database(blocked)
    recorder = Recorder(Closed(), database, FakeClock())
    for n, size in enumerate([400, 400, 400, 2_000, 10, 10]):
        assert recorder.keep(f"r{n}", "alice", {"text": "x" * size})
    await recorder.fill()
    blocked.unlink()
    await recorder.fill()
    assert written == [["r0", "r1"], ["r2"], ["r3"], ["r4", "r5"]]
    assert (await recorder.request("alice", "r3")) == {"text": "x" * 2_000}
    await recorder.close()


async def test_old_requests_expire(database):
    """Those that were kept before the given time."""
    clock = FakeClock(start=100.0)
    recorder = Recorder(Closed(), database, clock)
    recorder.keep("old", "alice", {})
    await recorder.fill()
    await clock.advance(10.0)
    recorder.keep("new", "alice", {})
    await recorder.fill()
    assert await recorder.expire_requests(105.0) == 1
    assert await recorder.request("alice", "old") is None
    assert await recorder.request("alice", "new") == {}
    await recorder.close()


async def test_however_many_requests_are_old_they_expire_in_parts(database):
    """No transaction is a long one."""
    rows = [{"id": f"r{n}", "owner": "o", "created": float(n), "body": {}} for n in range(2 * EXPIRING + 10)]
    await database.run(lambda connection: connection.execute(requests.insert(), rows))
    recorder = Recorder(Closed(), database, FakeClock())
    assert await recorder.expire_requests(2.0 * EXPIRING + 1) == 2 * EXPIRING + 1
    assert await recorder.expire_requests(0.0) == 0
    assert await recorder.request("o", f"r{2 * EXPIRING + 1}") == {}


# -- what may be asked -----------------------------------------------------------------------------------------------


async def test_pages_go_from_new_to_old_without_gaps(database):
    """Also where several began in the same moment."""
    heads = [closed(f"s{n * 7 % 20:02}", created=float(n // 3)) for n in range(20)]
    recorder = Recorder(Closed(*heads, closed("x", owner="bob")), database, FakeClock())
    await recorder.fill()
    seen, before = [], ""
    while page := await recorder.generations("alice", before=before, limit=7):
        seen += [generation.id for generation in page]
        before = seen[-1]
    newest_first = sorted(heads, key=lambda head: (head.meta.created, head.id), reverse=True)
    assert seen == [head.id for head in newest_first]


async def test_a_conversations_answers(database):
    """Only those."""
    recorder = Recorder(Closed(closed("s1", chat="c"), closed("s2"), closed("s3", chat="c")), database, FakeClock())
    await recorder.fill()
    assert [found.id for found in await recorder.generations("alice", conversation="c")] == ["s3", "s1"]


async def test_somebody_elses_does_not_exist(database):
    """Neither to read, nor to page from, nor to forget."""
    recorder = Recorder(Closed(closed("s1"), closed("s2", owner="bob")), database, FakeClock())
    recorder.keep("s1", "alice", {})
    await recorder.fill()
    assert await recorder.generation("bob", "s1") is None
    assert await recorder.request("bob", "s1") is None
    assert await recorder.generations("bob", before="s1") == []
    assert await recorder.forget("bob", "s1") is False
    assert await recorder.generation("alice", "s1") is not None
    await recorder.close()


async def test_forgetting_removes_the_answer_and_its_request(database):
    """Once; the second time there is nothing."""
    recorder = Recorder(Closed(closed("s1")), database, FakeClock())
    recorder.keep("s1", "alice", {"a": 1})
    await recorder.fill()
    assert [await recorder.forget("alice", "s1") for _ in range(2)] == [True, False]
    assert await recorder.generation("alice", "s1") is None
    assert await recorder.request("alice", "s1") is None
    await recorder.close()


async def test_forgetting_reaches_a_request_that_is_just_being_written(tmp_path):
    """It does not come back."""
    database = Database(tmp_path)
    recorder = Recorder(Closed(), database, FakeClock())
    recorder.keep("r1", "alice", {"a": 1})
    await asyncio.sleep(0)
    assert await recorder.forget("alice", "r1")
    await recorder.close()
    rows = sqlite3.connect(tmp_path / FILE)
    assert rows.execute("SELECT count(*) FROM requests").fetchone() == (0,)
    rows.close()
