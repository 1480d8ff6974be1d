"""Whether an upstream has failed lately."""

from headrace.core.condition import COOL, LONGEST, Condition
from headrace.errors import UpstreamRefused, UpstreamTimeout
from headrace.testing.clock import FakeClock


async def failing(times: int = 1, *, retry_after: float | None = None) -> tuple[Condition, FakeClock]:
    clock = FakeClock()
    condition = Condition(clock)
    for _ in range(times):
        await clock.advance(condition.cooling)
        condition.begins()
        condition.failed(UpstreamTimeout(retry_after=retry_after))
    return condition, clock


def test_one_that_nothing_is_known_of_is_fit():
    assert Condition(FakeClock()).cooling == 0


async def test_it_cools_for_longer_the_more_often_it_fails():
    assert [(await failing(times))[0].cooling for times in (1, 2, 3, 100)] == [COOL, 2 * COOL, 4 * COOL, LONGEST]


async def test_requests_that_fail_together_are_one_failure():
    """Fifty answers that a restart cuts off say no more than one."""
    condition, _ = await failing()
    for _ in range(50):
        condition.failed(UpstreamTimeout())
    assert condition.cooling == COOL


async def test_a_later_failure_shortens_nothing():
    """One that names a minute is believed, whatever the others say meanwhile."""
    condition, _ = await failing(retry_after=30)
    condition.failed(UpstreamTimeout())
    assert condition.cooling == 30


async def test_a_named_time_is_believed_up_to_a_minute():
    assert [(await failing(retry_after=seconds))[0].cooling for seconds in (0.1, 7.0, 1e9)] == [COOL, 7.0, LONGEST]


async def test_an_answer_makes_it_fit_at_once():
    condition, _ = await failing(5)
    condition.succeeded()
    assert condition.cooling == 0


async def test_after_its_time_one_request_finds_out_for_all():
    """Else all of them would meet the same dead server at the same moment."""
    condition, clock = await failing()
    await clock.advance(COOL)
    assert condition.cooling == 0
    condition.begins()
    assert condition.cooling == COOL


async def test_trying_one_that_is_fit_or_still_cools_changes_nothing():
    fit, (cools, _) = Condition(FakeClock()), await failing(3)
    for condition, before in ((fit, 0), (cools, 4 * COOL)):
        condition.begins()
        assert condition.cooling == before


def test_a_request_that_is_wrong_for_all_says_nothing_about_one():
    condition = Condition(FakeClock())
    error = UpstreamRefused(status=400)
    error.retryable = False
    condition.failed(error)
    assert condition.cooling == 0
