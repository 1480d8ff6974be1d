"""A real Redis of an experiment's own: on a free port and in a folder of its own."""

import os
import signal
import socket
import subprocess
from pathlib import Path

from headrace.testing.child import STOP, Child, ServerFailed, free_port, installed


class RedisServer(Child):
    """One server. ``options`` are arguments of ``redis-server``; what it keeps on its disk stays over a restart."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__("redis-server")
        self.folder = folder
        self.port = free_port()
        self._options = options

    @property
    def url(self) -> str:
        """As ``store.data`` takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def launch(self) -> "subprocess.Popen[bytes]":
        """Start it; the caller ends it."""
        own = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        command = [installed("redis-server"), *own, *self._options]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own words

    def ready(self) -> bool:
        """Whether it has loaded what it kept. One that wants a password says so at once too."""
        return self._answer().startswith(("+PONG", "-NOAUTH"))

    def tell(self, command: str) -> str:
        """Run one command whose reply is a line. Raises OSError, and ServerFailed where it is refused."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=STOP) as connection:
            connection.sendall(command.encode() + b"\r\n")
            reply = connection.makefile("rb").readline().decode().rstrip()
        if reply.startswith("-"):
            raise ServerFailed(f"redis refused {command!r}: {reply}")
        return reply

    def pause(self) -> None:
        """It holds its connections and answers nothing, until :meth:`resume`."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _answer(self) -> str:
        try:
            return self.tell("PING")
        except ServerFailed as refused:
            return str(refused).rpartition(": ")[2]
        except OSError:
            return ""
