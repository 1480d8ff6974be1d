"""The contract of every store of topics: rules that any implementation of the topic port must keep.

A third party's store is tested like ours; a broken rule raises AssertionError::

    @pytest.mark.parametrize("rule", topic_rules(), ids=topic_rule_name)
    async def test_contract(rule, stage):
        await rule(stage)
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from headrace.core.topic_log import START, Fork, Note, Offset, Topic, TopicHead, TopicLog
from headrace.errors import NotFound, OffsetAhead, StoreError, StreamGone
from headrace.testing.clock import settle
from headrace.testing.contract import Bell, fails, same

NOW = 1_800_000_000.0
NOTE = Note({"p": (1, 7)}, "b")


class TopicStage(Protocol):
    """Where the rules play: one store's data, opened as often as a rule wants."""

    async def open(self) -> TopicLog:
        """Open the data once more, as another worker does. A store for one process gives the same log again."""


TopicRule = Callable[[TopicStage], Awaitable[None]]
_RULES: list[TopicRule] = []


def topic_rules() -> list[TopicRule]:
    """All of them."""
    return list(_RULES)


def topic_rule_name(rule: TopicRule) -> str:
    """The rule's name, for a test's id."""
    return getattr(rule, "__name__", "rule")


def _rule(check: TopicRule) -> TopicRule:
    _RULES.append(check)
    return check


def topic(path: str = "a/b", owner: str = "ann", *, ttl: int | None = None, expires: float | None = None) -> Topic:
    """A topic at a path."""
    return Topic(owner, path, "text/plain; charset=utf-8", NOW, ttl, expires)


def fork(source: TopicHead, inherited: int, path: str) -> Topic:
    """A fork of a topic after so many records."""
    return topic(path)._replace(fork=Fork(source.id, source.topic.path, inherited, source.offset, 3))


async def made(log: TopicLog, wanted: Topic | None = None, *records: bytes, closed: bool = False) -> TopicHead:
    """A topic that was not there before."""
    head, new = await log.create(wanted or topic(), records, closed=closed)
    same(new, True)
    return head


async def add(log: TopicLog, head: TopicHead, *records: bytes, closed: bool = False, now: float = NOW) -> TopicHead:
    """Append where nobody else does."""
    done = await log.append(head.id, head.tail, records, note=head.note, now=now, closed=closed)
    same(done.ok, True)
    return done.head


async def all_of(log: TopicLog, id: int, max_bytes: int = 65536) -> list[bytes]:
    """Every record, by as many reads as it takes."""
    records: list[bytes] = []
    offset = START
    while True:
        batch = await log.read(id, offset, max_bytes=max_bytes)
        records.extend(batch.records)
        same(batch.offset.number, len(records))
        if batch.reached:
            return records
        same(batch.offset > offset, True)
        offset = batch.offset


# --- appending and reading


@_rule
async def what_was_appended_is_read_back(stage: TopicStage) -> None:
    """Bytes of any kind, in their order, by reads of any size, each of which gets on."""
    log = await stage.open()
    records = [b"", b"\x00\xff\r\n\n", "grün 🌊".encode(), b"z" * 200_000, b"end"]
    head = await made(log, None, *records[:2])
    head = await add(log, head, *records[2:])
    same((head.tail, head.size, head.closed), (5, sum(map(len, records)), False))
    for max_bytes in (1, 10, 65536, 1 << 20):
        same(await all_of(log, head.id, max_bytes), records)
    batch = await log.read(head.id, START, max_bytes=1)
    same((len(batch.records) <= 2, batch.tail, batch.reached), (True, 5, False))


@_rule
async def an_append_stands_on_the_tail_that_it_expects(stage: TopicStage) -> None:
    """Of two writers at one tail one is told how the topic stands, and nothing of its append, note or end is there."""
    log = await stage.open()
    head = await made(log)
    first = log.append(head.id, 0, [b"a"], note=NOTE, now=NOW + 1)
    second = log.append(head.id, 0, [b"b", b"c"], note=Note(), now=NOW + 2, closed=True)
    done = await asyncio.gather(first, second)
    same([each.ok for each in done], [True, False])
    same(done[1].head, done[0].head)
    same(await log.head("ann", "a/b"), done[0].head)
    same((done[0].head.note, done[0].head.touched, done[0].head.closed), (NOTE, NOW + 1, False))
    same(await all_of(log, head.id), [b"a"])


