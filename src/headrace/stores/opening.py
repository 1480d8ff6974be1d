"""The stores that the settings ask for. What needs a package that may be absent is imported here, and only if asked."""

import importlib
from types import ModuleType
from typing import Protocol

from headrace.config import Store
from headrace.core.account import Accounts
from headrace.core.clock import Clock
from headrace.core.deadlines import pause
from headrace.core.log import Health, Log, Retention
from headrace.core.meters import Meters
from headrace.core.topic_log import TopicLog
from headrace.errors import ConfigError, StoreUnavailable
from headrace.stores.memory.accounts import MemoryAccounts
from headrace.stores.memory.log import MemoryLog
from headrace.stores.memory.topics import MemoryTopics
from headrace.stores.sqlite.accounts import SqliteAccounts
from headrace.stores.sqlite.log import SqliteLog
from headrace.stores.sqlite.topics import SqliteTopics

#: Seconds for which a Redis is waited for that starts together with this server.
PATIENCE = 10.0
AGAIN = 0.5
#: Seconds added to what retention asks for, after which Redis lets go of a key by itself.
SPARE = 30 * 86_400


class Streams(Log, Retention, Health, Protocol):
    """What every store of ours can do."""


async def open_log(store: Store, keep: float, clock: Clock, meters: Meters) -> Streams:
    """The streams. ``keep`` is the longest time in seconds for which any of them is kept.

    Raises StoreError, and ConfigError where a package is missing.
    """
    if store.redis:
        return await _open_redis(store, keep, clock, meters)
    if store.folder is None:
        return MemoryLog(clock)
    store.folder.mkdir(parents=True, exist_ok=True)
    return await SqliteLog(store.folder, durability=store.durability, clock=clock, meters=meters).open()


async def open_topics(store: Store, log: Log, clock: Clock) -> TopicLog:
    """The topics, beside the streams. Raises StoreError."""
    if store.redis:
        topics: TopicLog = _redis("topics").RedisTopics(log.connection)  # type: ignore[attr-defined]
        return topics
    if store.folder is None:
        return MemoryTopics(clock)
    return await SqliteTopics.open(store.folder, durability=store.durability)


async def open_accounts(store: Store, log: Log, clock: Clock) -> Accounts:
    """The accounts, where the streams are. Raises StoreError."""
    if store.redis:
        accounts: Accounts = _redis("accounts").RedisAccounts(log.connection)  # type: ignore[attr-defined]
        return accounts
    return MemoryAccounts(clock) if store.folder is None else await SqliteAccounts.open(store.folder, clock)


def _redis(part: str) -> ModuleType:
    try:
        return importlib.import_module(f"headrace.stores.redis.{part}")
    except ModuleNotFoundError:
        raise ConfigError("store.data needs: pip install 'headrace[redis]'") from None


async def _open_redis(store: Store, keep: float, clock: Clock, meters: Meters) -> Streams:
    redis, connections = _redis("log"), _redis("connection")
    if store.folder is not None:
        store.folder.mkdir(parents=True, exist_ok=True)
    deadline = clock.monotonic() + PATIENCE
    while True:
        try:
            connection = await connections.RedisConnection.open(store.data, store.prefix)
            log: Streams = await redis.RedisLog(
                connection, lease=store.lease, keep=keep + SPARE, clock=clock, meters=meters
            ).open()
            return log
        except StoreUnavailable:
            if clock.monotonic() >= deadline:
                raise
            await pause(clock, AGAIN)
