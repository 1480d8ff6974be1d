"""Every store of accounts changes one at a time, whoever else does."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from tests.contract.redis_server import redis_server

from headrace.core.account import Account, Accounts
from headrace.core.clock import SystemClock
from headrace.stores.memory.accounts import MemoryAccounts
from headrace.stores.redis.accounts import RedisAccounts
from headrace.stores.redis.connection import RedisConnection
from headrace.stores.sqlite.accounts import SqliteAccounts

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def processes(request, tmp_path, redis):
    """The same accounts, as two processes have them open (memory has but one)."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        made: list[Accounts] = []
        if request.param == "memory":
            made = [MemoryAccounts(clock)] * 2
        for number in range(2 - len(made)):
            if request.param == "sqlite":
                made.append(await SqliteAccounts.open(tmp_path, clock))
            else:
                connection = await RedisConnection.open(redis.url, f"{tmp_path.name}:")
                stack.push_async_callback(connection.close)
                made.append(RedisAccounts(connection))
            stack.push_async_callback(made[number].close)
        yield made


def count(account: Account, now: float) -> tuple[Account, float]:
    """One more request; returns how many that makes."""
    return Account(now, account.requests + 1, account.tokens, account.open), account.requests + 1


async def test_a_change_is_seen_by_the_other_process(processes):
    one, other = processes
    assert await one.change("o", count) == 1
    assert await other.change("o", count) == 2


async def test_no_change_is_lost_between_two(processes):
    """Each sees a number that nobody else has seen."""
    found = await asyncio.gather(*(processes[number % 2].change("o", count) for number in range(100)))
    assert sorted(found) == list(range(1, 101))


async def test_owners_have_accounts_of_their_own(processes):
    assert [await processes[0].change(owner, count) for owner in ("a", "b", "a")] == [1, 1, 2]


async def test_the_time_is_now_for_all(processes):
    times = [await each.change("o", lambda account, now: (account, now)) for each in processes]
    assert abs(times[0] - SystemClock().time()) < 5
    assert abs(times[0] - times[1]) < 5


async def test_what_is_open_is_kept_as_it_was(processes):
    whole = Account(3.5, 1.25, 7.0, {"a-1": 9.0})
    await processes[0].change("o", lambda *_: (whole, None))
    assert await processes[1].change("o", lambda account, _: (account, account)) == whole