@_rule
async def many_writers_lose_nothing(stage: TopicStage) -> None:
    """Writers in two processes, each trying again: every record is there once, and each writer's are in order."""
    logs = [await stage.open(), await stage.open()]
    head = await made(logs[0])

    async def write(log: TopicLog, name: str) -> None:
        tail = 0
        for number in range(15):
            while True:
                done = await log.append(head.id, tail, [f"{name}{number}".encode()], note=Note(), now=NOW)
                tail = done.head.tail
                if done.ok:
                    break

    names = "abcd"
    await asyncio.gather(*(write(logs[i % 2], name) for i, name in enumerate(names)))
    for log in logs:
        records = [record.decode() for record in await all_of(log, head.id)]
        same(len(records), 60)
        for name in names:
            same([record for record in records if record[0] == name], [f"{name}{number}" for number in range(15)])


@_rule
async def nothing_follows_the_end(stage: TopicStage) -> None:
    """A closed topic takes nothing more; its last batch says that it is the last."""
    log = await stage.open()
    head = await add(log, await made(log, None, b"a"), b"b", closed=True)
    same(head.closed, True)
    same((await log.append(head.id, 2, [b"c"], note=Note(), now=NOW)).ok, False)
    batch = await log.read(head.id, START, max_bytes=1)
    same((batch.ended, batch.closed), (False, True))
    batch = await log.read(head.id, batch.offset)
    same((list(batch.records), batch.ended), ([b"b"], True))
    batch = await log.read(head.id, batch.offset)
    same((list(batch.records), batch.ended), ([], True))
    same((await made(log, topic("born/closed"), b"x", closed=True)).closed, True)


@_rule
async def a_topic_may_close_without_a_record(stage: TopicStage) -> None:
    """Closing is an append too: it stands on the tail, and wakes who waits."""
    log = await stage.open()
    head = await made(log, None, b"a")
    bell = Bell()
    same((await log.read(head.id, head.offset, wake=bell)).ended, False)
    await add(log, head, closed=True)
    await bell.wait()
    same((await log.read(head.id, head.offset)).ended, True)


# --- waiting


@_rule
async def a_reader_at_the_tail_is_woken(stage: TopicStage) -> None:
    """By an append and by a removal, once; never where there was something to read, or after it has let go."""
    log = await stage.open()
    head = await made(log, None, b"a")
    here, behind, gone = Bell(), Bell(), Bell()
    same(list((await log.read(head.id, head.offset, wake=here)).records), [])
    await log.read(head.id, head.offset, wake=gone)
    log.forget(head.id, gone)
    log.forget(head.id, gone)
    await log.read(head.id, START, max_bytes=1, wake=behind)
    log.forget(head.id, behind)
    head = await add(log, head, b"b")
    await here.wait()
    head = await add(log, head, b"c")
    await settle()
    same((here.rung, behind.rung, gone.rung), (1, 0, 0))
    await log.read(head.id, head.offset, wake=here)
    await log.drop(head.id)
    await settle()
    same(here.rung, 2)


@_rule
async def another_process_hears_of_an_append(stage: TopicStage) -> None:
    """Soon, and of a removal too; what it then reads is all there."""
    here, there = await stage.open(), await stage.open()
    head = await made(here, None, b"a")
    bell = Bell()
    same(list((await there.read(head.id, head.offset, wake=bell)).records), [])
    head = await add(here, head, b"b")
    await bell.wait()
    same(await all_of(there, head.id), [b"a", b"b"])
    bell = Bell()
    await there.read(head.id, head.offset, wake=bell)
    await here.drop(head.id)
    await bell.wait()
    await fails(NotFound, there.read(head.id, head.offset))


