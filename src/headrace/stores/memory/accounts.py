"""Accounts in memory: for one process."""

from collections.abc import Callable
from typing import TypeVar

from headrace.core.account import Account
from headrace.core.clock import Clock

T = TypeVar("T")


class MemoryAccounts:
    """:class:`~headrace.core.account.Accounts` that end with the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[str, Account] = {}

    async def change(self, owner: str, change: Callable[[Account, float], tuple[Account, T]]) -> T:
        """Change an account."""
        self._accounts[owner], result = change(self._accounts.get(owner, Account()), self._clock.time())
        return result

    async def close(self) -> None:
        """Nothing is open."""
