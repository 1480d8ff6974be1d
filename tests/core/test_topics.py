"""The rules of topics: who may append what, where a fork begins, and when a topic ends."""

import asyncio

import pytest

from headrace.core.topic_append import MOST_PRODUCERS, Append, Producer, judge
from headrace.core.topic_log import START, Note, Offset, Topic, TopicHead
from headrace.core.topic_reader import TopicReader
from headrace.core.topics import Create, ForkPlace, TopicLimits, Topics
from headrace.errors import (
    BodyTooLarge,
    LimitExceeded,
    NotFound,
    ProducerFenced,
    RequestError,
    SequenceConflict,
    StreamGone,
    TooManyStreams,
    TopicClosed,
    TopicConflict,
)
from headrace.stores.memory.topics import MemoryTopics
from headrace.testing.clock import FakeClock, settle

JSON = "application/json"


class House:
    """Topics in memory, with a clock that stands still."""

    def __init__(self, limits: TopicLimits | None = None) -> None:
        self.clock = FakeClock()
        self.log = MemoryTopics(self.clock)
        self.topics = Topics(self.log, self.clock, limits)

    async def make(self, path: str, *records: bytes, kind: str = "text/plain", **others) -> TopicHead:
        head, made = await self.topics.create(Create("ann", path, kind, **others), lambda _: records)
        assert made
        return head

    async def fork(self, path: str, *place, **others) -> TopicHead:
        head, made = await self.topics.create(Create("ann", path, fork=ForkPlace(*place), **others))
        assert made
        return head

    async def all_of(self, path: str) -> list[bytes]:
        head = await self.topics.find("ann", path)
        return [*(await self.topics.read(head, START, 1 << 20)).records]


@pytest.fixture
def house() -> House:
    return House()


def text(*records: bytes, **others) -> Append:
    return Append("text/plain", records, **others)


# --- judging an append


def head(*, closed: bool = False, **producers) -> TopicHead:
    topic = Topic("ann", "a", "Text/Plain; charset=utf-8", 0.0)
    return TopicHead(1, topic, 3, Offset(1, 3), closed, 3, 0.0, Note(producers, "m"))


@pytest.mark.parametrize(
    ("epoch", "sequence", "expected"),
    [
        (1, 8, (1, 8)),
        (2, 0, (2, 0)),
        (1, 7, "again"),
        (1, 0, "again"),
        (0, 8, ProducerFenced),
        (1, 9, SequenceConflict),
        (2, 1, RequestError),
    ],
)
def test_a_producers_appends_are_counted(epoch, sequence, expected):
    """The next one is news; what was said before is no error; what leaves one out, or is of an older epoch, is."""
    asked = text(b"x", producer=Producer("p", epoch, sequence))
    if isinstance(expected, type):
        with pytest.raises(expected) as raised:
            judge(head(p=(1, 7)), asked)
        assert type(raised.value) is expected
        return
    judged = judge(head(p=(1, 7)), asked)
    if expected == "again":
        assert judged == (head(p=(1, 7)), Producer("p", 1, 7), True)
    else:
        assert judged == Note({"p": expected}, "m")


def test_a_new_producer_begins_at_zero():
    """In whatever epoch; another's count is not touched."""
    assert judge(head(p=(1, 7)), text(b"x", producer=Producer("q", 5, 0))) == Note({"p": (1, 7), "q": (5, 0)}, "m")
    with pytest.raises(SequenceConflict) as raised:
        judge(head(p=(1, 7)), text(b"x", producer=Producer("q", 0, 1)))
    assert raised.value.expected == 0


def test_the_producer_that_wrote_longest_ago_is_forgotten_first():
    """A topic remembers so many and no more."""
    known = {f"p{n}": (0, 0) for n in range(MOST_PRODUCERS)}
    note = judge(head(**known), text(b"x", producer=Producer("p0", 0, 1)))
    assert isinstance(note, Note)
    assert len(note.producers) == MOST_PRODUCERS
    note = judge(head(**note.producers), text(b"x", producer=Producer("new", 0, 0)))
    assert isinstance(note, Note)
    assert len(note.producers) == MOST_PRODUCERS
    assert "p0" in note.producers
    assert "p1" not in note.producers