# --- places


@_rule
async def an_offset_is_of_one_topic_only(stage: TopicStage) -> None:
    """A place that is not there is refused: too far, of another epoch, or of an earlier topic at the same path."""
    log = await stage.open()
    head = await made(log, None, b"a", b"b", b"c")
    batch = await log.read(head.id, START, max_bytes=1)
    same(list((await log.read(head.id, batch.offset)).records), [b"b", b"c"])
    for place in (
        Offset(head.offset.epoch, 4),
        Offset(head.offset.epoch + 1, 2),
        Offset(0, 2),
        Offset(head.offset.epoch, 0),
    ):
        await fails(OffsetAhead, log.read(head.id, place))
    await log.drop(head.id)
    again = await made(log, None, b"x", b"y", b"z")
    same(again.id != head.id, True)
    await fails(OffsetAhead, log.read(again.id, batch.offset))
    await fails(NotFound, log.read(head.id, START))
    same(head.offset < again.offset, True)
    same(str(head.offset) < str(again.offset), True)


# --- paths


@_rule
async def a_path_holds_one_topic(stage: TopicStage) -> None:
    """The first stays; the same path of another owner is another topic."""
    log = await stage.open()
    head = await made(log, topic(ttl=5), b"a")
    same(await log.create(topic(ttl=6), [b"b"]), (head, False))
    other = await made(log, topic(owner="bob"))
    same(await log.head("ann", "a/b"), head)
    same(await log.head("bob", "a/b"), other)
    same(await log.head("ann", "a"), None)


@_rule
async def topics_are_listed_by_path(stage: TopicStage) -> None:
    """An owner's own, page by page, without those that are gone; all count."""
    log = await stage.open()
    heads = [await made(log, topic(path)) for path in ("b", "a", "c/d", "ä")]
    await made(log, topic("z", "bob"))
    await made(log, fork(heads[0], 0, "e"))
    await log.drop(heads[0].id)
    same([head.topic.path for head in await log.list("ann")], ["a", "c/d", "e", "ä"])
    same([head.topic.path for head in await log.list("ann", after="a", limit=2)], ["c/d", "e"])
    same((await log.count("ann"), await log.count("bob"), await log.count("eve")), (5, 1, 0))


@_rule
async def a_removed_topic_leaves_nothing(stage: TopicStage) -> None:
    """Its path is free again, and its id means nothing to anybody."""
    log = await stage.open()
    head = await made(log, None, *(b"%d" % n for n in range(1200)))
    same((await log.drop(head.id), await log.drop(head.id)), (True, False))
    same(await log.head("ann", "a/b"), None)
    await fails(NotFound, log.read(head.id, START))
    await fails(NotFound, log.append(head.id, 1200, [b"x"], note=Note(), now=NOW))
    await log.touch(head.id, NOW)
    log.forget(head.id, Bell())
    same((await made(log)).tail, 0)


# --- time


@_rule
async def what_is_due_expires(stage: TopicStage) -> None:
    """A ``ttl`` counts from the last touch or append, a fixed time from nothing; others stay."""
    log = await stage.open()
    slides = await made(log, topic("slides", ttl=10))
    grows = await made(log, topic("grows", ttl=10))
    fixed = await made(log, topic("fixed", expires=NOW + 15))
    await made(log, topic("stays"))
    await log.touch(slides.id, NOW + 8)
    await log.touch(slides.id, NOW + 2)
    await log.touch(fixed.id, NOW + 8)
    await add(log, grows, b"a", now=NOW + 5)
    same((await log.head("ann", "slides") or slides).due, NOW + 18)
    same((await log.head("ann", "grows") or grows).due, NOW + 15)
    same(await log.expire(NOW + 14.9), 0)
    same(await log.expire(NOW + 15), 2)
    same(await log.expire(NOW + 18), 1)
    same([head.topic.path for head in await log.list("ann")], ["stays"])


# --- forks


