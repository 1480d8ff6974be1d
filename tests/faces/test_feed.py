"""The feed: one look for all, bounded for those who are slow, and at rest while nobody listens."""

import asyncio

import pytest

from headrace.core.registry import Registry
from headrace.errors import Draining, StoreUnavailable
from headrace.faces.feed import EVERY, Feed, Feeds
from headrace.stores.memory.log import MemoryLog
from headrace.testing.clock import FakeClock, settle


class Looks:
    """Something to look at: each look gives the next of these, and what is an error is raised."""

    def __init__(self, *given):
        self.given = list(given)
        self.count = 0

    async def look(self):
        self.count += 1
        found = self.given.pop(0) if self.given else {}
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def registry(clock):
    made = Registry(MemoryLog(clock), clock)
    yield made
    await made.close()


async def test_a_slow_listener_holds_the_newest_of_each(registry, clock):
    """However long it takes nothing; the order is that of the first news of each."""
    looks = Looks({}, *({"a": b"a%d" % n, "b": b"b%d" % n} for n in range(1000)))
    async with Feed(registry, looks.look).listen() as listener:
        for _ in range(5):
            await clock.advance(EVERY)
        assert await listener.next(1) == b"a4b4"
        assert not listener._pending


async def test_nothing_looks_while_nobody_listens(registry, clock):
    looks = Looks()
    feed = Feed(registry, looks.look)
    for _ in range(2):
        async with feed.listen():
            await clock.advance(2 * EVERY)
        count = looks.count
        await clock.advance(10 * EVERY)
        assert looks.count == count
    assert clock.pending() == 0


async def test_quiet_is_told_by_nothing(registry, clock):
    async with Feed(registry, Looks().look).listen() as listener:
        waiting = asyncio.create_task(listener.next(15))
        await clock.advance(14)
        assert not waiting.done()
        await clock.advance(1)
        assert await waiting == b""


async def test_a_first_look_that_fails_refuses_whoever_came(registry, clock):
    """All who waited for it; the next one has it looked at anew."""
    feed = Feed(registry, Looks(StoreUnavailable(), {"a": b"a"}).look)

    async def come():
        async with feed.listen():
            raise AssertionError("it listens to nothing")

    failed = await asyncio.gather(come(), come(), return_exceptions=True)
    assert [type(error) for error in failed] == [StoreUnavailable] * 2
    async with feed.listen() as listener:
        assert await listener.next(1) == b"a"


async def test_a_later_look_that_fails_is_made_up_for(registry, clock):
    feed = Feed(registry, Looks({}, StoreUnavailable(), {"a": b"a"}).look)
    async with feed.listen() as listener:
        await clock.advance(2 * EVERY)
        assert await listener.next(1) == b"a"


async def test_a_look_that_breaks_leaves_nobody_waiting(registry, clock):
    """Whoever listens is sent away, whoever waits for a first look is refused, and the next one begins anew."""
    feed = Feed(registry, Looks({}, OSError(), OSError(), {"a": b"a"}).look)
    async with feed.listen() as listener:
        await clock.advance(EVERY)
        assert listener.ended
    with pytest.raises(StoreUnavailable):
        async with feed.listen():
            pass
    async with feed.listen() as listener:
        assert await listener.next(1) == b"a"


async def test_a_stop_ends_it(registry, clock):
    feed = Feed(registry, Looks().look)
    async with feed.listen() as listener:
        registry.draining = True
        await clock.advance(EVERY)
        assert listener.ended
        assert await listener.next(100) == b""
    with pytest.raises(Draining):
        async with feed.listen():
            pass


async def test_a_name_is_one_feed_while_it_is_held(registry):
    feeds = Feeds(registry)
    feed = feeds.named("a", Looks().look)
    assert feeds.named("a", Looks().look) is feed
    assert feeds.named("b", Looks().look) is not feed
    await settle()
