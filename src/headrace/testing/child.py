"""A process that an experiment starts, waits for and ends by its process id; none is left where the experiment breaks.

Unlike the rest of this package it starts processes and sleeps; it is for proofs that nothing less can give.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from typing import Self

#: Seconds in which a process must be ready, and in which it must have ended.
START = 15.0
STOP = 15.0

#: Seconds between two looks at whether it is ready.
_AGAIN = 0.02


class ServerFailed(Exception):
    """A server did not start, answer or stop in its time."""


class Child:
    """One process, at most one at a time. Use it as a context, or ``start`` and ``stop`` it as often as you like.

    Who derives from it says how it is launched and when it is ready. Methods raise ServerFailed where it does not do
    what it should.
    """

    #: What ends it at once, with all that it has started itself.
    END = signal.SIGKILL

    def __init__(self, name: str) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def launch(self) -> "subprocess.Popen[bytes]":
        """Start a process and wait for nothing; the caller ends it."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it does what it is there for."""
        raise NotImplementedError

    def said(self) -> str:
        """What it has to say of a failure."""
        return ""

    @property
    def pid(self) -> int:
        """Its process id."""
        if self.process is None:
            raise ServerFailed(f"{self.name} is not running")
        return self.process.pid

    def start(self) -> None:
        """Start it, and wait until it is ready; where that fails, it is ended."""
        self.process = process = self.launch()
        _STARTED.add(self)
        try:
            self._wait(process)
        except BaseException:
            self.stop(self.END)
            raise

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + START
        while True:
            if process.poll() is not None:
                raise ServerFailed(f"{self.name} ended with {process.returncode}:\n{self.said()}")
            if self.ready():
                return
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} was not ready in time:\n{self.said()}")
            time.sleep(_AGAIN)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by its process id and wait; returns its exit status, 0 where it was not running."""
        process, self.process = self.process, None
        _STARTED.discard(self)
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerFailed(f"{self.name} did not stop:\n{self.said()}") from None

    def kill(self) -> None:
        """``kill -9``: nothing is put in order."""
        self.stop(signal.SIGKILL)


#: Those that were started and not stopped since.
_STARTED: set[Child] = set()


def end_all() -> None:
    """End what is still running, for who goes before its experiment has come to its end."""
    while _STARTED:
        child = _STARTED.pop()
        child.stop(child.END)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def installed(name: str) -> str:
    """Where a program of this machine is. Raises ServerFailed where there is none of that name."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if found is None:
        raise ServerFailed(f"{name} is needed, and is not on this machine")
    return found
