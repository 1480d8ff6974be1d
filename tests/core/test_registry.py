"""What a registry lets begin, and what it never leaves half done."""

import asyncio

import pytest
from tests.core.house import house, read_all

from headrace.core.deadlines import Limits
from headrace.core.log import Name
from headrace.errors import Draining, NameTaken, NotFound, StoreUnavailable, StreamGone, TooManyStreams
from headrace.model.leave import KEEP
from headrace.model.outcome import State
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import End, FakeUpstream, chunk

KEY = [Name("idempotency", "key", "print")]


async def test_a_start_that_is_cancelled_leaves_no_stream_without_a_writer() -> None:
    """The client is gone while its stream is being created: the answer is written all the same, and abandoned later."""
    async with house() as it:
        created, held = it.log.create, asyncio.Event()

        async def slow(*args, **kwargs):
            bound = await created(*args, **kwargs)
            await held.wait()
            return bound

        it.log.create = slow  # type: ignore[method-assign]
        starting = asyncio.create_task(it.start(FakeUpstream([chunk("a"), End()]), policy=KEEP))
        await settle()
        starting.cancel()
        await settle()
        held.set()
        await settle()
        (head,) = await it.log.list("local")
        assert head.outcome is not None
        assert head.outcome.state is State.COMPLETED


async def test_one_key_starts_one_answer() -> None:
    """Two requests at once under one key get the same stream; another body under it is refused."""
    async with house() as it:
        upstream = FakeUpstream([chunk("a"), End()])
        first, second = await asyncio.gather(it.start(upstream, names=KEY), it.start(upstream, names=KEY))
        assert first.id == second.id
        with pytest.raises(NameTaken):
            await it.start(upstream, names=[Name("idempotency", "key", "another")])
        await settle()
        assert len(upstream.calls) == 1


@pytest.mark.parametrize("full", [True, False], ids=["full", "draining"])
async def test_where_nothing_begins_a_retry_still_finds_its_stream(full: bool) -> None:
    """Full or draining: new answers are refused, the ones that are there are not."""
    async with house(limits=Limits(open_streams_per_owner=1)) as it:
        upstream = FakeUpstream([chunk("a"), asyncio.Event()])
        head = await it.start(upstream, names=KEY)
        it.registry.draining = not full
        with pytest.raises(TooManyStreams if full else Draining):
            await it.start(upstream)
        assert (await it.start(upstream, names=KEY)).id == head.id
        assert len(upstream.calls) == 1


async def test_room_is_made_by_answers_that_end() -> None:
    """The bound counts what is being written now."""
    async with house(limits=Limits(open_streams=1)) as it:
        await it.start(FakeUpstream([chunk("a"), End()]))
        await settle()
        await it.start(FakeUpstream([chunk("a"), End()]))


async def test_a_stream_is_its_owners() -> None:
    """By id and by every name; for others it is not there."""
    async with house() as it:
        head = await it.start(FakeUpstream([chunk("a"), End()]), names=KEY, owner="alice")
        await settle()
        for reference in (head.id, "key", "chatcmpl-fake"):
            assert (await it.registry.find("alice", reference)).id == head.id
            with pytest.raises(NotFound):
                await it.registry.find("bob", reference)


async def test_a_deleted_stream_is_gone_for_its_owner_and_was_never_there_for_others() -> None:
    """410 for whoever knew it, 404 for everybody else."""
    async with house() as it:
        head = await it.start(FakeUpstream([chunk("a"), asyncio.Event()]), owner="alice")
        await settle()
        await it.registry.delete(head)
        with pytest.raises(StreamGone):
            await it.registry.find("alice", head.id)
        with pytest.raises(NotFound):
            await it.registry.find("bob", head.id)


async def test_draining_gives_time_and_then_tells() -> None:
    """What ends in time is completed; what does not is interrupted, and its readers are told."""
    async with house() as it:
        go = asyncio.Event()
        ends = await it.start(FakeUpstream([chunk("a"), go, End()]))
        stays = await it.start(FakeUpstream([chunk("b"), asyncio.Event()]))
        reading = asyncio.create_task(read_all(it.reader(stays)))
        draining = asyncio.create_task(it.registry.drain(10))
        await it.clock.advance(5)
        assert not draining.done()
        go.set()
        await it.clock.advance(6)
        await draining
        assert (await it.head(ends.id)).outcome.state is State.COMPLETED
        assert (await it.head(stays.id)).outcome.state is State.INTERRUPTED
        assert (await reading).endswith(b"|END interrupted\n")


async def test_waiting_for_the_end_outlasts_any_number_of_records() -> None:
    """And tells of a stream that is deleted meanwhile."""
    async with house() as it:
        go = asyncio.Event()
        head = await it.start(FakeUpstream([*(chunk(str(n)) for n in range(9)), go, chunk("x"), End()]))
        waiting = asyncio.create_task(it.registry.finished(head.id))
        await settle()
        assert not waiting.done()
        go.set()
        await settle()
        assert (await waiting).state is State.COMPLETED
        other = await it.filled([])
        waiting = asyncio.create_task(it.registry.finished(other.id))
        await settle()
        await it.log.drop(other.id)
        assert await waiting is None


async def test_a_cancel_whose_owner_does_not_answer_says_so() -> None:
    """A stream of another process that does not react: the caller is not left hanging."""
    async with house() as it:
        head = await it.filled([])
        cancelling = asyncio.create_task(it.registry.cancel(head))
        await it.clock.advance(6)
        with pytest.raises(StoreUnavailable):
            await cancelling
