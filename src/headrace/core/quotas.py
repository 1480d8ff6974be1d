"""Quotas: what is begun is counted against what its owner may use, and put right when it has ended.

Rejoining, reading and stopping are never counted: whoever has begun an answer may always come back to it.
"""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial

from headrace.core.account import Account, Accounts, Demand, Verdict, renew, settle, take
from headrace.core.clock import Clock
from headrace.core.deadlines import pause
from headrace.core.recent import Recent
from headrace.core.tasks import Tasks
from headrace.errors import StoreError
from headrace.model.grants import Quota
from headrace.model.outcome import Outcome

logger = logging.getLogger(__name__)

#: Seconds between two renewals of the answers under way; well within their lease.
RENEW = 5.0

#: What each of the owners has in all: stored bytes, or US dollars spent in 30 days.
Totals = Callable[[Collection[str]], Awaitable[Mapping[str, float]]]


class Taken:
    """What was taken for one answer. ``left`` says how much is left; ``ended`` is called when the answer has ended."""

    __slots__ = ("_end", "demand", "left", "owner", "quota")

    def __init__(
        self, owner: str, quota: Quota, demand: Demand, left: Verdict, end: Callable[["Taken", int | None], None]
    ) -> None:
        self.owner = owner
        self.quota = quota
        self.demand = demand
        self.left = left
        self._end = end

    def ended(self, outcome: Outcome | None) -> None:
        """Put right what was taken. Where nobody knows exactly what was used, what was taken stays taken."""
        usage = outcome.usage if outcome is not None else None
        used = usage.input + usage.output if usage is not None else 0
        self._end(self, used if usage is not None and usage.exact else max(used, self.demand.tokens))

    def give_back(self) -> None:
        """Nothing was begun."""
        self._end(self, None)


class Quotas:
    """One for each process. ``stored`` and ``spent`` tell what owners have in all; they are asked every few seconds."""

    def __init__(self, accounts: Accounts, clock: Clock, *, stored: Totals, spent: Totals) -> None:
        self._accounts = accounts
        self._clock = clock
        self._stored = Recent(stored, clock)
        self._spent = Recent(spent, clock)
        self._ids = (f"{secrets.token_hex(6)}-{number}" for number in itertools.count())
        #: Answers under way here, by owner.
        self._open: dict[str, set[str]] = {}
        self._settling = Tasks("counting an answer out")
        self._renewing: asyncio.Task[None] | None = None

    async def take(self, owner: str, quota: Quota, tokens: int = 0, *, lasting: bool) -> Taken:
        """Count a request that may use so many tokens; one that is ``lasting`` is an answer, which ends later.

        Where its ``left`` says that it is refused, nothing was taken. Raises StoreUnavailable where nobody can tell:
        what cannot be counted is not begun.
        """
        demand = Demand(next(self._ids) if lasting else "", tokens)
        if used_up := await self._used_up(owner, quota):
            return Taken(owner, quota, demand, Verdict(used_up, None), _nothing)
        if not quota.is_counted:
            return Taken(owner, quota, demand, Verdict(), _nothing)
        verdict = await self._accounts.change(owner, lambda account, now: take(account, demand, quota, now))
        if verdict.refused:
            return Taken(owner, quota, demand, verdict, _nothing)
        if lasting:
            self._open.setdefault(owner, set()).add(demand.id)
            self._renewing = self._renewing or asyncio.create_task(self._renew(), name="quotas: renewing")
        return Taken(owner, quota, demand, verdict, self._end)

    async def close(self) -> None:
        """Put right what can be put right, and stop."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await self._settling.close(RENEW)
        await self._stored.close()
        await self._spent.close()

    async def _used_up(self, owner: str, quota: Quota) -> str:
        """Which total is used up, if any is: that takes more than a minute to change."""
        if quota.budget is not None and (await self._spent.get(owner) or 0.0) >= quota.budget:
            return "budget"
        if quota.stored_bytes is not None and (await self._stored.get(owner) or 0.0) >= quota.stored_bytes:
            return "stored bytes"
        return ""

    def _end(self, taken: Taken, used: int | None) -> None:
        mine = self._open.get(taken.owner, set())
        mine.discard(taken.demand.id)
        if not mine:
            self._open.pop(taken.owner, None)
        self._settling.spawn(self._settle(taken, used))

    async def _settle(self, taken: Taken, used: int | None) -> None:
        def change(account: Account, now: float) -> tuple[Account, None]:
            return settle(account, taken.demand, used, taken.quota, now), None

        try:
            await self._accounts.change(taken.owner, change)
        except StoreError as error:  # the lease lapses, and what was taken runs off by itself
            logger.warning("quotas: an answer could not be counted out (%s)", error.code)

    async def _renew(self) -> None:
        while True:
            await pause(self._clock, RENEW)
            for owner, ids in list(self._open.items()):
                try:
                    await self._accounts.change(owner, partial(_renewed, tuple(ids)))
                except StoreError as error:
                    logger.warning("quotas: answers could not be counted on (%s)", error.code)


def _renewed(ids: Collection[str], account: Account, now: float) -> tuple[Account, None]:
    return renew(account, ids, now), None


def _nothing(_taken: Taken, _used: int | None) -> None:
    """Nothing was counted."""
