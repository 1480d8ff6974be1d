"""What a slow source has said of late: how old it may be, how much of it there is, and when the source is away."""

import asyncio

import pytest

from headrace.core.recent import Recent
from headrace.errors import StoreUnavailable
from headrace.testing.clock import FakeClock, settle


class Source:
    """Names and their values; ``calls`` are the sets of names that were asked for."""

    def __init__(self, **there):
        self.there = there
        self.calls = []
        self.away = False
        self.open = asyncio.Event()
        self.open.set()

    async def load(self, names):
        self.calls.append(set(names))
        there = dict(self.there)  # what is so when it is asked, however long the answer takes
        await self.open.wait()
        if self.away:
            raise StoreUnavailable
        return {name: there[name] for name in names if name in there}


@pytest.fixture
def clock():
    return FakeClock()


async def test_what_is_remembered_is_not_asked_again_for_five_seconds(clock):
    """Neither what is there nor what is not."""
    source = Source(a=1)
    recent = Recent(source.load, clock)
    for _ in range(3):
        assert await recent.get("a") == 1
        assert await recent.get("b") is None
    assert source.calls == [{"a"}, {"b"}]
    await clock.advance(4.9)
    source.there = {"b": 2}
    assert (await recent.get("a"), await recent.get("b")) == (1, None)
    await clock.advance(0.1)
    assert (await recent.get("a"), await recent.get("b")) == (None, 2)


async def test_the_age_counts_from_when_it_was_asked(clock):
    """A slow answer does not stretch the five seconds."""
    source = Source(a=1)
    source.open.clear()
    recent = Recent(source.load, clock, longest=60)
    first = asyncio.create_task(recent.get("a"))
    await clock.advance(4.0)
    source.there = {}
    source.open.set()
    assert await first == 1
    await clock.advance(1.0)
    assert await recent.get("a") is None


async def test_all_who_wait_are_answered_by_one_call_and_there_is_one_at_a_time(clock):
    """A flood of unknown names is two calls."""
    source = Source(n7=7)
    source.open.clear()
    recent = Recent(source.load, clock, longest=60)
    first = asyncio.create_task(recent.get("first"))
    await settle()
    flood = [asyncio.create_task(recent.get(f"n{n}")) for n in range(500)]
    await settle()
    assert source.calls == [{"first"}]
    source.open.set()
    found = await asyncio.gather(first, *flood)
    assert [len(names) for names in source.calls] == [1, 500]
    assert [value for value in found if value is not None] == [7]


async def test_it_remembers_no_more_than_it_may(clock):
    """Those asked for longest ago go first; too many at once are refused."""
    source = Source(a=1)
    recent = Recent(source.load, clock, most=3)
    for name in ("a", "b", "c", "d"):
        await recent.get(name)
    assert len(recent._known) == 3
    await recent.get("a")
    assert source.calls[-1] == {"a"}
    source.open.clear()
    waiting = [asyncio.create_task(recent.get(f"x{n}")) for n in range(5)]
    await settle()
    source.open.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(value) for value in found].count(StoreUnavailable) == 2


async def test_while_the_source_is_away_what_was_there_counts_for_a_minute(clock):
    """What was not there, and what nobody has asked for, cannot be told."""
    source = Source(a=1)
    recent = Recent(source.load, clock)
    await recent.get("a")
    await recent.get("b")
    source.away = True
    await clock.advance(5.0)
    for seconds in (0.0, 30.0, 24.9):
        await clock.advance(seconds)
        assert await recent.get("a") == 1
        for name in ("b", "c"):
            with pytest.raises(StoreUnavailable):
                await recent.get(name)
    await clock.advance(0.1)
    with pytest.raises(StoreUnavailable):
        await recent.get("a")


async def test_when_the_source_is_back_its_word_counts_at_once(clock):
    """The first who asks may still get the old value; nobody gets it five seconds later."""
    source = Source(a=1)
    recent = Recent(source.load, clock)
    await recent.get("a")
    source.away = True
    await clock.advance(6.0)
    assert await recent.get("a") == 1
    source.away, source.there = False, {}
    assert await recent.get("a") == 1
    await settle()
    assert await recent.get("a") is None
    await clock.advance(6.0)
    source.there = {"a": 2}
    assert await recent.get("a") == 2


async def test_nobody_waits_for_a_source_that_hangs(clock):
    """Longer than a moment once, and not at all while it goes on hanging."""
    source = Source(a=1)
    recent = Recent(source.load, clock, patience=0.01, longest=0.01)
    await recent.get("a")
    await clock.advance(6.0)
    source.open.clear()
    assert await recent.get("a") == 1
    assert await asyncio.wait_for(recent.get("a"), 0.005) == 1
    with pytest.raises(StoreUnavailable):
        await recent.get("b")
    source.open.set()
    await settle()
    source.there = {"a": 3}
    await clock.advance(6.0)
    assert await recent.get("a") == 3


async def test_who_stops_waiting_takes_nothing_from_the_others(clock):
    """A client that leaves does not cancel the call that all share."""
    source = Source(a=1)
    source.open.clear()
    recent = Recent(source.load, clock, longest=60)
    leaving, staying = (asyncio.create_task(recent.get("a")) for _ in range(2))
    await settle()
    leaving.cancel()
    await settle()
    source.open.set()
    assert await staying == 1


async def test_closing_leaves_no_task_behind(clock):
    """Whoever waits is not left waiting."""
    source = Source(a=1)
    source.open.clear()
    recent = Recent(source.load, clock, longest=60)
    waiting = [asyncio.create_task(recent.get(name)) for name in ("a", "b")]
    await settle()
    await recent.close()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert all(task.done() for task in waiting)
