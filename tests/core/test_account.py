"""What is used of a quota, and what is left of it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.account import LEASE, Account, Demand, renew, settle, take
from headrace.model.grants import Quota

SIX = Quota(requests_per_minute=6)


def asked(count: int, quota: Quota, now: float = 1000.0, tokens: int = 0) -> tuple[Account, list[str]]:
    """So many requests at one moment, and what refused each."""
    account, refused = Account(), []
    for number in range(count):
        account, verdict = take(account, Demand(f"a{number}", tokens), quota, now)
        refused.append(verdict.refused)
    return account, refused


def test_a_minutes_requests_may_come_at_once_and_no_more():
    assert asked(8, SIX)[1] == [""] * 6 + ["requests"] * 2


def test_room_comes_back_bit_by_bit_and_is_foretold():
    account, _ = asked(6, SIX)
    _, verdict = take(account, Demand("x", 0), SIX, 1000.0)
    assert verdict.wait == 10.0
    assert take(account, Demand("x", 0), SIX, 1009.9)[1].refused
    assert not take(account, Demand("x", 0), SIX, 1010.1)[1].refused


def test_what_is_left_is_told():
    account, _ = asked(4, SIX)
    left = take(account, Demand("x", 0), SIX, 1000.0)[1].requests
    assert left == (6, 1, 50.0)


def test_what_was_not_limited_does_not_count_against_a_later_limit():
    """An operator who adds a limit does not lock the busiest out for hours."""
    account, _ = asked(100, Quota(concurrent_streams=1000), tokens=1_000)
    limited = Quota(requests_per_minute=6, tokens_per_minute=2_000)
    account, verdict = take(account, Demand("x", 1_000), limited, 1000.0)
    assert not verdict.refused
    account, _ = take(account, Demand("y", 0), Quota(requests_per_minute=6), 1000.0)
    assert account.tokens == 0


def test_a_refusal_takes_nothing_of_any_limit():
    quota = Quota(requests_per_minute=6, tokens_per_minute=100)
    account, _ = asked(1, quota, tokens=90)
    after, verdict = take(account, Demand("x", 20), quota, 1000.0)
    assert (verdict.refused, after) == ("tokens", account)


def test_what_can_never_fit_is_told_so():
    _, verdict = take(Account(), Demand("x", 101), Quota(tokens_per_minute=100), 1000.0)
    assert (verdict.refused, verdict.wait) == ("tokens", None)


@pytest.mark.parametrize(("used", "left"), [(10, 90), (60, 40), (250, 0), (None, 100)])
def test_tokens_are_put_right_at_the_end(used: int | None, left: int):
    """Also where more was used than was reserved: then nothing is left for a while."""
    quota = Quota(tokens_per_minute=100)
    account, _ = take(Account(), Demand("a", 60), quota, 1000.0)
    account = settle(account, Demand("a", 60), used, quota, 1000.0)
    verdict = take(account, Demand("b", 0), quota, 1000.0)[1]
    assert verdict.tokens is not None
    assert verdict.tokens.remaining == left
    assert not account.open


def test_answers_at_once_are_counted_until_they_end_or_lapse():
    two = Quota(concurrent_streams=2)
    account, refused = asked(3, two)
    assert refused == ["", "", "answers at once"]
    ended = settle(account, Demand("a0", 0), 5, two, 1001.0)
    assert not take(ended, Demand("x", 0), two, 1001.0)[1].refused
    assert take(account, Demand("x", 0), two, 1000 + LEASE - 1)[1].refused
    assert not take(account, Demand("x", 0), two, 1000 + LEASE + 1)[1].refused
    renewed = renew(account, ("a0", "a1"), 1010.0)
    assert take(renewed, Demand("x", 0), two, 1000 + LEASE + 1)[1].refused


def test_a_call_that_is_over_at_once_is_no_answer():
    one = Quota(concurrent_streams=1, requests_per_minute=10)
    account, _ = take(Account(), Demand("", 0), one, 1000.0)
    assert account.open == {}


def test_a_clock_that_goes_back_gives_and_takes_nothing():
    account, _ = asked(6, SIX)
    assert take(account, Demand("x", 0), SIX, 400.0)[1].refused
    assert not take(account, Demand("x", 0), SIX, 1011.0)[1].refused


def test_a_clock_that_was_set_back_locks_nobody_out():
    """Refusals go on for as long as they say, and dead answers lapse, although all of it was written an hour ahead."""
    account, _ = asked(6, SIX, now=4600.0)
    account, refusal = take(account, Demand("x", 0), SIX, 1000.0)
    assert (refusal.refused, refusal.wait) == ("requests", 10.0)
    assert not take(account, Demand("x", 0), SIX, 1010.1)[1].refused
    one = Quota(concurrent_streams=1)
    account, _ = asked(1, one, now=4600.0)
    account, refusal = take(account, Demand("x", 0), one, 1000.0)
    assert refusal.refused
    assert not take(account, Demand("x", 0), one, 1000 + LEASE + 1)[1].refused


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 120), st.integers(0, 200)), max_size=60))
def test_no_more_is_ever_begun_than_a_bucket_and_its_leak_hold(steps):
    """Whatever is reserved and used when: what is begun until any moment is at most a minute's and what ran off."""
    quota = Quota(requests_per_minute=10, tokens_per_minute=100)
    account, now, begun, reserved = Account(), 1000.0, 0, 0
    for number, (pause, tokens, _) in enumerate(steps):
        now += pause
        account, verdict = take(account, Demand(f"a{number}", tokens), quota, now)
        if not verdict.refused:
            begun, reserved = begun + 1, reserved + tokens
        minutes = (now - 1000.0) / 60
        assert begun <= 10 + 10 * minutes + 1e-6
        assert reserved <= 100 + 100 * minutes + 1e-6
        assert math.isfinite(account.tokens)
