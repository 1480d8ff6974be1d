"""Measures what an event costs through headrace.fastapi, beside Starlette, fastapi.sse and sse-starlette.

``make bench ARGS=--library`` runs it and writes the table of docs/library.md. A uvicorn process serves library_app.py;
what is told is the CPU time of that process, divided by the events. In each round every way meets every scenario;
figures are medians over the rounds.
"""

import asyncio
import importlib.util
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import report

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "library.md"

WAYS = {
    "StreamingResponse": "Starlette's `StreamingResponse` over `json.dumps`",
    "sse-without-store": "`sse(…)`, without a store",
    "sse-memory": '`streams.sse(…)`, `"memory:"`',
    "sse-sqlite": '`streams.sse(…)`, `"sqlite:///…"`',
    "fastapi.sse": "`fastapi.sse`",
    "sse-starlette": "`sse-starlette`",
}
BASE = "StreamingResponse"
#: Streams at once, events of each, and events a second (0: as fast as they are taken).
SCENARIOS = {"one stream, as fast as it goes": (1, 50_000, 0), "200 streams, 50 events/s each": (200, 250, 50)}


@contextmanager
def served() -> Iterator[int]:
    """The app's port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "uvicorn", "library_app:app", "--port", str(port), "--log-level", "warning"]
        process = subprocess.Popen(command, cwd=HERE, env={**os.environ, "BENCH_FOLDER": folder})
        try:
            _wait(port)
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _wait(port: int) -> None:
    for _ in range(100):
        try:
            cpu(port)
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the app does not start")


def cpu(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/cpu") as reply:
        return float(reply.read())


async def read(port: int, way: str, count: int, rate: int) -> int:
    """How many events one client got."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /{way}?count={count}&rate={rate} HTTP/1.1\r\nhost: bench\r\n\r\n".encode())
    seen, tail = 0, b""
    while data := await reader.read(1 << 18):
        seen += (tail + data).count(b'"done"')
        tail = data[-5:]
        if data.endswith(b"0\r\n\r\n"):
            break
    writer.close()
    return seen


async def _all(port: int, way: str, scenario: tuple[int, int, int]) -> None:
    streams, count, rate = scenario
    seen = await asyncio.gather(*(read(port, way, count, rate) for _ in range(streams)))
    if seen != [count] * streams:
        raise SystemExit(f"{way}: events are missing")


def measure(port: int, way: str, scenario: tuple[int, int, int]) -> float:
    """CPU per event, in microseconds."""
    streams, count, _ = scenario
    before = cpu(port)
    asyncio.run(_all(port, way, scenario))
    return (cpu(port) - before) / (streams * count) * 1e6


def table(figures: dict[str, dict[str, list[float]]], names: list[str]) -> str:
    """The figures as a table of Markdown."""
    lines = [f"| CPU per event | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    base = {name: statistics.median(figures[BASE][name]) for name in names}
    for way, label in WAYS.items():
        cells = []
        for name in names:
            if way not in figures:
                cells.append("not installed here")
                continue
            median = statistics.median(figures[way][name])
            cells.append(f"{median:.1f} µs (× {median / base[name]:.2f})")
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(rounds: int, *, write: bool) -> None:
    ways = [way for way in WAYS if way != "sse-starlette" or importlib.util.find_spec("sse_starlette")]
    figures: dict[str, dict[str, list[float]]] = {way: {name: [] for name in SCENARIOS} for way in ways}
    with served() as port:
        for _ in range(rounds):
            for name, scenario in SCENARIOS.items():
                for way in ways:
                    figures[way][name].append(measure(port, way, scenario))
    told = table(figures, [*SCENARIOS])
    print(told)
    if write:
        report.replace(PAGE, "library", told)