@_rule
async def a_fork_reads_on_from_its_source(stage: TopicStage) -> None:
    """What both have in common has the same offsets; from there on each has its own."""
    log = await stage.open()
    source = await made(log, None, b"a", b"b", b"c")
    forked = await made(log, fork(source, 2, "fork"), b"C")
    same((forked.tail, forked.size, forked.closed, forked.depth > 0), (3, 1, False, True))
    source = await add(log, source, b"d", closed=True)
    forked = await add(log, forked, b"D", b"E")
    for max_bytes in (1, 65536):
        same(await all_of(log, forked.id, max_bytes), [b"a", b"b", b"C", b"D", b"E"])
        same(await all_of(log, source.id, max_bytes), [b"a", b"b", b"c", b"d"])
    one = (await log.read(source.id, START, max_bytes=1)).offset
    same(list((await log.read(forked.id, one)).records), [b"b", b"C", b"D", b"E"])
    same(await log.head("ann", "fork"), forked)
    same((await log.read(forked.id, START)).ended, False)


@_rule
async def forks_of_forks_read_over_all_of_them(stage: TopicStage) -> None:
    """At every place, also before the one at which the fork in between begins."""
    log = await stage.open()
    first = await made(log, topic("0"), b"a", b"b")
    second = await made(log, fork(first, 2, "1"), b"c", b"d")
    whole = [b"a", b"b", b"c", b"d"]
    for inherited in range(5):
        third = await made(log, fork(second, inherited, f"2/{inherited}"))
        same(third.tail, inherited)
        third = await add(log, third, b"x")
        for max_bytes in (1, 65536):
            same(await all_of(log, third.id, max_bytes), [*whole[:inherited], b"x"])
        if inherited:
            here = (await log.read(third.id, START, max_bytes=inherited)).offset
            same(here, (await log.read(second.id, START, max_bytes=inherited)).offset)


@_rule
async def a_source_is_kept_for_its_forks(stage: TopicStage) -> None:
    """It is gone for everybody else, and its path taken; with its last fork it goes for good."""
    log = await stage.open()
    first = await made(log, topic("0"), b"a")
    second = await made(log, fork(first, 1, "1"), b"b")
    third = await made(log, fork(second, 2, "2"), b"c")
    for head in (first, second):
        same(await log.drop(head.id), True)
        same(await log.drop(head.id), False)
        await fails(StreamGone, log.read(head.id, START))
        await fails(StreamGone, log.append(head.id, head.tail, [b"x"], note=Note(), now=NOW))
        await fails(StreamGone, log.create(fork(head, 0, "new")))
        same((await log.create(head.topic, [b"x"]))[1], False)
        same((await log.head("ann", head.topic.path) or head).gone, True)
    same(await all_of(log, third.id), [b"a", b"b", b"c"])
    await log.drop(third.id)
    for path in "012":
        same(await log.head("ann", path), None)
    await fails(StreamGone, log.create(fork(first, 0, "new")))
    same(await log.head("ann", "new"), None)


@_rule
async def an_expired_source_is_kept_for_its_forks(stage: TopicStage) -> None:
    """Expiry is a removal like any other, and happens once."""
    log = await stage.open()
    source = await made(log, topic("0", ttl=1), b"a")
    forked = await made(log, fork(source, 1, "1"))
    same((await log.expire(NOW + 1), await log.expire(NOW + 2)), (1, 0))
    await fails(StreamGone, log.read(source.id, START))
    same(await all_of(log, forked.id), [b"a"])


# --- the end


@_rule
async def a_closed_store_says_so(stage: TopicStage) -> None:
    """Those who wait are woken, and everything is refused with one error."""
    log = await stage.open()
    head = await made(log)
    bell = Bell()
    await log.read(head.id, START, wake=bell)
    await log.close()
    await log.close()
    same(bell.rung, 1)
    await fails(StoreError, log.read(head.id, START))
    await fails(StoreError, log.create(topic("new")))
    await fails(StoreError, log.append(head.id, 0, [b"x"], note=Note(), now=NOW))
