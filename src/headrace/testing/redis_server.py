"""A real Redis of an experiment's own: on a free port and in a folder of its own, ended by its process id.

As in :mod:`headrace.testing.server`, nothing here is for fast tests.
"""

import signal
import socket
import subprocess
import time
from pathlib import Path

from headrace.testing.server import START, STOP, ServerFailed, free_port, installed


class RedisServer:
    """One server. ``options`` are arguments of ``redis-server``; what it keeps on its disk stays over a restart."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As ``store.data`` takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it has loaded what it kept. Raises ServerFailed."""
        own = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        command = [installed("redis-server"), *own, *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own words
        deadline = time.monotonic() + START
        # One that wants a password says so at once too.
        while not self._answer().startswith(("+PONG", "-NOAUTH")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed("redis-server did not start")
            time.sleep(0.02)

    def tell(self, command: str) -> str:
        """Run one command whose reply is a line. Raises OSError, and ServerFailed where it is refused."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=STOP) as connection:
            connection.sendall(command.encode() + b"\r\n")
            reply = connection.makefile("rb").readline().decode().rstrip()
        if reply.startswith("-"):
            raise ServerFailed(f"redis refused {command!r}: {reply}")
        return reply

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, and wait; ``SIGKILL`` as the machine's end does."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(STOP)

    def pause(self) -> None:
        """It holds its connections and answers nothing, until :meth:`resume`."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        self._send(signal.SIGCONT)

    def _answer(self) -> str:
        try:
            return self.tell("PING")
        except ServerFailed as refused:
            return str(refused).rpartition(": ")[2]
        except OSError:
            return ""

    def _send(self, number: int) -> None:
        if self._process is None:
            raise ServerFailed("redis-server is not running")
        self._process.send_signal(number)
