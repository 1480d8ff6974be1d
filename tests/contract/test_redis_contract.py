"""Streams on Redis keep the contract of every store: a real server is started, and ended, by the test itself."""

import asyncio

import pytest
from tests.contract.redis_server import RedisServer, redis_server

from headrace.core.log import Health, Log, Overview, Ownership, Retention, Signals
from headrace.stores.redis.connection import RedisConnection
from headrace.stores.redis.log import RedisLog
from headrace.testing.store_contract import Rule, rule_name, rules

pytestmark = pytest.mark.redis

#: Seconds; a rule that kills a worker waits for it.
LEASE = 0.6


class RedisStage:
    """One Redis, opened as several processes would."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.logs: list[RedisLog] = []

    async def open(self) -> Log:
        log = await RedisLog(await RedisConnection.open(self.server.url), lease=LEASE).open()
        self.logs.append(log)
        return log

    async def kill(self, log: Log) -> None:
        """No more renewals; the lease is by Redis's own clock, so its end is waited for."""
        assert isinstance(log, RedisLog)
        await log._stop()
        await log.connection.close()
        self.logs.remove(log)
        await asyncio.sleep(LEASE + 0.02)
        assert self.server.ask("EXISTS", f"headrace:w:{log._writer.hex}") == 0
        async with asyncio.timeout(5):
            while not self._may_bury():  # noqa: ASYNC110 - it is Redis's clock
                await asyncio.sleep(0.02)

    def _may_bury(self) -> bool:
        """Whether the living have their leases, and for so long: one whose own had lapsed buries nobody for a while."""
        seconds, micros = self.server.ask("TIME")
        since = int(self.server.ask("HGET", "headrace:epoch", "since") or 0) / 1000
        alive = all(self.server.ask("EXISTS", f"headrace:w:{log._writer.hex}") for log in self.logs)
        return alive and seconds + micros / 1e6 - since >= LEASE


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis"), "--appendonly", "no") as server:
        yield server


@pytest.fixture
async def stage(server):
    server.ask("FLUSHALL")
    stage = RedisStage(server)
    yield stage
    for log in stage.logs:
        await log.close()


@pytest.mark.parametrize("rule", rules((Health, Ownership, Signals, Overview, Retention)), ids=rule_name)
async def test_redis(rule: Rule, stage: RedisStage):
    """Every rule, with several workers too."""
    await rule.check(stage)
