"""A real server process: started on a free port with a folder of its own, ended by its process id.

Unlike the rest of this package it starts processes and sleeps; it is for proofs that nothing less can give.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

#: Seconds in which a server must answer, and in which it must have ended.
START = 15.0
STOP = 15.0

#: Starts the command line of this installation.
COMMAND = (sys.executable, "-m", "headrace")

#: Which server runs the app: our own command (Granian), or uvicorn.
KINDS = ("granian", "uvicorn")


#: What of the environment a server gets: nothing of a developer's own settings and keys.
_PASSED = ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV")


class ServerFailed(Exception):
    """A server did not start, answer or stop in its time."""


class HeadraceServer:
    """One server. ``toml`` is its configuration; ``kind`` says what serves it. Use it as a context.

    ``wrapper`` is a command that executes the one that follows it; ``command`` starts Headrace's command line. Methods
    raise ServerFailed where the server does not do what it should.
    """

    def __init__(
        self,
        folder: Path,
        toml: str = "",
        *,
        kind: str = "granian",
        workers: int = 1,
        env: Mapping[str, str] | None = None,
        port: int = 0,
        wrapper: Sequence[str] = (),
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.command = command
        self.wrapper = wrapper
        self.folder = folder
        self.kind = kind
        self.workers = workers
        self.port = port
        self._env = dict(env or {})
        self._config = folder / "headrace.toml"
        self._config.write_text(toml)
        self.log = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

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
    def pid(self) -> int:
        """Its process id (the supervisor's, where it has several workers)."""
        if self.process is None:
            raise ServerFailed("it is not running")
        return self.process.pid

    def start(self) -> None:
        """Start it, on the port that it had before if it had one, and wait until it is ready."""
        self.process = self.launch()
        deadline = time.monotonic() + START
        while True:
            if self.process.poll() is not None:
                raise ServerFailed(f"it ended with {self.process.returncode}:\n{self.log.read_text()}")
            try:
                if self.request("GET", "/ready")[0] == 200:
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise ServerFailed(f"it was not ready in time:\n{self.log.read_text()}")
            time.sleep(0.05)

    def launch(self) -> "subprocess.Popen[bytes]":
        """Start a process and wait for nothing; the caller ends it."""
        self.port = self.port or free_port()
        env = {name: os.environ[name] for name in _PASSED if name in os.environ}
        env |= {"HEADRACE_DATA": str(self.folder / "data"), "HEADRACE_CONFIG": str(self._config), **self._env}
        if self.kind == "granian":
            command = [*self.command, "serve", "--port", str(self.port), "--workers", str(self.workers)]
        else:
            command = [
                sys.executable,
                "-m",
                "uvicorn",
                "headrace.app:app",
                "--port",
                str(self.port),
                "--log-level",
                "warning",
            ]
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - nothing of it comes from outside
                [*self.wrapper, *command],
                cwd=self.folder,
                env=env,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by its process id and wait; returns its exit status."""
        process, self.process = self.process, None
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerFailed(f"it did not stop:\n{self.log.read_text()}") from None

    def kill(self) -> None:
        """``kill -9``: nothing is put in order."""
        self.stop(signal.SIGKILL)

    def request(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None, timeout: float = 10
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, headers (lower case) and the whole body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            connection.request(method, path, raw, dict(headers or {}))
            reply = connection.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, body: object = None, **options: Any) -> Any:  # noqa: ANN401 - whatever it says
        """The same, for replies in JSON that must be successes."""
        status, _, reply = self.request(method, path, body, **options)
        if not 200 <= status < 300:
            raise ServerFailed(f"{method} {path}: {status} {reply[:500]!r}")
        return json.loads(reply)


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
