"""A generation relays, ends exactly once, and stops when it is told to."""

import asyncio

import pytest
from tests.core.house import House, house, read_all

from headrace.core.condition import Condition
from headrace.core.deadlines import Deadlines, Limits
from headrace.core.log import Appended, Name
from headrace.errors import (
    StoreUnavailable,
    UpstreamFault,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnreachable,
)
from headrace.model.leave import CANCEL, KEEP, LeavePolicy
from headrace.model.outcome import Outcome, State, Usage
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import End, FakeUpstream, KeepAlive, chunk, finish

DEADLINES = Deadlines(first=20, idle=10, total=100)


async def ended(it: House, id: str) -> Outcome:
    """How the stream has ended; it must have."""
    await settle()
    outcome = (await it.head(id)).outcome
    assert outcome is not None
    return outcome


async def test_an_answer_is_kept_as_it_was_said() -> None:
    """Records, usage and finish reason land in the log, and the end is completed."""
    async with house() as it:
        usage = Usage(input=3, output=2)
        said = [chunk("a"), chunk("b"), finish("length")]
        head = await it.start(FakeUpstream([*said, End("length", usage)]))
        outcome = await ended(it, head.id)
        assert (outcome.state, outcome.reason, outcome.usage) == (State.COMPLETED, "length", usage)
        batch = await it.log.read(head.id, 0)
        assert list(batch.records) == said


async def test_the_clients_id_for_the_answer_leads_to_the_stream() -> None:
    """The upstream's id is bound with the append that shows it."""
    async with house() as it:
        head = await it.start(FakeUpstream([chunk("a"), asyncio.Event()]))
        await settle()
        assert (await it.registry.find("local", "chatcmpl-fake")).id == head.id


async def test_an_open_one_keeps_no_large_dictionary() -> None:
    """CPython's objects of a class share their keys up to 29; one more is 1.3 KB for each stream."""
    async with house() as it:
        head = await it.start(FakeUpstream([chunk("a"), asyncio.Event()]))
        await settle()
        assert len(vars(it.registry._generations[head.id])) <= 29


@pytest.mark.parametrize(
    ("error", "reason", "status"),
    [
        (UpstreamTruncated(), "upstream_truncated", 502),
        (UpstreamFault(), "upstream_error", 502),
        (UpstreamRefused(status=429, accepted=False), "upstream_refused", 429),
        (UpstreamUnreachable(accepted=False), "upstream_unreachable", 502),
    ],
)
async def test_an_upstreams_failure_is_the_streams(error: Exception, reason: str, status: int) -> None:
    """What came before stays readable; the end is failed, never completed."""
    async with house() as it:
        head = await it.start(FakeUpstream([chunk("a"), error]))
        outcome = await ended(it, head.id)
        assert (outcome.state, outcome.reason, outcome.status) == (State.FAILED, reason, status)
        assert (await it.head(head.id)).tail == 1


async def test_a_bug_in_an_upstream_ends_the_stream() -> None:
    """An exception that nobody expects fails this stream, without its text."""

    def bug() -> None:
        raise ZeroDivisionError("sk-secret")

    async with house() as it:
        head = await it.start(FakeUpstream([chunk("a"), bug]))
        outcome = await ended(it, head.id)
        assert (outcome.state, outcome.reason) == (State.FAILED, "internal")
        assert "secret" not in str(outcome)


@pytest.mark.parametrize("before", [0, 1])
async def test_another_upstream_is_tried_before_the_first_record_only(before: int) -> None:
    """Also after the first one has taken the request on."""
    async with house() as it:
        first = FakeUpstream([*[chunk("a")] * before, UpstreamTruncated()])
        second = FakeUpstream([chunk("b"), End()])
        head = await it.start(first, second)
        outcome = await ended(it, head.id)
        assert outcome.state is (State.FAILED if before else State.COMPLETED)
        assert len(second.answers) == 1 - before
        assert first.answers[0].closed


async def test_another_upstream_is_tried_for_one_that_is_late() -> None:
    """A first token that does not come in time costs one try; the next upstream has its own time."""
    async with house(deadlines=DEADLINES) as it:
        silent = FakeUpstream([asyncio.Event()])
        deaf = FakeUpstream(head=[asyncio.Event()])
        head = await it.start(silent, deaf, FakeUpstream([chunk("c"), End()]))
        await it.clock.advance(21)
        assert silent.answers[0].closed
        assert (await it.head(head.id)).outcome is None
        await it.clock.advance(21)
        outcome = await ended(it, head.id)
        assert (outcome.state, outcome.upstream_model) == (State.COMPLETED, "m2")


