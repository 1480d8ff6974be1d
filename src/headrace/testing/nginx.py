"""A real nginx in front of servers, with the site that ships (``deploy/nginx.conf``), ended by its process id."""

import re
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from headrace.testing.server import START, STOP, ServerFailed, free_port, installed

#: In a checkout, which is where the experiments with nginx are run.
SHIPPED = Path(__file__).parents[3] / "deploy" / "nginx.conf"

_AROUND = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {site}
}}
"""

_NODES = re.compile(r"(?:^ *server 127\.0\.0\.1:\d+.*;.*\n)+", re.MULTILINE)


class Nginx:
    """One nginx before the servers at these ports of loopback. Use it as a context; it listens when that is entered.

    ``plain`` is another site than the one that ships; in it ``{port}`` and ``{upstream}`` are filled in.
    """

    def __init__(self, folder: Path, ports: Sequence[int], *, plain: str = "") -> None:
        self.port = free_port()
        self.folder = folder
        self._config = folder / "nginx.conf"
        found = plain.format(port=self.port, upstream=ports[0]) if plain else site(self.port, ports)
        self._config.write_text(_AROUND.format(folder=folder, site=found))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def command(self) -> list[str]:
        """Starts it; with ``-t`` it looks at its configuration only."""
        return [installed("nginx"), "-p", str(self.folder), "-c", str(self._config), "-e", f"{self.folder}/start.log"]

    def start(self) -> None:
        """Start it, and wait until it listens. Raises ServerFailed."""
        self._process = subprocess.Popen(self.command)  # noqa: S603 - our own words
        deadline = time.monotonic() + START
        while not _listens(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed("nginx did not start")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it with all its workers, and wait."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP)


def site(listen: int, ports: Sequence[int]) -> str:
    """What ships, on another port and before other nodes. Raises ServerFailed where it is not there."""
    if not SHIPPED.is_file():
        raise ServerFailed("deploy/nginx.conf is not here: experiments with nginx are run in a checkout")
    shipped = SHIPPED.read_text(encoding="utf-8")
    parameters = _parameters(shipped)
    nodes = "".join(f"    server 127.0.0.1:{port}{parameters};\n" for port in ports)
    return _NODES.sub(nodes, shipped).replace("listen 8080", f"listen 127.0.0.1:{listen}")


def _parameters(shipped: str) -> str:
    """What the nodes that ship have behind their address."""
    found = re.search(r"^ *server 127\.0\.0\.1:\d+([^;]*);", shipped, re.MULTILINE)
    return found[1] if found else ""


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
