"""Measures Headrace beside nginx on one core and between dialects; writes docs/benchmark.md and the README's section.

``make bench`` runs it. The mock upstream and the load (C, compiled on the spot) share one core, the relay has another
to itself. In each round every relay meets every scenario; figures are medians over the rounds, with their range.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import relays
import report

import library

ROOT = Path(__file__).parent.parent
#: Starts a relay before an upstream, in a folder.
Start = Callable[[relays.Relay, Path], AbstractContextManager[relays.Relay]]
RELAYS: dict[str, Start] = {
    "direct": relays.direct,
    "nginx": relays.nginx,
    "headrace": relays.headrace,
}
ASKED = "Say something long."
#: Streams of 50 chunks a second for each worker, where several are measured.
PER_WORKER = 60


@dataclass(frozen=True)
class Client:
    """What is asked in a dialect, where, and what its end looks like. ``repeats``: the end holds the whole text."""

    path: str
    body: Mapping[str, object]
    end: str
    repeats: bool = False


MESSAGES = [{"role": "user", "content": ASKED}]
CLIENTS = {
    "chat": Client(relays.CHAT, {"stream_options": {"include_usage": True}, "messages": MESSAGES}, "[DONE]"),
    "responses": Client("/v1/responses", {"input": ASKED}, "response.completed", repeats=True),
    "messages": Client("/v1/messages", {"max_tokens": 4096, "messages": MESSAGES}, "message_stop"),
    "ui": Client(
        "/api/chat",
        {"id": "#####", "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": ASKED}]}]},
        "[DONE]",
    ),
}
#: The model of the upstream that speaks a dialect.
MODELS = {"chat": "bench", "responses": "bench-responses", "messages": "bench-messages"}


@dataclass(frozen=True)
class Steady:
    """Streams that run side by side: CPU and latency are read while all of them flow.

    ``client`` and ``upstream`` are the dialects on the two sides.
    """

    streams: int
    rate: int
    seconds: float
    client: str = "chat"
    upstream: str = "chat"

    @property
    def name(self) -> str:
        plain = self.client == self.upstream == "chat"
        return f"{self.streams} x {self.rate}/s" if plain else f"{self.client} over {self.upstream}"

    @property
    def chunks(self) -> int:
        return int(self.rate * self.seconds)

    def options(self) -> list[str]:
        ramp = 1.0
        window = {"--ramp": ramp, "--from": ramp + 1, "--to": self.seconds - 0.5, "--limit": self.seconds * 2 + 10}
        return [text for item in window.items() for text in map(str, item)]


@dataclass(frozen=True)
class FirstByte:
    """Short streams again and again over kept-alive connections: the time from question to first token."""

    streams: int
    repeat: int
    rate: int = 50
    chunks: int = 10
    client: str = "chat"
    upstream: str = "chat"

    @property
    def name(self) -> str:
        return f"first byte at {self.streams}"

    def options(self) -> list[str]:
        return ["--repeat", str(self.repeat), "--ramp", "0.5", "--limit", str(self.repeat * 0.5 + 20)]


Scenario = Steady | FirstByte


def scenarios(*, quick: bool) -> list[Scenario]:
    seconds = 5.0 if quick else 10.0
    repeat = 10 if quick else 30
    return [
        Steady(200, 50, seconds),
        Steady(500, 50, seconds),
        Steady(1000, 50, seconds),
        FirstByte(1, repeat),
        FirstByte(50, repeat),
    ]


def pairs(*, quick: bool) -> list[Scenario]:
    """Every client's dialect over every upstream's, at 200 x 50/s."""
    return [
        Steady(200, 50, 5.0 if quick else 8.0, client, upstream)
        for client in CLIENTS
        for upstream in MODELS
        if (client, upstream) != ("chat", "chat")
    ]


def asked(scenario: Scenario) -> list[str]:
    """The load's options that say what is asked, and how its end is known."""
    client = CLIENTS[scenario.client]
    body = {"model": MODELS[scenario.upstream], "stream": True, **client.body}
    options = ["--path", client.path, "--body", json.dumps(body), "--end", client.end]
    return [*options, "--repeats", "1"] if client.repeats else options


