"""The processes of a measurement: the mock upstream, and what stands between it and the load."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CHAT = "/v1/chat/completions"
#: Seconds that a process gets to listen, and to end.
PATIENCE = 20.0

NGINX_CONF = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 16384; }}
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
    """Something that listens: where, and which processes its CPU time is to be read from (none for the upstream)."""

    port: int
    pids: tuple[int, ...] = ()


def cores() -> tuple[int, int]:
    """One core for the relay, one for everything else. The same twice on a machine with one."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def compiled(name: str, folder: Path) -> Path:
    """The program of ``bench/<name>.c``, built with the machine's C compiler."""
    program = folder / name
    subprocess.run(["cc", "-O2", "-o", program, HERE / f"{name}.c"], check=True)
    return program


@contextlib.contextmanager
def mock_upstream(program: Path, *, rate: int, chunks: int) -> Iterator[Relay]:
    port = free_port()
    command = [program, "--port", port, "--rate", rate, "--chunks", chunks]
    with _running(command, core={cores()[1]}, port=port, log=program.with_suffix(".log")):
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
    with _running(command, core={cores()[0]}, port=port, log=folder / "nginx.log") as pid:
        yield Relay(port, family(pid))


def headrace(upstream: Relay, folder: Path) -> contextlib.AbstractContextManager[Relay]:
    """``headrace serve`` with one worker, its SQLite store, durability ``process``."""
    return headrace_workers(upstream, folder, workers=1, on={cores()[0]})


@contextlib.contextmanager
def headrace_workers(upstream: Relay, folder: Path, *, workers: int, on: set[int]) -> Iterator[Relay]:
    """The same with so many workers, on these cores."""
    port = free_port()
    conf = folder / "headrace.toml"
    conf.write_text(HEADRACE_TOML.format(folder=folder, port=port, upstream=upstream.port))
    command = [sys.executable, "-m", "headrace", "serve", "--config", conf, "--workers", workers]
    with _running(command, core=on, port=port, log=folder / "headrace.log", cwd=folder) as pid:
        _until_ready(pid, workers)
        yield Relay(port, family(pid))


def _until_ready(pid: int, workers: int) -> None:
    """Several workers listen on a socket that is there before they are."""
    end = time.monotonic() + PATIENCE
    while workers > 1 and len(family(pid)) <= workers and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(2.0 if workers > 1 else 0.0)


def family(pid: int) -> tuple[int, ...]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        for listing in Path(f"/proc/{parent}/task").glob("*/children"):
            found.extend(int(child) for child in listing.read_text().split())
    return tuple(found)


@contextlib.contextmanager
def _running(
    command: Sequence[object], *, core: set[int], port: int, log: Path, cwd: Path | None = None
) -> Iterator[int]:
    """A process bound to its cores from its first moment on, listening; ended on the way out."""
    mine = os.sched_getaffinity(0)
    limits = _file_limit()
    with log.open("wb") as output:
        os.sched_setaffinity(0, core)  # inherited, by its threads and children too
        try:
            process = subprocess.Popen(
                [*limits, *map(str, command)], stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=cwd
            )
        finally:
            os.sched_setaffinity(0, mine)
    try:
        _until_listening(process, port, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _file_limit() -> list[str]:
    """A stream is two file descriptors in a relay: the usual 1,024 are too few for a thousand."""
    return ["prlimit", "--nofile=20000:20000"] if os.geteuid() == 0 and shutil.which("prlimit") else []


def _until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return
        time.sleep(0.05)
    sys.exit(f"{process.args!r} does not listen on {port}:\n{log.read_text(errors='replace')[-2000:]}")
