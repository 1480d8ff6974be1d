"""The supervisor: several worker processes on the same sockets.

Each worker is a whole server process. One that dies is replaced, and one that keeps dying is replaced ever more slowly.
Workers do not outlive their supervisor: they hold the other end of a pipe that closes with it, however it dies.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

logger = logging.getLogger(__name__)

#: A worker that dies sooner than this after its start (seconds) makes the next one wait, twice as long each time.
STABLE = 10.0
FIRST_WAIT = 0.25
LONGEST_WAIT = 30.0

#: Seconds between two looks.
INTERVAL = 0.05

#: The exit status of a process whose configuration cannot work: starting it again does not help.
BAD_CONFIG = 3


class Supervisor:
    """Starts workers, replaces the dead, and hands signals on."""

    def __init__(self, count: int, sockets: Sequence[socket.socket], environment: Mapping[str, str]) -> None:
        self._count = count
        self._fds = [listening.fileno() for listening in sockets]
        self._environment = {**os.environ, **environment}
        #: The workers, and when they were started.
        self._workers: dict[subprocess.Popen[bytes], float] = {}
        self._signals: list[int] = []
        self._stopping = False
        self._status = 0
        self._wait = 0.0
        self._start_at = 0.0
        self._lifeline, self._held = os.pipe()

    def run(self) -> int:
        """Supervise until a signal comes and all workers have ended. Returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        while True:
            self._pass_on()
            self._bury()
            if self._stopping and not self._workers:
                return self._status
            while not self._stopping and len(self._workers) < self._count and time.monotonic() >= self._start_at:
                self._start()
            time.sleep(INTERVAL)

    def _start(self) -> None:
        try:
            worker = self._spawned()
        except OSError as error:
            # No memory or no process to be had. With the supervisor all workers would end, who serve in spite of it.
            logger.warning("a worker cannot be started now (%s)", type(error).__name__)
            self._put_off(time.monotonic())
        else:
            self._workers[worker] = time.monotonic()

    def _put_off(self, now: float) -> None:
        """Have the next worker wait, twice as long as the last one had to."""
        self._wait = min(LONGEST_WAIT, self._wait * 2 or FIRST_WAIT)
        self._start_at = now + self._wait

    def _spawned(self) -> subprocess.Popen[bytes]:
        fds = ",".join(map(str, self._fds))
        return subprocess.Popen(  # noqa: S603 - nothing of it comes from outside
            [sys.executable, "-m", "headrace", "worker", "--sockets", fds, "--lifeline", str(self._lifeline)],
            env=self._environment,
            pass_fds=[*self._fds, self._lifeline],
            # A terminal's Ctrl-C comes to the supervisor alone; a worker that hears it twice would not drain.
            process_group=0,
        )

    def _bury(self) -> None:
        now = time.monotonic()
        for worker in [worker for worker in self._workers if worker.poll() is not None]:
            stable = now - self._workers.pop(worker) >= STABLE
            if stable:
                self._wait, self._start_at = 0.0, now
            else:
                self._put_off(now)
            if worker.returncode == BAD_CONFIG and not self._workers and not self._stopping:
                # Nobody serves, and nobody would. While one does, a broken configuration must not take it down.
                self._status = BAD_CONFIG
                self._stopping = True

    def _note(self, number: int, _: FrameType | None) -> None:
        """Only note it: between two looks, the list of workers may be about to change."""
        self._signals.append(number)

    def _pass_on(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            self._stopping = True
            for worker in self._workers:
                if worker.poll() is None:
                    worker.send_signal(number)