async def test_what_was_tried_is_told_and_remembered() -> None:
    """In its order, with the code of why; the next request can begin with one that works."""
    async with house() as it:
        upstreams = [FakeUpstream(head=[UpstreamTimeout()]), FakeUpstream([UpstreamTruncated()]), FakeUpstream()]
        conditions = [Condition(it.clock) for _ in upstreams]
        head = await it.start(*upstreams, conditions=conditions)
        outcome = await ended(it, head.id)
        assert [tuple(tried) for tried in outcome.tried] == [
            ("fake", "m0", "upstream_timeout"),
            ("fake", "m1", "upstream_truncated"),
        ]
        assert [condition.cooling > 0 for condition in conditions] == [True, True, False]


async def test_an_answer_that_is_cut_counts_against_its_upstream() -> None:
    """Though no other was tried."""
    async with house() as it:
        condition = Condition(it.clock)
        head = await it.start(FakeUpstream([chunk("a"), UpstreamTruncated()]), conditions=[condition])
        assert (await ended(it, head.id)).tried == ()
        assert condition.cooling > 0


async def test_a_cancel_is_no_reason_to_try_another_upstream() -> None:
    """Whoever stops it stops all of it."""
    async with house() as it:
        second = FakeUpstream([chunk("b"), End()])
        head = await it.start(FakeUpstream(head=[asyncio.Event()]), second)
        await settle()
        await it.registry.cancel(head)
        assert not second.calls


async def test_no_other_upstream_is_tried_for_a_request_that_is_wrong() -> None:
    """A refusal that would be repeated elsewhere is final."""
    async with house() as it:
        refused = UpstreamRefused(status=400, accepted=False)
        refused.retryable = False
        second = FakeUpstream([chunk("b"), End()])
        head = await it.start(FakeUpstream([refused]), second)
        assert (await ended(it, head.id)).status == 400
        assert not second.answers


@pytest.mark.parametrize(
    ("steps", "seconds", "reason"),
    [
        ([asyncio.Event()], 20, "upstream_timeout"),
        ([KeepAlive(), asyncio.Event()], 20, "upstream_timeout"),
        ([chunk("a"), asyncio.Event()], 10, "upstream_stalled"),
        ([chunk("a"), KeepAlive(), asyncio.Event()], 10, "upstream_stalled"),
    ],
)
async def test_silence_has_an_end(steps: list, seconds: float, reason: str) -> None:
    """First token and idle time have deadlines of their own; keep-alives are not progress."""
    async with house(deadlines=DEADLINES) as it:
        upstream = FakeUpstream([asyncio.Event() if isinstance(step, asyncio.Event) else step for step in steps])
        head = await it.start(upstream)
        await it.clock.advance(seconds - 1)
        assert (await it.head(head.id)).outcome is None
        await it.clock.advance(2)
        assert (await ended(it, head.id)).reason == reason
        assert upstream.answers[0].closed


async def test_a_trickle_for_ever_has_an_end() -> None:
    """The total deadline holds whatever comes in between."""
    async with house(deadlines=DEADLINES) as it:
        drops = [asyncio.Event() for _ in range(40)]
        head = await it.start(FakeUpstream([step for drop in drops for step in (drop, chunk("x"))]))
        for drop in drops:
            drop.set()
            await it.clock.advance(5)
            if (await it.head(head.id)).outcome is not None:
                break
        assert (await ended(it, head.id)).reason == "timeout"
        assert it.clock.monotonic() == pytest.approx(1100, abs=6)


async def test_time_spent_on_ourselves_is_not_the_upstreams() -> None:
    """While the store is slow no deadline of the upstream runs."""
    async with house(deadlines=DEADLINES) as it:
        slow = Slow(it)
        head = await it.start(FakeUpstream([chunk("a"), chunk("b"), chunk("c"), End()]))
        await it.clock.advance(50)
        assert (await it.head(head.id)).outcome is None
        slow.release()
        assert (await ended(it, head.id)).state is State.COMPLETED


