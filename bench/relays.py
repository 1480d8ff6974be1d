"""What stands between the mock upstream and the load: nothing, nginx, or Headrace."""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from processes import PATIENCE, cores, family, free_port, running

NGINX_CONF = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 32768; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    tcp_nodelay on;
    upstream mock {{ server 127.0.0.1:{upstream}; keepalive 2048; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 1h;
        }}
    }}
}}
"""

HEADRACE_TOML = """\
[server]
host = "127.0.0.1"
port = {port}

[store]
data = "{folder}/data"
durability = "process"

[deadlines]
idle = "1h"

[upstreams.bench]
kind = "openai"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key = "bench"
models = ["bench"]
apis = ["chat"]

[upstreams.bench-responses]
kind = "openai"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key = "bench"
models = ["bench-responses"]
apis = ["responses"]

[upstreams.bench-messages]
kind = "anthropic"
base_url = "http://127.0.0.1:{upstream}"
api_key = "bench"
models = ["bench-messages"]
"""


@dataclass(frozen=True)
class Relay:
    """Something that listens: where, and which processes its figures are to be read from (none for the upstream).

    ``headers`` are the lines that it wants in each request.
    """

    port: int
    pids: tuple[int, ...] = ()
    headers: tuple[str, ...] = ("Authorization: Bearer bench",)


#: Starts a relay before an upstream, in a folder.
Start = Callable[[Relay, Path], AbstractContextManager[Relay]]


@contextlib.contextmanager
def mock_upstream(program: Path, *, rate: int, chunks: int) -> Iterator[Relay]:
    """The upstream, on the core of the load. At rate 0 its streams fall silent after their first chunk."""
    port = free_port()
    command = [program, "--port", port, "--rate", rate, "--chunks", chunks]
    with running(command, core={cores()[1]}, port=port, log=program.with_suffix(".log")):
        yield Relay(port)


@contextlib.contextmanager
def direct(upstream: Relay, folder: Path) -> Iterator[Relay]:  # noqa: ARG001 (a relay like the others)
    """Nothing between: what the instrument itself costs."""
    yield upstream


@contextlib.contextmanager
def nginx(upstream: Relay, folder: Path) -> Iterator[Relay]:
    """An nginx with ``proxy_buffering off`` and kept-alive upstream connections."""
    port = free_port()
    conf = folder / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""  # its worker reads the folder that we made
    conf.write_text(user + NGINX_CONF.format(folder=folder, port=port, upstream=upstream.port))
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin") or "nginx"
    command = [program, "-p", folder, "-c", conf, "-e", folder / "error.log"]
    with running(command, core={cores()[0]}, port=port, log=folder / "nginx.log") as pid:
        yield Relay(port, family(pid))


def headrace(upstream: Relay, folder: Path) -> AbstractContextManager[Relay]:
    """``headrace serve`` with one worker, its SQLite store, durability ``process``."""
    return headrace_workers(upstream, folder, workers=1, on={cores()[0]})


@contextlib.contextmanager
def headrace_workers(upstream: Relay, folder: Path, *, workers: int, on: set[int]) -> Iterator[Relay]:
    """The same with so many workers, on these cores."""
    port = free_port()
    conf = folder / "headrace.toml"
    conf.write_text(HEADRACE_TOML.format(folder=folder, port=port, upstream=upstream.port))
    command = [sys.executable, "-m", "headrace", "serve", "--config", conf, "--workers", workers]
    with running(command, core=on, port=port, log=folder / "headrace.log", cwd=folder) as pid:
        _until_ready(pid, workers)
        yield Relay(port, family(pid))


def _until_ready(pid: int, workers: int) -> None:
    """Several workers listen on a socket that is there before they are."""
    end = time.monotonic() + PATIENCE
    while workers > 1 and len(family(pid)) <= workers and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(2.0 if workers > 1 else 0.0)


RELAYS: dict[str, Start] = {"direct": direct, "nginx": nginx, "headrace": headrace}
