"""What is counted: buckets, bounded labels, and the courses of answers."""

import asyncio

import pytest
from tests.core.house import house, read_all

from headrace.core.meters import MOST, OTHER, Counter, Course, Histogram, Histograms, Meters
from headrace.core.stream import Cursor
from headrace.model.outcome import Outcome, State, Usage
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import End, FakeUpstream, chunk


def test_a_value_is_counted_where_it_belongs():
    """A bound is part of its bucket; what is above all has one of its own."""
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 99.0):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 1]
    assert histogram.sum == 104.0


def test_bounds_rise():
    """Or the search in them would be wrong."""
    with pytest.raises(ValueError, match="bounds rise"):
        Histograms((1.0, 1.0))


def test_labels_are_bounded():
    """Whatever is thrown at them."""
    counter, histograms = Counter("a", "b"), Histograms((1.0,), "a")
    for number in range(2 * MOST):
        counter.add(str(number), "x")
        histograms.of(str(number)).observe(0.5)
    assert len(counter.by_labels) == len(histograms.by_labels) == MOST + 1
    assert counter.by_labels[OTHER, OTHER] == MOST
    assert sum(histograms.of(OTHER).counts) == MOST


def test_only_known_models_have_a_name():
    """And not too many of them: a label costs memory for ever."""
    meters = Meters(lambda name: name.startswith("known"))
    assert meters.model("known-1") == "known-1"
    assert meters.model("a user's own words") == OTHER
    assert len({meters.model(f"known-{number}") for number in range(MOST)}) == MOST // 10 + 1
    assert meters.model("known-1") == "known-1"


@pytest.mark.parametrize(
    ("reason", "label"), [("stop", "stop"), ("upstream_stalled", "upstream_stalled"), ("its own words", OTHER)]
)
def test_an_upstreams_own_reasons_are_no_labels(reason, label):
    """It may call its end anything."""
    meters = Meters()
    usage = Usage(input=3, output=5)
    meters.end(Course(), Outcome(state=State.COMPLETED, reason=reason, ended_at=0.0, usage=usage), 9.0)
    assert meters.ended.by_labels == {("completed", label): 1}
    assert meters.tokens.by_labels == {("", "", "input"): 3, ("", "", "output"): 5}


async def test_the_upstreams_leg_is_measured():
    """The first records, then each time between two arrivals; keep-alives are none."""
    async with house() as it:
        meters = it.registry.meters
        slow, quick = asyncio.Event(), asyncio.Event()
        await it.start(FakeUpstream([slow, chunk("a"), [], quick, chunk("b"), chunk("c"), End()]))
        for gate, seconds in ((slow, 3.0), (quick, 0.06)):
            await settle()
            await it.clock.advance(seconds)
            gate.set()
        await settle()
        first = meters.upstream_first.by_labels["fake", OTHER]
        between = meters.upstream_between.by_labels["fake",]
        assert (sum(first.counts), first.sum) == (1, pytest.approx(3.0))
        assert (sum(between.counts), between.sum) == (2, pytest.approx(0.06))
        assert meters.answers.by_labels["fake", OTHER].sum == pytest.approx(3.06)
        assert meters.ended.by_labels == {("completed", "stop"): 1}


async def test_a_stop_is_timed():
    """From the word to the committed end."""
    async with house() as it:
        head = await it.start(FakeUpstream([chunk("a"), asyncio.Event()]))
        await settle()
        await it.registry.cancel(await it.head(head.id))
        assert sum(it.registry.meters.cancels.by_labels["cancelled",].counts) == 1
        assert it.registry.meters.ended.by_labels == {("cancelled", "cancelled"): 1}


async def test_who_comes_back_is_counted():
    """With a cursor, not from the start."""
    async with house() as it:
        head = await it.start(FakeUpstream([chunk("a"), chunk("b"), End()]))
        await read_all(it.reader(head))
        assert it.registry.meters.replays.by_labels == {(): 0}
        await read_all(it.reader(head, cursor=Cursor(1)))
        assert it.registry.meters.replays.by_labels == {(): 1}
