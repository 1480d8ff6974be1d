"""Who waits for a stream or a topic on Redis: nobody is forgotten, and nobody is told what is older than the news."""

import asyncio
from collections.abc import Callable

import pytest

from headrace.errors import StoreError, StoreUnavailable
from headrace.stores.redis.followed import Followed
from headrace.testing.clock import settle
from headrace.testing.contract import Bell


class Channels:
    """In place of a connection: what is watched, and when a subscription stands."""

    prefix = "headrace:"

    def __init__(self) -> None:
        self.watched: dict[bytes, Callable[[], None]] = {}
        self.stands: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def watch(self, channel: bytes, wake: Callable[[], None]) -> None:
        self.watched[channel] = wake
        await asyncio.shield(self.stands)

    def unwatch(self, channel: bytes, wake: Callable[[], None]) -> None:
        self.watched.pop(channel, None)


@pytest.fixture
async def channels():
    return Channels()


@pytest.fixture
async def followed(channels):
    made = Followed(channels)
    yield made
    await made.close()


def look(name: bytes, gate: asyncio.Future[None]):
    """A look that is answered with its name, when the gate opens."""

    async def make() -> bytes:
        await gate
        return name

    return make


async def test_a_look_from_before_a_ring_is_not_shared_with_who_comes_after_it(channels, followed):
    """It may not have seen what the ring was about, and no other ring would come."""
    channels.stands.set_result(None)
    gate = asyncio.get_running_loop().create_future()
    await followed.wait("s", Bell())
    before = [asyncio.create_task(followed.look("s", "key", look(name, gate))) for name in (b"old", b"never")]
    await settle()
    channels.watched[b"headrace:{s}"]()
    after = asyncio.create_task(followed.look("s", "key", look(b"new", gate)))
    await settle()
    gate.set_result(None)
    assert [await task for task in (*before, after)] == [b"old", b"old", b"new"]


async def test_whoever_has_asked_may_leave(channels, followed):
    """The look goes on for the others."""
    channels.stands.set_result(None)
    gate = asyncio.get_running_loop().create_future()
    await followed.wait("s", Bell())
    first, second = (asyncio.create_task(followed.look("s", "key", look(b"a", gate))) for _ in range(2))
    await settle()
    first.cancel()
    gate.set_result(None)
    assert await second == b"a"


async def test_nobody_follows_before_the_subscription_stands(channels, followed):
    """Of several that come meanwhile none is let in early."""
    tasks = [asyncio.create_task(followed.wait("s", Bell())) for _ in range(2)]
    await settle()
    assert not any(task.done() for task in tasks)
    channels.stands.set_result(None)
    await asyncio.gather(*tasks)


async def test_a_subscription_that_fails_is_tried_anew(channels, followed):
    """All who waited for it are told; the next one asks again."""
    tasks = [asyncio.create_task(followed.wait("s", Bell())) for _ in range(2)]
    await settle()
    channels.stands.set_exception(StoreUnavailable())
    for task in tasks:
        with pytest.raises(StoreUnavailable):
            await task
    channels.stands = asyncio.get_running_loop().create_future()
    channels.stands.set_result(None)
    await followed.wait("s", Bell())


async def test_a_subscription_that_fails_unseen_is_tried_anew_too(channels, followed):
    """Whoever asked for it had left by then."""
    task = asyncio.create_task(followed.wait("s", Bell()))
    await settle()
    task.cancel()
    await settle()
    channels.stands.set_exception(StoreUnavailable())
    await settle()
    with pytest.raises(StoreUnavailable):
        await followed.wait("s", Bell())


async def test_closing_tells_everybody(channels, followed):
    """Who waits is rung, who asks for a subscription is told, and nothing is watched any more."""
    waits = asyncio.create_task(followed.wait("s", Bell()))
    await settle()
    channels.stands.set_result(None)
    await waits
    bell = Bell()
    await followed.wait("s", bell)
    channels.stands = asyncio.get_running_loop().create_future()
    asks = asyncio.create_task(followed.wait("t", Bell()))
    await settle()
    await followed.close()
    assert bell.rung == 1
    with pytest.raises(StoreError):
        await asks
    assert channels.watched == {}
