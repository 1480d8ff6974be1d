"""A real nginx in front of servers, with the site that ships (``deploy/nginx.conf``)."""

import re
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from headrace.testing.child import Child, ServerFailed, free_port, installed

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


class Nginx(Child):
    """One nginx before the servers at these ports of loopback.

    ``plain`` is another site than the one that ships; in it ``{port}`` and ``{upstream}`` are filled in.
    """

    END = signal.SIGTERM  # its workers would outlive it

    def __init__(self, folder: Path, ports: Sequence[int], *, plain: str = "") -> None:
        super().__init__("nginx")
        self.port = free_port()
        self.folder = folder
        self._config = folder / "nginx.conf"
        found = plain.format(port=self.port, upstream=ports[0]) if plain else site(self.port, ports)
        self._config.write_text(_AROUND.format(folder=folder, site=found))

    @property
    def command(self) -> list[str]:
        """Starts it; with ``-t`` it looks at its configuration only."""
        return [installed("nginx"), "-p", str(self.folder), "-c", str(self._config), "-e", f"{self.folder}/start.log"]

    def launch(self) -> "subprocess.Popen[bytes]":
        """Start it; the caller ends it."""
        return subprocess.Popen(self.command)  # noqa: S603 - our own words

    def ready(self) -> bool:
        """Whether it listens."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


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