@pytest.mark.parametrize(("sequence", "ok"), [("n", True), ("m1", True), ("m", False), ("lz", False), ("M", False)])
def test_sequences_are_texts_that_grow(sequence, ok):
    """Compared byte by byte."""
    if ok:
        assert judge(head(), text(b"x", sequence=sequence)) == Note({}, sequence)
    else:
        with pytest.raises(SequenceConflict):
            judge(head(), text(b"x", sequence=sequence))


def test_a_closed_topic_takes_nothing_but_what_it_has():
    """To close it again is no error, nor is a producer's repetition; anything new is one, and says where it ends."""
    closed = head(closed=True, p=(1, 7))
    assert judge(closed, Append(closed=True)) == (closed, None, True)
    assert judge(closed, text(b"x", closed=True, producer=Producer("p", 1, 7))) == (closed, Producer("p", 1, 7), True)
    for asked in (text(b"x"), text(b"x", closed=True), text(b"x", producer=Producer("p", 1, 8))):
        with pytest.raises(TopicClosed) as raised:
            judge(closed, asked)
        assert raised.value.offset == str(closed.offset)
    with pytest.raises(ProducerFenced):
        judge(closed, text(b"x", producer=Producer("p", 0, 8)))


def test_an_append_has_the_topics_type():
    """Without its parameters; closing alone needs none."""
    assert judge(head(), text(b"x")) == Note({}, "m")
    assert judge(head(), Append(closed=True)) == Note({}, "m")
    with pytest.raises(TopicConflict):
        judge(head(), Append("application/json", [b"1"]))


# --- appending


async def test_a_writer_elsewhere_makes_an_append_be_judged_again(house):
    """It lands behind the other's, once; a repetition that the other has made meanwhile is seen as one."""
    made = await house.make("a")
    here, there = house.topics, Topics(house.log, house.clock)
    producer = Producer("p", 0, 0)
    asked = [topics.append(made, text(b"x", producer=producer)) for topics in (here, there) for _ in range(3)]
    others = [there.append(made, text(b"%d" % n)) for n in range(10)]
    done = await asyncio.gather(*asked, *others)
    assert sorted(each.repeated for each in done[:6]) == [False] + [True] * 5
    assert sorted(await house.all_of("a")) == sorted([b"x", *(b"%d" % n for n in range(10))])


async def test_a_topic_that_was_replaced_is_not_appended_to(house):
    """A writer that began with the one before does not write into its successor."""
    made = await house.make("a")
    await house.topics.delete("ann", "a")
    await house.make("a")
    with pytest.raises(NotFound):
        await house.topics.append(made, text(b"x"))


async def test_topics_are_bounded():
    """In the size of a record, in their own, and in how many there are."""
    house = House(TopicLimits(record=4, topic=10, per_owner=2))
    made = await house.make("a", b"1234")
    with pytest.raises(BodyTooLarge):
        await house.topics.append(made, text(b"12345"))
    await house.topics.append(made, text(b"1234", b"12"))
    with pytest.raises(LimitExceeded):
        await house.topics.append(made, text(b"1"))
    with pytest.raises(BodyTooLarge):
        await house.make("b", b"12345")
    await house.make("b")
    with pytest.raises(TooManyStreams):
        await house.make("c")
    assert (await house.topics.create(Create("ann", "b", "text/plain")))[1] is False


# --- creating


@pytest.mark.parametrize(
    "other",
    [
        Create("ann", "a"),
        Create("ann", "a", JSON, ttl=5),
        Create("ann", "a", "text/plain", ttl=6),
        Create("ann", "a", "text/plain"),
        Create("ann", "a", "text/plain", expires=5.0),
        Create("ann", "a", "text/plain", ttl=5, closed=True),
        Create("ann", "a", "text/plain", ttl=5, fork=ForkPlace("b")),
    ],
)
async def test_another_configuration_is_a_conflict(house, other):
    """What is just as asked is found, however often; anything else is not."""
    await house.make("b")
    made = await house.make("a", ttl=5)
    found = await house.topics.create(Create("ann", "a", "TEXT/plain;charset=utf-8", ttl=5), lambda _: (b"no",))
    assert found == (made, False)
    with pytest.raises(TopicConflict):
        await house.topics.create(other)


