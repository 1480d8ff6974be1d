"""A real server process: started on a free port with a folder of its own."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.testing.child import Child, ServerFailed, free_port

#: Starts the command line of this installation.
COMMAND = (sys.executable, "-m", "headrace")

#: What serves the app: our own command, as it is or with HTTP/2 (then it is Granian that listens).
KINDS = ("own", "granian")
#: As another's app.
UVICORN = "uvicorn"


#: What of the environment a server gets: nothing of a developer's own settings and keys.
_PASSED = ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV")


class HeadraceServer(Child):
    """One server. ``toml`` is its configuration; ``kind`` says what serves it. It keeps the port that it once had.

    ``wrapper`` is a command that executes the one that follows it; ``command`` starts Headrace's command line. With
    several workers its process is their supervisor.
    """

    def __init__(
        self,
        folder: Path,
        toml: str = "",
        *,
        kind: str = "own",
        workers: int = 1,
        env: Mapping[str, str] | None = None,
        port: int = 0,
        wrapper: Sequence[str] = (),
        command: Sequence[str] = COMMAND,
    ) -> None:
        super().__init__("the server")
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

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> bool:
        """Whether it says so."""
        try:
            return self.request("GET", "/ready")[0] == 200
        except OSError:
            return False

    def said(self) -> str:
        """Its log."""
        return self.log.read_text()

    def launch(self) -> "subprocess.Popen[bytes]":
        """Start a process and wait for nothing; the caller ends it."""
        self.port = self.port or free_port()
        env = {name: os.environ[name] for name in _PASSED if name in os.environ}
        env |= {"HEADRACE_DATA": str(self.folder / "data"), "HEADRACE_CONFIG": str(self._config), **self._env}
        if self.kind == "granian":
            env["HEADRACE_SERVER__HTTP2"] = "true"
        if self.kind != UVICORN:
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
