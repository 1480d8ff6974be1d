"""A Redis of a test's own: on a free port and in a temporary folder, ended by its process id."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry


class RedisServer:
    """One server. ``options`` are arguments of ``redis-server``; what it keeps on its disk stays over a restart."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._options = options
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As ``store.data`` takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it has loaded what it kept."""
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.fail("redis-server is needed for this test: apt install redis-server")
        own = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        self._process = subprocess.Popen([binary, *own, *self._options], stdout=subprocess.DEVNULL)
        self.ask("PING")

    def ask(self, *command: object) -> object:
        """Run one command on a connection of its own."""
        patient = Retry(ConstantBackoff(0.02), 250)
        errors = [redis.ConnectionError, redis.exceptions.BusyLoadingError]
        with redis.Redis(port=self.port, retry=patient, retry_on_error=errors) as client:
            return client.execute_command(*command)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, and wait; ``SIGKILL`` as the machine's end does."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(10)

    def pause(self) -> None:
        """It holds its connections and answers nothing, until :meth:`resume`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A running server, for as long as the context."""
    server = RedisServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGKILL)