async def test_nobody_sees_another_owners_topic(house):
    """Neither to read nor to fork."""
    await house.make("a")
    with pytest.raises(NotFound):
        await house.topics.find("bob", "a")
    with pytest.raises(NotFound):
        await house.topics.create(Create("bob", "b", fork=ForkPlace("a")))


# --- forks


@pytest.mark.parametrize(
    ("number", "sub", "expected"),
    [
        (0, 0, []),
        (0, 2, [b"ab"]),
        (0, 3, [b"abc"]),
        (0, 4, [b"abc", b"d"]),
        (1, 3, [b"abc", b"def"]),
        (1, 1, [b"abc", b"d"]),
        (2, 0, [b"abc", b"def"]),
        (2, 1, None),
        (0, 7, None),
        (1, 1 << 40, None),
    ],
)
async def test_a_fork_begins_within_a_record(house, number, sub, expected):
    """The piece up to there becomes its own; a place that is not there is refused, and leaves nothing behind."""
    made = await house.make("a", b"abc", b"def")
    at = Offset(made.offset.epoch if number else 0, number)
    if expected is None:
        with pytest.raises(RequestError) as raised:
            await house.fork("b", "a", at, sub)
        assert raised.value.status == 400
        assert await house.log.head("ann", "b") is None
    else:
        await house.fork("b", "a", at, sub)
        assert await house.all_of("b") == expected


async def test_json_is_forked_between_values(house):
    """There a sub-offset counts values."""
    await house.make("a", b"1", b"2", b"3", kind=JSON)
    await house.fork("b", "a", START, 2)
    assert await house.all_of("b") == [b"1", b"2"]
    with pytest.raises(RequestError):
        await house.fork("c", "a", START, 4)


async def test_a_fork_has_its_sources_type_and_time(house):
    """Unless it asks for a time of its own; a type of its own is a conflict."""
    await house.make("a", kind="text/css", ttl=7)
    fork = await house.fork("b", "a")
    assert (fork.topic.content_type, fork.topic.ttl) == ("text/css", 7)
    assert (await house.fork("c", "a", expires=1_900_000_000.0)).due == 1_900_000_000.0
    with pytest.raises(TopicConflict):
        await house.fork("d", "a", content_type=JSON)


async def test_the_same_fork_is_found_again(house):
    """Also after its source has grown; another place is a conflict."""
    made = await house.make("a", b"abc")
    fork = await house.fork("b", "a")
    await house.topics.append(made, text(b"def"))
    assert await house.topics.create(Create("ann", "b", fork=ForkPlace("a"))) == (fork, False)
    assert (await house.topics.create(Create("ann", "b", fork=ForkPlace("a", made.offset))))[1] is False
    for place in (ForkPlace("a", START), ForkPlace("a", made.offset, 1), ForkPlace("c")):
        with pytest.raises(TopicConflict):
            await house.topics.create(Create("ann", "b", fork=place))


async def test_a_deleted_source_is_gone_and_cannot_be_forked(house):
    """As long as a fork reads it; then it is not found."""
    await house.make("a", b"abc")
    await house.fork("b", "a")
    await house.topics.delete("ann", "a")
    with pytest.raises(StreamGone):
        await house.topics.find("ann", "a")
    with pytest.raises(TopicConflict):
        await house.fork("c", "a")
    with pytest.raises(TopicConflict):
        await house.make("a")
    await house.topics.delete("ann", "b")
    with pytest.raises(NotFound):
        await house.topics.find("ann", "a")


async def test_forks_of_forks_have_an_end(house):
    """So that no read goes over any number of topics."""
    await house.make("0", b"x")
    for number in range(1, 65):
        head = await house.fork(f"{number}", f"{number - 1}")
        await house.topics.append(head, text(b"x"))
    with pytest.raises(RequestError, match="at most"):
        await house.fork("65", "64")
    assert len(await house.all_of("64")) == 65


