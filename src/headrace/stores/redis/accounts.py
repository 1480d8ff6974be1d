"""Accounts on Redis, which all machines share.

Redis holds an account as one value and knows nothing of what it means: a process reads it with Redis's own time, and
writes what became of it if it is still the same. Calls of one process for one owner go one after the other, so only
other processes can be in between.
"""

import asyncio
import random
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakValueDictionary

import msgspec

from headrace.core.account import Account
from headrace.errors import StoreUnavailable
from headrace.stores.redis.connection import RedisConnection, Script

T = TypeVar("T")

#: Seconds for which an account is kept that nobody uses; by then nothing is left of it.
KEPT = 3600

#: How often others may be first.
TRIES = 50

# ARGV: the key. Returns the account, and the time in microseconds.
_READ = Script("""
local time = redis.call('TIME')
return {redis.call('GET', ARGV[1]) or '', time[1] * 1000000 + time[2]}
""")

# ARGV: the key, what it held, what it shall hold, seconds. Returns whether that was so.
_WRITE = Script("""
if (redis.call('GET', ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('SET', ARGV[1], ARGV[3], 'EX', ARGV[4])
return 1
""")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Account).decode


class RedisAccounts:
    """:class:`~headrace.core.account.Accounts` on a connection, which its caller closes."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def change(self, owner: str, change: Callable[[Account, float], tuple[Account, T]]) -> T:
        """Change an account. Raises StoreUnavailable also where others are always first."""
        key = f"{self._connection.prefix}account:{owner}"
        lock = self._locks.setdefault(owner, asyncio.Lock())
        async with lock:
            for tried in range(TRIES):
                found, now = await self._read(key)
                account, result = change(_decode(found) if found else Account(), now)
                if await self._connection.run(_WRITE, key, found, _encode(account), KEPT) == 1:
                    return result
                await asyncio.sleep(random.uniform(0, 0.001 * tried))  # noqa: S311 - not in step with the others
        raise StoreUnavailable

    async def _read(self, key: str) -> tuple[bytes, float]:
        reply = await self._connection.run(_READ, key)
        if not isinstance(reply, list) or len(reply) != 2:
            raise StoreUnavailable
        return bytes(reply[0]), int(reply[1]) / 1e6

    async def close(self) -> None:
        """The connection is its caller's."""
