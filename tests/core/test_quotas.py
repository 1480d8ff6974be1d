"""What is begun is counted, and put right when it has ended."""

from headrace.core.account import LEASE
from headrace.core.quotas import RENEW, Quotas
from headrace.errors import StoreUnavailable
from headrace.model.grants import Quota
from headrace.model.outcome import Outcome, State, Usage
from headrace.stores.memory.accounts import MemoryAccounts
from headrace.testing.clock import FakeClock, settle

TOKENS = Quota(tokens_per_minute=100)
ONE = Quota(concurrent_streams=1)


class Told:
    """Totals that a test sets."""

    def __init__(self) -> None:
        self.totals: dict[str, float] = {}

    async def __call__(self, owners):
        return {owner: self.totals[owner] for owner in owners if owner in self.totals}


class Away(MemoryAccounts):
    """A store that may be out of reach."""

    away = False

    async def change(self, owner, change):
        if self.away:
            raise StoreUnavailable
        return await super().change(owner, change)


class House:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.accounts = Away(self.clock)
        self.stored, self.spent = Told(), Told()
        self.quotas = Quotas(self.accounts, self.clock, stored=self.stored, spent=self.spent)

    async def take(self, quota: Quota, tokens: int = 0, owner: str = "o"):
        return await self.quotas.take(owner, quota, tokens, lasting=True)


def used(input: int, output: int) -> Outcome:
    return Outcome(state=State.COMPLETED, reason="stop", ended_at=1.0, usage=Usage(input=input, output=output))


async def test_tokens_are_reserved_and_settled_with_what_was_used():
    it = House()
    taken = await it.take(TOKENS, 80)
    assert (await it.take(TOKENS, 30)).left.refused == "tokens"
    taken.ended(used(5, 5))
    await settle()
    assert not (await it.take(TOKENS, 90)).left.refused
    await it.quotas.close()


async def test_where_nobody_knows_what_was_used_the_reserve_stays_taken():
    """An answer that was cut has cost money too."""
    it = House()
    taken = await it.take(TOKENS, 80)
    taken.ended(Outcome(state=State.FAILED, reason="x", ended_at=1.0))
    await settle()
    assert (await it.take(TOKENS, 30)).left.refused
    await it.quotas.close()


async def test_an_estimate_settles_nothing_but_what_is_more():
    """What a cut answer had told of its usage is no more than what it had by then."""
    for told, refused in ((Usage(input=1, output=1, exact=False), "tokens"), (Usage(input=9, output=9), "")):
        it = House()
        taken = await it.take(TOKENS, 80)
        taken.ended(Outcome(state=State.INTERRUPTED, reason="x", ended_at=1.0, usage=told))
        await settle()
        assert (await it.take(TOKENS, 30)).left.refused == refused
        await it.quotas.close()


async def test_what_was_not_begun_is_given_back():
    it = House()
    (await it.take(Quota(requests_per_minute=1, concurrent_streams=1))).give_back()
    await settle()
    assert not (await it.take(Quota(requests_per_minute=1, concurrent_streams=1))).left.refused
    await it.quotas.close()


async def test_an_answer_under_way_is_counted_for_as_long_as_it_takes():
    it = House()
    taken = await it.take(ONE)
    for _ in range(10):
        await it.clock.advance(RENEW)
    assert (await it.take(ONE)).left.refused == "answers at once"
    taken.ended(used(1, 1))
    await settle()
    assert not (await it.take(ONE)).left.refused
    await it.quotas.close()


async def test_the_answers_of_a_dead_process_lapse():
    it = House()
    await it.take(ONE)
    await it.quotas.close()
    other = Quotas(it.accounts, it.clock, stored=it.stored, spent=it.spent)
    assert (await other.take("o", ONE, lasting=True)).left.refused
    await it.clock.advance(LEASE + 1)
    assert not (await other.take("o", ONE, lasting=True)).left.refused
    await other.close()


async def test_budget_and_stored_bytes_are_totals():
    it = House()
    it.spent.totals["o"], it.stored.totals["o"] = 5.0, 100.0
    assert not (await it.take(Quota(budget=5.01, stored_bytes=101))).left.refused
    assert (await it.take(Quota(budget=5.0))).left[:2] == ("budget", None)
    assert (await it.take(Quota(stored_bytes=100))).left[:2] == ("stored bytes", None)
    await it.quotas.close()


async def test_what_cannot_be_counted_is_not_begun():
    it = House()
    it.accounts.away = True
    try:
        await it.take(ONE)
    except StoreUnavailable:
        pass
    else:
        raise AssertionError("it was begun")
    await it.quotas.close()


async def test_nobody_without_a_limit_costs_the_store_anything():
    it = House()
    it.accounts.away = True
    (await it.take(Quota())).ended(None)
    await it.quotas.close()


async def test_a_store_that_is_away_at_the_end_breaks_nothing():
    it = House()
    taken = await it.take(TOKENS, 10)
    it.accounts.away = True
    taken.ended(used(1, 1))
    await settle()
    await it.quotas.close()
