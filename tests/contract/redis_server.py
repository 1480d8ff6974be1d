"""A Redis of a test's own, with redis-py to ask it: on a free port, in a temporary folder, ended by its process id."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from headrace.testing import redis_server as testing


class RedisServer(testing.RedisServer):
    """One server. ``options`` are arguments of ``redis-server``; what it keeps on its disk stays over a restart."""

    def ask(self, *command: object) -> object:
        """Run one command on a connection of its own."""
        patient = Retry(ConstantBackoff(0.02), 250)
        errors = [redis.ConnectionError, redis.exceptions.BusyLoadingError]
        with redis.Redis(port=self.port, retry=patient, retry_on_error=errors) as client:
            return client.execute_command(*command)


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A running server, for as long as the context."""
    server = RedisServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGKILL)
