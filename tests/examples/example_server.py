"""An example as its reader starts it: ``uvicorn examples.<name>:app``, on a free port, in a folder of its own."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.e2e.server import STOP, free_port

#: Seconds in which an example must listen: to import a provider's SDK takes several on a busy machine.
START = 45.0

ROOT = Path(__file__).parent.parent.parent


class ExampleServer:
    """One server. ``app`` is what uvicorn is told to serve. Use it as a context."""

    def __init__(self, name: str, folder: Path, *, app: str = "", **env: str) -> None:
        self.port = free_port()
        self._app = app or f"examples.{name}:app"
        self._folder = folder
        self._env = env
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start it, and wait until it listens."""
        keep = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
        env = {name: os.environ[name] for name in keep if name in os.environ} | self._env
        command = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), self._app, "--port", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + START
        while not self._listens():
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by its process id, and wait."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the example did not stop:\n{self.log}") from None

    # -- what it takes -----------------------------------------------------------------------------------------------

    def rss(self) -> int:
        """The bytes of memory that it has now."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """The most that it ever had."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        assert self._process is not None
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

    def busy(self) -> float:
        """The seconds for which it has had a processor."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # -- requests ----------------------------------------------------------------------------------------------------

    @contextmanager
    def reply(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """A reply, of which the body is still to be read. Leaving the context leaves the reply."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            raw = None if body is None else json.dumps(body).encode()
            sent = {"content-type": "application/json"} if raw else {}
            connection.request(method, path, raw, {**sent, **(headers or {})})
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """A whole reply: its status and body."""
        with self.reply("GET", path, headers=headers) as response:
            return response.status, response.read()


Event = dict[str, str]


def events(response: http.client.HTTPResponse) -> Iterator[Event]:
    """The fields of each event, when it comes; lines that hold nothing but a comment are left out."""
    fields: Event = {}
    for raw in response:
        line = raw.decode().rstrip("\n")
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields and not line:
            yield fields
            fields = {}
