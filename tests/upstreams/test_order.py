"""In which order a model's upstreams are tried."""

import random
from collections import Counter

import pytest

from headrace.core.condition import COOL
from headrace.core.routing import Target
from headrace.errors import UpstreamTimeout
from headrace.testing.clock import FakeClock
from headrace.testing.fake_upstream import FakeUpstream
from headrace.upstreams.order import Order, Shares


class Named(FakeUpstream):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


A, B, C = Named("a"), Named("b"), Named("c")


def shares(**weights: float) -> Shares:
    upstreams = {"a": A, "b": B, "c": C}
    return [(Target(upstreams[name], "m"), weight) for name, weight in weights.items()]


def order(clock: FakeClock | None = None, **others: list[Named]) -> Order:
    return Order(clock or FakeClock(), others=others, draw=random.Random(7).random)


def names(targets) -> str:
    return "".join(target.upstream.name for target in targets)


def test_choices_are_tried_one_after_the_other():
    assert names(order().of([shares(c=1), shares(a=1), shares(b=1)])) == "cab"


def test_shares_are_kept_on_average():
    """Three to one, within what chance does in a thousand draws; whoever is not first is second."""
    tried = order()
    first = Counter(names(tried.of([shares(a=3, b=1), shares(c=1)])) for _ in range(1000))
    assert set(first) == {"abc", "bac"}
    assert first["abc"] == pytest.approx(750, abs=50)


async def test_one_that_failed_comes_last_until_it_has_cooled_down():
    clock = FakeClock()
    tried = order(clock)
    choices = [shares(a=1), shares(b=1)]
    tried.of(choices)[0].condition.failed(UpstreamTimeout())
    assert names(tried.of(choices)) == "ba"
    await clock.advance(COOL)
    assert [names(tried.of(choices)) for _ in range(2)] == ["ab"] * 2, "to ask for the order asks nobody"
    tried.of(choices)[0].condition.begins()
    assert names(tried.of(choices)) == "ba", "one request finds out, the next does not wait for it"
    tried.of(choices)[1].condition.succeeded()
    assert names(tried.of(choices)) == "ab"


async def test_where_all_fail_the_one_that_cools_the_longest_already_is_first():
    clock = FakeClock()
    tried = order(clock)
    choices = [shares(a=1), shares(b=1)]
    both = tried.of(choices)
    both[1].condition.failed(UpstreamTimeout())
    await clock.advance(1.0)
    both[0].condition.failed(UpstreamTimeout())
    assert names(tried.of(choices)) == "ba"


def test_what_is_asked_is_spread_over_the_keys_of_an_upstream():
    """A key that has used up its rate comes after the others."""
    more = Named("a")
    tried = order(a=[more])
    found = Counter(tried.of([shares(a=1), shares(b=1)])[0].upstream is more for _ in range(1000))
    assert found[True] == pytest.approx(500, abs=50)
    first = next(target for target in tried.of([shares(a=1)]) if target.upstream is more)
    first.condition.failed(UpstreamTimeout(retry_after=30))
    assert all(tried.of([shares(a=1)])[0].upstream is A for _ in range(20))
