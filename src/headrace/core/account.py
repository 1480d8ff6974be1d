"""An owner's account: what was used of a quota of late, and the port of the stores that hold accounts.

Requests and tokens run off like water from a bucket with a hole: what is used fills it, and a minute empties it by as
much as the quota allows in one. So there is no moment at which everybody's minute begins anew. Answers under way hold a
lease, which lapses where their process dies.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from headrace.model.grants import Quota

T = TypeVar("T")

#: Seconds for which an answer under way is counted without being renewed.
LEASE = 15.0


class Account(msgspec.Struct, frozen=True, array_like=True):
    """What an owner has used: as it was ``at`` a time (Unix seconds). ``open`` are answers, and when each lapses."""

    at: float = 0.0
    requests: float = 0.0
    tokens: float = 0.0
    open: dict[str, float] = {}


class Accounts(Protocol):
    """A store of accounts, which the processes of all machines may share."""

    async def change(self, owner: str, change: Callable[[Account, float], tuple[Account, T]]) -> T:
        """Change an account in one atomic step, and return what the change returns.

        ``change`` is given the account and the time (Unix seconds, the store's own where it has one). It may be called
        again where another process was first. Raises StoreUnavailable.
        """

    async def close(self) -> None:
        """Let go of everything."""


class Demand(NamedTuple):
    """What somebody wants to begin: ``id`` is the answer's, or empty for a call that is over at once."""

    id: str
    tokens: int


class Left(NamedTuple):
    """How much is left of one limit, and in how many seconds all of it will be."""

    limit: int
    remaining: int
    reset: float


class Verdict(NamedTuple):
    """Whether there is room; otherwise what is used up (``refused``), and in how many seconds to ask again.

    ``wait`` is None where there never will be room. ``requests`` and ``tokens`` are None where they have no limit.
    """

    refused: str = ""
    wait: float | None = 0.0
    requests: Left | None = None
    tokens: Left | None = None


def take(account: Account, demand: Demand, quota: Quota, now: float) -> tuple[Account, Verdict]:
    """Take what is wanted, all of it or nothing."""
    before = _run_off(account, quota, now)
    refused, wait = _refusal(before, demand, quota)
    after = before
    if not refused:
        opened = {demand.id: now + LEASE} if demand.id else {}
        after = Account(now, before.requests + 1, before.tokens + demand.tokens, {**before.open, **opened})
    left = _left(after.requests, quota.requests_per_minute), _left(after.tokens, quota.tokens_per_minute)
    return after, Verdict(refused, wait, *left)


def settle(account: Account, demand: Demand, used: int | None, quota: Quota, now: float) -> Account:
    """Put right what an answer has used, once that is known (None: it has used nothing), and count it out."""
    there = _run_off(account, quota, now)
    returned = 1.0 if used is None else 0.0
    still = {id: until for id, until in there.open.items() if id != demand.id}
    tokens = max(0.0, there.tokens - demand.tokens + (used or 0))
    return Account(now, max(0.0, there.requests - returned), tokens, still)


def renew(account: Account, ids: Collection[str], now: float) -> Account:
    """Go on counting these answers, which are still under way."""
    return msgspec.structs.replace(account, open={**account.open, **dict.fromkeys(ids, now + LEASE)})


def _run_off(account: Account, quota: Quota, now: float) -> Account:
    """The account as it is now.

    A clock that went back empties nothing, and from there it goes on: what was written by a clock that was ahead would
    otherwise not run off, nor lapse, until that moment has come again.
    """
    minutes = max(0.0, now - account.at) / 60
    return Account(
        now,
        _level(account.requests, quota.requests_per_minute, minutes),
        _level(account.tokens, quota.tokens_per_minute, minutes),
        {id: min(until, now + LEASE) for id, until in account.open.items() if until > now},
    )


def _level(used: float, limit: int | None, minutes: float) -> float:
    """What is not limited is not counted: it would never run off, and refuse for hours once there is a limit."""
    return 0.0 if limit is None else max(0.0, used - minutes * limit)


def _refusal(account: Account, demand: Demand, quota: Quota) -> tuple[str, float | None]:
    """What is used up, and for how long; an empty text where there is room."""
    used = (
        ("requests", account.requests, 1, quota.requests_per_minute),
        ("tokens", account.tokens, demand.tokens, quota.tokens_per_minute),
    )
    for what, level, more, limit in used:
        if limit is None or level + more <= limit:
            continue
        return what, None if more > limit else (level + more - limit) * 60 / limit
    if demand.id and quota.concurrent_streams is not None and len(account.open) >= quota.concurrent_streams:
        return "answers at once", 1.0
    return "", 0.0


def _left(level: float, limit: int | None) -> Left | None:
    return None if limit is None else Left(limit, max(0, int(limit - level)), level * 60 / limit)