def measure(scenario: Scenario, start: Start, programs: dict[str, Path]) -> report.Sample:
    """One run: everything is started for it and ended after it."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        mock = relays.mock_upstream(programs["mock_upstream"], rate=scenario.rate, chunks=scenario.chunks)
        with mock as upstream, start(upstream, folder) as target:
            command = [
                *("taskset", "-c", str(relays.cores()[1]), str(programs["load"])),
                *("--port", str(target.port), *asked(scenario)),
                *("--streams", str(scenario.streams), "--chunks", str(scenario.chunks)),
                *("--core", str(relays.cores()[0])),
                *(text for pid in target.pids for text in ("--pid", str(pid))),
                *scenario.options(),
            ]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
    if done.stderr:
        print(done.stderr.strip(), file=sys.stderr)
    return report.Sample.of(json.loads(done.stdout))


def measure_quietly(scenario: Scenario, start: Start, programs: dict[str, Path]) -> report.Sample:
    """The least disturbed of at most three runs; the first, where nothing else ran on the relay's core."""
    samples = []
    while len(samples) < report.TRIES:
        samples.append(measure(scenario, start, programs))
        if samples[-1].others <= report.NOISE:
            break
    return min(samples, key=lambda sample: sample.others)


def measure_workers(rounds: int, *, write: bool) -> None:
    """One worker and two at the same load for each, on all cores but that of the load; where there are two, on both."""
    everywhere = os.sched_getaffinity(0)
    on = everywhere - {relays.cores()[1]} if len(everywhere) > 2 else everywhere
    found: dict[int, list[report.Sample]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        programs = {name: relays.compiled(name, Path(folder)) for name in ("mock_upstream", "load")}
        for _ in range(rounds):
            for workers, samples in found.items():
                start = partial(relays.headrace_workers, workers=workers, on=on)
                samples.append(measure(Steady(PER_WORKER * workers, 50, 10.0), start, programs))
                print(f"{workers} workers: {samples[-1].line()}", file=sys.stderr)
    told = report.workers(found, PER_WORKER, len(everywhere))
    print(told)
    if write:
        report.replace(ROOT / "docs" / "operations.md", "workers", told)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round; prints, writes nothing")
    parser.add_argument("--rounds", type=int, default=0, help="how often each is measured (5; with --quick 1)")
    parser.add_argument("--relays", nargs="+", choices=RELAYS, default=list(RELAYS), help="measure these only")
    parser.add_argument("--streams", nargs="+", type=int, help="only the scenarios with these numbers of streams")
    parser.add_argument("--pairs", action="store_true", help="only the pairs of dialects, beside the plain one")
    parser.add_argument("--library", action="store_true", help="headrace.fastapi beside its peers, and nothing else")
    parser.add_argument("--workers", action="store_true", help="two workers beside one, and nothing else")
    parser.add_argument("--no-write", action="store_true", help="print, write nothing")
    return parser.parse_args()


def chosen_scenarios(options: argparse.Namespace) -> list[Scenario]:
    plain = [s for s in scenarios(quick=options.quick) if not options.streams or s.streams in options.streams]
    between = pairs(quick=options.quick)
    if options.pairs:
        return [plain[0], *between]
    return plain if options.streams else [*plain, *between]


def main() -> None:
    options = arguments()
    if options.library:
        library.main(options.rounds or (1 if options.quick else 5), write=not (options.quick or options.no_write))
        return
    if options.workers:
        measure_workers(options.rounds or (1 if options.quick else 3), write=not (options.quick or options.no_write))
        return
    if len(os.sched_getaffinity(0)) < 2:
        print("There is one core only: relay and load share it, and the figures mean little.", file=sys.stderr)
    chosen = chosen_scenarios(options)
    results = report.Results(rate_of={s.name: s.streams * s.rate for s in chosen if isinstance(s, Steady)})
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        programs = {name: relays.compiled(name, Path(folder)) for name in ("mock_upstream", "load")}
        for number in range(options.rounds or (1 if options.quick else 5)):
            for scenario in chosen:
                for relay in options.relays if scenario.client == scenario.upstream == "chat" else ["headrace"]:
                    sample = measure_quietly(scenario, RELAYS[relay], programs)
                    results.add(scenario.name, relay, sample)
                    print(f"round {number + 1}, {scenario.name}, {relay}: {sample.line()}", file=sys.stderr)
    page = report.page(results)
    print(page)
    if not (options.quick or options.no_write) and set(options.relays) == set(RELAYS):
        report.write(ROOT, page, report.headline(results))


if __name__ == "__main__":
    main()