class Slow:
    """Holds back the second append of a memory log."""

    def __init__(self, it: House) -> None:
        self._append, self._held, self._count = it.log.append, [], 0
        it.log.append = self  # type: ignore[method-assign]

    def __call__(self, *args, **kwargs):
        self._count += 1
        if self._count != 1:
            return self._append(*args, **kwargs)
        future = asyncio.get_running_loop().create_future()
        self._held.append((future, args, kwargs))
        return future

    def release(self) -> None:
        for future, args, kwargs in self._held:
            future.set_result(self._append(*args, **kwargs).result())


async def test_a_stream_is_bounded() -> None:
    """Over its cap it is failed, the upstream is closed, and what was kept stays."""
    async with house(limits=Limits(stream_records=3)) as it:
        upstream = FakeUpstream([chunk(str(n)) for n in range(10)])
        head = await it.start(upstream)
        outcome = await ended(it, head.id)
        assert (outcome.state, outcome.reason) == (State.FAILED, "limit")
        assert upstream.answers[0].closed
        assert (await it.head(head.id)).tail == 3


@pytest.mark.parametrize("steps", [[asyncio.Event], [lambda: chunk("a"), asyncio.Event]], ids=["before", "after"])
async def test_a_cancel_closes_the_upstream_at_once(steps: list) -> None:
    """Before the first token too; the end is cancelled, and a second cancel changes nothing."""
    async with house() as it:
        upstream = FakeUpstream([make() for make in steps])
        head = await it.start(upstream)
        await settle()
        assert await it.registry.cancel(head) == (True, State.CANCELLED)
        assert upstream.answers[0].closed
        assert await it.registry.cancel(await it.head(head.id)) == (False, State.CANCELLED)


async def test_a_cancel_that_comes_too_late_says_so() -> None:
    """An answer that ends while it is cancelled keeps its own end."""
    async with house() as it:
        head = await it.start(FakeUpstream([chunk("a"), End()]))
        await settle()
        assert await it.registry.cancel(head) == (False, State.COMPLETED)


async def test_the_last_participant_who_leaves_under_cancel_stops_it() -> None:
    """At once, and the reason is told."""
    async with house() as it:
        upstream = FakeUpstream([chunk("a"), asyncio.Event()])
        head = await it.start(upstream, policy=CANCEL)
        first, second = it.reader(head), it.reader(head)
        await settle()
        first.close()
        await settle()
        assert (await it.head(head.id)).outcome is None
        second.close()
        outcome = await ended(it, head.id)
        assert (outcome.state, outcome.reason) == (State.CANCELLED, "abandoned")
        assert upstream.answers[0].closed


async def test_lingering_waits_for_somebody_to_come_back() -> None:
    """Who comes back in time finds it running; who does not has abandoned it."""
    async with house() as it:
        head = await it.start(FakeUpstream([chunk("a"), asyncio.Event()]), policy=LeavePolicy(5.0))
        it.reader(head).close()
        await it.clock.advance(4)
        again = it.reader(head)
        await it.clock.advance(20)
        assert (await it.head(head.id)).outcome is None
        again.close()
        await it.clock.advance(6)
        assert (await ended(it, head.id)).reason == "abandoned"


async def test_the_last_one_with_another_process_has_as_long_to_come_back() -> None:
    """Where its participants are is a stream's own business: lingering begins when the last of them left."""
    async with house() as it:
        head = await it.start(FakeUpstream([chunk("a"), asyncio.Event()]), policy=LeavePolicy(5.0))
        await it.log.set_presence(head.id, present=True)
        it.reader(head).close()
        await it.clock.advance(20)
        await it.log.set_presence(head.id, present=False)
        await it.clock.advance(5)
        assert (await it.head(head.id)).outcome is None
        await it.clock.advance(2)
        assert (await ended(it, head.id)).reason == "abandoned"


async def test_an_observer_keeps_nothing_alive() -> None:
    """Only participants count."""
    async with house() as it:
        head = await it.start(FakeUpstream([chunk("a"), asyncio.Event()]), policy=LeavePolicy(5.0))
        observer = it.reader(head, participant=False)
        it.reader(head).close()
        await it.clock.advance(6)
        assert (await ended(it, head.id)).reason == "abandoned"
        observer.close()


async def test_under_keep_it_goes_on_without_anybody() -> None:
    """A stream to be kept ends by itself only."""
    async with house() as it:
        go = asyncio.Event()
        head = await it.start(FakeUpstream([chunk("a"), go, End()]), policy=KEEP)
        it.reader(head).close()
        await it.clock.advance(50)
        go.set()
        assert (await ended(it, head.id)).state is State.COMPLETED


