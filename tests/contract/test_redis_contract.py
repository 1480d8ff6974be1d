"""The port on Redis Streams, by a throw-away adapter: a server is started, and ended, by the test itself."""

import asyncio
import shutil
import socket
import subprocess

import pytest
import redis
from tests.contract.throwaway_redis import RedisLog

from headrace.core.log import Health, Log, Ownership, Signals
from headrace.errors import StoreError
from headrace.testing.contract import fails, meta, numbered
from headrace.testing.store_contract import Rule, rule_name, rules

pytestmark = pytest.mark.redis

LEASE = 0.3


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """A Redis of our own on a free port."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.fail("redis-server is needed for this test: apt install redis-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    server = subprocess.Popen(
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
    )
    try:
        with redis.Redis(port=port, retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 100)) as client:
            client.ping()
        yield port
    finally:
        server.terminate()
        server.wait(5)


class RedisStage:
    """One Redis, opened as several processes would."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.logs: list[RedisLog] = []

    async def open(self) -> Log:
        log = await RedisLog(self.port, lease=LEASE).open()
        self.logs.append(log)
        return log

    async def kill(self, log: Log) -> None:
        """No more renewals; the lease is Redis's own clock, so its end is waited for."""
        assert isinstance(log, RedisLog)
        await log.die()
        left = await log._redis.pttl(f"w:{log._writer}")
        await asyncio.sleep(max(0, left) / 1000 + 0.01)
        assert not await log._redis.exists(f"w:{log._writer}")


@pytest.fixture
async def stage(port):
    with redis.Redis(port=port) as client:
        client.flushall()
    stage = RedisStage(port)
    yield stage
    for log in stage.logs:
        await log.close()


@pytest.mark.parametrize("rule", rules((Health, Ownership, Signals)), ids=rule_name)
async def test_redis(rule: Rule, stage: RedisStage):
    """Redis Streams can keep the port: nothing in it asks for more than they give."""
    await rule.check(stage)


async def test_a_stale_owner_is_fenced(stage: RedisStage):
    """A process whose lease has lapsed writes nothing more, though nobody has reaped its streams yet."""
    zombie = await stage.open()
    await zombie.create("s", meta())
    await stage.kill(zombie)
    await fails(StoreError, zombie.append("s", 0, numbered(1, 1)))
    assert (await zombie.head("s")).tail == 0
