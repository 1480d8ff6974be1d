"""What stands between the mock upstream and the load: nothing, nginx, a bare relay in Python, or Headrace."""

import contextlib
import importlib.util
import os
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from processes import HERE, PATIENCE, cores, family, free_port, running

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
data = "{data}"
durability = "{durability}"
local = "{folder}/data"

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


@contextlib.contextmanager
def bare(upstream: Relay, folder: Path, *options: str) -> Iterator[Relay]:
    """The least that a relay in Python can be (``bench/bare.py``)."""
    port = free_port()
    command = [sys.executable, HERE / "bare.py", port, upstream.port, *options]
    with running(command, core={cores()[0]}, port=port, log=folder / "bare.log", cwd=folder) as pid:
        yield Relay(port, family(pid))


@contextlib.contextmanager
def bare_events(upstream: Relay, folder: Path) -> Iterator[Relay]:
    """The same, where each event is looked at."""
    with bare(upstream, folder, "--events") as target:
        yield target


@contextlib.contextmanager
def headrace(
    upstream: Relay,
    folder: Path,
    *,
    workers: int = 1,
    on: set[int] | None = None,
    data: str = "",
    durability: str = "process",
) -> Iterator[Relay]:
    """``headrace serve``: one worker on the relay's core, SQLite, durability ``process``, unless told otherwise."""
    port = free_port()
    conf = folder / "headrace.toml"
    place = data or f"{folder}/data"
    conf.write_text(
        HEADRACE_TOML.format(folder=folder, port=port, upstream=upstream.port, data=place, durability=durability)
    )
    command = [sys.executable, "-m", "headrace", "serve", "--config", conf, "--workers", workers]
    with running(command, core=on or {cores()[0]}, port=port, log=folder / "headrace.log", cwd=folder) as pid:
        _until_ready(pid, port, workers)
        yield Relay(port, family(pid))


@contextlib.contextmanager
def headrace_on_redis(upstream: Relay, folder: Path) -> Iterator[Relay]:
    """The same on a Redis server of its own, which has the other core and writes a log of its own every second."""
    port = free_port()
    named = {"--port": port, "--bind": "127.0.0.1", "--dir": folder, "--save": "", "--appendonly": "yes"}
    command = ["redis-server", *(text for pair in named.items() for text in pair)]
    with (
        running(command, core={cores()[1]}, port=port, log=folder / "redis.log"),
        headrace(upstream, folder, data=f"redis://127.0.0.1:{port}/0") as target,
    ):
        yield target


def _until_ready(pid: int, port: int, workers: int) -> None:
    """Wait until a worker says so; several listen on a socket that is there before they are."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5):
            break
        time.sleep(0.05)
    while workers > 1 and len(family(pid)) <= workers and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(2.0 if workers > 1 else 0.0)


def left_out() -> dict[str, str]:
    """Which of these cannot be measured here, and why."""
    if not shutil.which("redis-server"):
        return {"headrace-redis": "there is no redis-server here"}
    if not importlib.util.find_spec("redis"):
        return {"headrace-redis": "redis-py is not installed here (scripts/install dev)"}
    return {}


RELAYS: dict[str, Start] = {
    "direct": direct,
    "nginx": nginx,
    "bare": bare,
    "bare-events": bare_events,
    "headrace": headrace,
    "headrace-memory": partial(headrace, data="memory:"),
    "headrace-power": partial(headrace, durability="power"),
    "headrace-redis": headrace_on_redis,
}