async def test_a_starter_who_never_reads_abandons_it() -> None:
    """A client that is gone before its reply begins is one that has left."""
    async with house() as it:
        head = await it.start(FakeUpstream([asyncio.Event()]), policy=CANCEL)
        await it.clock.advance(2)
        assert (await ended(it, head.id)).reason == "abandoned"


class Broken:
    """Fails the appends of a memory log while it is told to."""

    def __init__(self, it: House, *, good: int) -> None:
        self._append, self.good = it.log.append, good
        it.log.append = self  # type: ignore[method-assign]

    def __call__(self, *args, **kwargs):
        if self.good > 0:
            self.good -= 1
            return self._append(*args, **kwargs)
        future = asyncio.get_running_loop().create_future()
        future.set_exception(StoreUnavailable())
        return future


async def test_a_full_disk_stops_the_upstream_and_is_told_when_it_is_over() -> None:
    """Nothing uncommitted is told, endings included; the end is written when the store is back."""
    async with house() as it:
        store = Broken(it, good=1)
        upstream = FakeUpstream([chunk("a"), chunk("b"), chunk("c"), End()])
        head = await it.start(upstream)
        reading = asyncio.create_task(read_all(it.reader(head)))
        await it.clock.advance(5)
        with pytest.raises(StoreUnavailable):
            await reading
        assert upstream.answers[0].closed
        assert (await it.head(head.id)).outcome is None
        assert (await it.head(head.id)).tail == 1
        store.good = 100
        await it.clock.advance(2)
        outcome = await ended(it, head.id)
        assert (outcome.state, outcome.reason) == (State.FAILED, "storage")
        assert (await read_all(it.reader(await it.head(head.id)))).count(b"\n") == 2


async def test_an_answer_whose_last_append_fails_is_complete_later() -> None:
    """The end of a whole answer is not lost because the disk was full for a moment."""
    async with house() as it:
        store = Broken(it, good=1)
        head = await it.start(FakeUpstream([chunk("a"), End()]))
        await settle()
        assert (await it.head(head.id)).outcome is None
        store.good = 100
        await it.clock.advance(2)
        assert (await ended(it, head.id)).state is State.COMPLETED


class Forgetful:
    """A memory log's appends; the one that closes meets a log that has lost records, so often."""

    def __init__(self, it: House, times: int) -> None:
        self._append, self.times, self.closing = it.log.append, times, 0
        it.log.append = self  # type: ignore[method-assign]

    def __call__(self, id, expected_tail, records, outcome=None, **more):
        if outcome is None:
            return self._append(id, expected_tail, records, outcome, **more)
        self.closing += 1
        if self.closing > self.times:
            return self._append(id, 2, records, outcome, **more)
        future = asyncio.get_running_loop().create_future()
        future.set_result(Appended(False, 0))
        return future


async def test_an_answer_that_its_store_has_lost_is_not_completed() -> None:
    """Redis was flushed or has evicted it: the last frame alone would look like a whole answer."""
    async with house() as it:
        store = Forgetful(it, times=3)
        head = await it.start(FakeUpstream([chunk("a"), chunk("b"), End()]))
        await settle()
        assert store.closing == 1, "it does not spin"
        await it.clock.advance(10)
        outcome = await ended(it, head.id)
        assert (outcome.state, outcome.reason) == (State.FAILED, "storage")
        assert ((await it.head(head.id)).tail, store.closing) == (2, 4)


@pytest.mark.parametrize(
    ("error", "freed"),
    [
        (UpstreamRefused(status=429, accepted=False), True),
        (UpstreamUnreachable(accepted=False), True),
        (UpstreamTruncated(), False),
        (UpstreamRefused(status=500, accepted=True), False),
    ],
)
async def test_a_refused_request_may_be_tried_again_under_its_key(error: Exception, freed: bool) -> None:
    """Only where nothing was accepted; otherwise a retry gets the stream that was, whatever its outcome."""
    async with house() as it:
        names = [Name("idempotency", "key", "print")]
        first = await it.start(FakeUpstream(head=[error]), names=names)
        await settle()
        second = FakeUpstream([chunk("b"), End()])
        again = await it.start(second, names=names)
        assert (again.id != first.id) is freed
        await settle()
        assert len(second.answers) == freed
