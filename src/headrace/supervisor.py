"""The supervisor: several worker processes on the same sockets.

Each worker is a whole server process. One that dies is replaced, and one that keeps dying is replaced ever more slowly.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

#: A worker that dies sooner than this after its start (seconds) makes the next one wait, twice as long each time.
STABLE = 10.0
LONGEST_WAIT = 30.0

#: In this variable a worker finds the numbers of the sockets that it inherits.
SOCKETS = "HEADRACE_WORKER_SOCKETS"


class Supervisor:
    """Starts workers, replaces the dead, and hands signals on."""

    def __init__(self, count: int, sockets: Sequence[socket.socket], environment: Mapping[str, str]) -> None:
        self._count = count
        self._fds = [listening.fileno() for listening in sockets]
        self._environment = {**os.environ, **environment, SOCKETS: ",".join(map(str, self._fds))}
        self._workers: list[subprocess.Popen[bytes]] = []
        self._stopping = False
        self._wait = 0.0

    def run(self) -> int:
        """Supervise until a signal comes and all workers have ended. Returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._pass_on)
        self._workers = [self._start() for _ in range(self._count)]
        while True:
            dead = [worker for worker in self._workers if worker.poll() is not None]
            self._workers = [worker for worker in self._workers if worker.returncode is None]
            if self._stopping and not self._workers:
                return 0
            if dead and not self._stopping:
                self._replace(len(dead))
            time.sleep(0.1)

    def _start(self) -> subprocess.Popen[bytes]:
        worker = subprocess.Popen(
            [sys.executable, "-m", "headrace", "worker"], env=self._environment, pass_fds=self._fds
        )
        self._started_at = time.monotonic()
        return worker

    def _replace(self, count: int) -> None:
        stable = time.monotonic() - self._started_at >= STABLE
        self._wait = 0.0 if stable else min(LONGEST_WAIT, self._wait * 2 or 0.25)
        until = time.monotonic() + self._wait
        while time.monotonic() < until and not self._stopping:
            time.sleep(0.05)
        if not self._stopping:
            self._workers += [self._start() for _ in range(count)]

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self._stopping = True
        for worker in self._workers:
            if worker.poll() is None:
                worker.send_signal(number)