# --- time


async def test_a_topic_with_a_ttl_ends_when_nobody_has_come(house):
    """Reads and appends put that off, looks do not; what is due is gone even before it is dropped."""
    await house.make("a", ttl=100)
    for _ in range(3):
        await house.clock.advance(80)
        await house.all_of("a")
    await house.clock.advance(80)
    await house.topics.find("ann", "a")
    await house.clock.advance(20)
    assert await house.topics.list("ann") == []
    with pytest.raises(NotFound):
        await house.topics.find("ann", "a")


async def test_a_read_at_once_after_another_writes_nothing(house):
    """The end is put off by a share of the time at least."""
    made = await house.make("a", ttl=100)
    await house.clock.advance(4)
    assert await house.topics.touch(made) is made
    await house.clock.advance(2)
    assert (await house.topics.touch(made)).touched == made.touched + 6


async def test_a_waiting_reader_keeps_its_topic(house):
    """As long as it waits."""
    made = await house.make("a", ttl=9)
    waiting = asyncio.create_task(TopicReader(house.topics, made, START).next(100.0))
    await house.clock.advance(50)
    assert (await house.topics.find("ann", "a")).touched >= house.clock.time() - 3
    await house.clock.advance(50)
    assert await waiting is None
    await house.clock.advance(9)
    assert await house.topics.expire() == 1
    assert house.clock.pending() == 0


# --- following


async def test_a_reader_follows(house):
    """What is there at once, what comes later when it comes, and the end."""
    made = await house.make("a", b"1")
    reader = TopicReader(house.topics, made, START)
    batch = await reader.next(10)
    assert batch
    assert [*batch.records] == [b"1"]
    waiting = asyncio.create_task(reader.next(10))
    await settle()
    assert not waiting.done()
    await house.topics.append(made, text(b"2", b"3"))
    batch = await waiting
    assert batch
    assert [*batch.records] == [b"2", b"3"]
    waiting = asyncio.create_task(reader.next(10))
    await settle()
    await house.topics.append(made, Append(closed=True))
    batch = await waiting
    assert batch
    assert batch.ended
    assert house.clock.pending() == 0


async def test_a_reader_waits_no_longer_than_it_wants(house):
    """And leaves no wake and no timer behind, also when it is cancelled."""
    made = await house.make("a")
    reader = TopicReader(house.topics, made, START)
    for end in ("time", "cancel"):
        waiting = asyncio.create_task(reader.next(10))
        await house.clock.advance(9.9)
        assert not waiting.done()
        if end == "time":
            await house.clock.advance(0.1)
            assert await waiting is None
        else:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        assert house.clock.pending() == 0
        assert not house.topics.following
        assert not house.log._by_id[made.id].wakes


async def test_draining_sends_readers_away(house):
    """Those who wait, and those who come after; what is there is still read."""
    made = await house.make("a")
    waiting = asyncio.create_task(TopicReader(house.topics, made, START).next(10))
    await settle()
    house.topics.drain()
    assert await waiting is None
    assert await TopicReader(house.topics, made, START).next(10) is None
    await house.topics.append(made, text(b"1"))
    assert await TopicReader(house.topics, made, START).next(10)


async def test_a_reader_learns_that_its_topic_is_deleted(house):
    """At once."""
    made = await house.make("a")
    waiting = asyncio.create_task(TopicReader(house.topics, made, START).next(10))
    await settle()
    await house.topics.delete("ann", "a")
    with pytest.raises(NotFound):
        await waiting


# --- offsets


@pytest.mark.parametrize("written", ["", "1_2", "1", f"{1:016d}_{2:015d}", "\u0661" * 16 + "_" + "1" * 16])
def test_only_an_offset_of_ours_is_one(written):
    """Of fixed width, so that offsets sort as texts."""
    with pytest.raises(RequestError):
        Offset.parse(written)
    offset = Offset(3, 45)
    assert Offset.parse(str(offset)) == offset
    assert str(START) == "0000000000000000_0000000000000000"
    assert str(Offset(1, 9)) < str(Offset(1, 10)) < str(Offset(2, 1))
