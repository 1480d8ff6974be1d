"""What was measured, as values and as Markdown."""

import datetime as dt
import os
import platform
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

MARKERS = "<!-- bench:start -->", "<!-- bench:end -->"

#: The share of its core that something else may use in a run; over it the run is repeated, and the quietest counts.
NOISE = 0.1
TRIES = 3

ABOUT = """\
# Benchmark

`make bench` writes this page.

One core relays; another holds the upstream and the readers (C, one thread each, `bench/*.c`).
The upstream sends chat-completion chunks of about 230 bytes.
Each stream has a phase of its own, so chunks come one by one.

- Headrace runs with one worker and its SQLite store (`durability = "process"`): commit, then send.
- nginx runs with one worker, `proxy_buffering off` and kept-alive connections to the upstream.
- *direct* is no relay at all: what the instrument itself adds. On two cores it nears its own end at 1,000 × 50.
- *CPU per chunk* is the CPU time of all the relay's processes in the steady window over the chunks that came in it.
- *p50* and *p99* are latencies, from the upstream's send to the reader's receive.
- *over*: what the client speaks over what the upstream speaks, at 200 × 50; *own* is verbatim.
- *Not whole* counts the streams, over all rounds, that lacked a chunk, their order, `[DONE]` or a clean end.
"""


@dataclass(frozen=True)
class Sample:
    """One run, as the load saw it. Times are milliseconds, CPU is microseconds per chunk carried in the window."""

    cpu: float
    core: float  # share of the relay's core that the relay used
    others: float  # share of it that something else used: noise
    carried: float  # chunks per second
    p50: float
    p99: float
    first50: float
    first99: float
    completed: int
    lost: int  # streams that failed, did not finish, or were out of order

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Sample":
        chunks, window = max(found["chunks"], 1), max(found["window_s"], 1e-9)
        latency = found["latency_ms"] or {"p50": float("nan"), "p99": float("nan")}
        first = found["first_chunk_ms"] or latency
        return cls(
            cpu=found["cpu_s"] / chunks * 1e6,
            core=found["cpu_s"] / window,
            others=max(0.0, (found["core_s"] - found["cpu_s"]) / window),
            carried=found["chunks"] / window,
            p50=latency["p50"],
            p99=latency["p99"],
            first50=first["p50"],
            first99=first["p99"],
            completed=found["completed"],
            lost=found["failed"] + found["unfinished"] + found["disordered"],
        )

    def line(self) -> str:
        return (
            f"{self.cpu:.1f} us CPU/chunk, core {self.core:.0%} (+{self.others:.0%} others), "
            f"{self.carried:,.0f} chunks/s, latency {self.p50:.2f}/{self.p99:.2f} ms, "
            f"first {self.first50:.2f}/{self.first99:.2f} ms, "
            f"{self.completed} streams whole, {self.lost} not"
        )


@dataclass
class Results:
    """Samples by scenario and relay. ``rate_of`` holds the chunks per second that each steady scenario offers."""

    rate_of: Mapping[str, int]
    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)

    def add(self, scenario: str, relay: str, sample: Sample) -> None:
        self.samples.setdefault((scenario, relay), []).append(sample)

    def scenarios(self) -> list[str]:
        return list(dict.fromkeys(scenario for scenario, _ in self.samples))

    def relays(self) -> list[str]:
        return list(dict.fromkeys(relay for _, relay in self.samples))

    def median(self, scenario: str, relay: str, of: Callable[[Sample], float]) -> float:
        found = self.samples.get((scenario, relay))
        return statistics.median(map(of, found)) if found else float("nan")

    def figure(self, scenario: str, relay: str, of: Callable[[Sample], float], digits: int = 2) -> str:
        """The median with its range, or the median alone where there was one round."""
        found = [of(sample) for sample in self.samples.get((scenario, relay), [])]
        if not found:
            return "–"
        text = f"{statistics.median(found):,.{digits}f}"
        return text if len(found) == 1 else f"{text} ({min(found):,.{digits}f}–{max(found):,.{digits}f})"


def _steady_rows(results: Results) -> list[str]:
    rows = [
        "| streams × chunks/s | relay | CPU per chunk, µs | core used | carried | p50, ms | p99, ms | not whole |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for scenario in (s for s in results.scenarios() if s in results.rate_of and not _is_pair(s)):
        for relay in results.relays():
            share = results.median(scenario, relay, lambda s: s.carried) / results.rate_of[scenario]
            lost = sum(sample.lost for sample in results.samples.get((scenario, relay), []))
            cpu = core = "–"
            if relay != "direct":
                cpu = results.figure(scenario, relay, lambda s: s.cpu, 1)
                core = f"{results.median(scenario, relay, lambda s: s.core):.0%}"
            latency = [results.figure(scenario, relay, of) for of in (lambda s: s.p50, lambda s: s.p99)]
            rows.append(
                f"| {scenario.replace(' x ', ' × ')} | {relay} | {cpu} | {core} | {min(share, 1):.1%} |"
                f" {latency[0]} | {latency[1]} | {lost} |"
            )
    return rows if len(rows) > 2 else []


def _is_pair(scenario: str) -> bool:
    return " over " in scenario


def _pair_rows(results: Results) -> list[str]:
    """A row for each client's dialect, a column for each upstream's; CPU per chunk, and its ratio to verbatim."""
    found = {s: results.median(s, "headrace", lambda sample: sample.cpu) for s in results.scenarios() if _is_pair(s)}
    if not found:
        return []
    found["chat over chat"] = results.median("200 x 50/s", "headrace", lambda sample: sample.cpu)
    clients = list(dict.fromkeys(name.partition(" ")[0] for name in ["chat over", *found]))
    upstreams = [client for client in clients if f"{client} over {client}" in found]
    rows = [
        "| CPU per chunk, µs (to verbatim chat) | " + " | ".join(f"over {name}" for name in upstreams) + " |",
        "|---" * (len(upstreams) + 1) + "|",
    ]
    for client in clients:
        cells = [
            f"{found[name]:.1f} ({found[name] / found['chat over chat']:.2f}){', own' if client == upstream else ''}"
            for upstream in upstreams
            if (name := f"{client} over {upstream}") in found
        ]
        rows.append(f"| {client} | {' | '.join(cells)} |")
    lost = sum(sample.lost for name in found for sample in results.samples.get((name, "headrace"), []))
    return [*rows, "", f"Not whole among all of these: {lost}."]


def _first_rows(results: Results) -> list[str]:
    rows = ["| streams at once | relay | first token p50, ms | p99, ms |", "|---|---|---|---|"]
    for scenario in (s for s in results.scenarios() if s not in results.rate_of):
        for relay in results.relays():
            p50 = results.figure(scenario, relay, lambda s: s.first50)
            p99 = results.figure(scenario, relay, lambda s: s.first99)
            rows.append(f"| {scenario.rpartition(' ')[2]} | {relay} | {p50} | {p99} |")
    return rows if len(rows) > 2 else []


def _comparison(results: Results) -> list[str]:
    lines = []
    for scenario in (s for s in results.scenarios() if not _is_pair(s)):
        if scenario in results.rate_of:
            ours = results.median(scenario, "headrace", lambda s: s.cpu)
            theirs = results.median(scenario, "nginx", lambda s: s.cpu)
            name = scenario.replace(" x ", " × ")
            lines.append(f"- {name}: Headrace takes **{ours / theirs:.2f} times** nginx's CPU per chunk.")
        else:
            added = results.median(scenario, "headrace", lambda s: s.first50) - results.median(
                scenario, "nginx", lambda s: s.first50
            )
            lines.append(f"- {scenario.capitalize()}: Headrace's median is **{added:+.2f} ms** from nginx's.")
    return [] if {"headrace", "nginx"} - set(results.relays()) else lines


def _machine() -> str:
    cpu = re.search(r"(?m)^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text())
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    version = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False).stderr if nginx else "no nginx"
    return (
        f"{cpu[1] if cpu else platform.processor()}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, Headrace {metadata.version('headrace')}, "
        f"nginx {version.strip().rpartition('/')[2]}, {dt.datetime.now(tz=dt.UTC).date()}"
    )


def _noise(results: Results) -> str:
    samples = [sample for (_, relay), found in results.samples.items() if relay != "direct" for sample in found]
    others = [sample.others for sample in samples] or [0.0]
    rounds = max(map(len, results.samples.values()))
    return (
        f"Medians of {rounds} round{'s' if rounds > 1 else ''}, the range in brackets. A run in which "
        f"something else used over {NOISE:.0%} of the relay's core was repeated, at most {TRIES - 1} times, and the "
        f"quietest kept; in those kept it used {statistics.median(others):.0%} (at most {max(others):.0%})."
    )


def summary(results: Results) -> str:
    """The tables and the ratios: what the page holds."""
    parts = [
        _steady_rows(results),
        _first_rows(results),
        _pair_rows(results),
        _comparison(results),
        [_machine() + ".", _noise(results)],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def headline(results: Results) -> str:
    """The ratios and the machine: what the README holds."""
    return "\n".join([*_comparison(results), "", _machine() + "."])


def page(results: Results) -> str:
    """The whole of docs/benchmark.md."""
    return f"{ABOUT}\n{summary(results)}\n"


def write(root: Path, text: str, short: str) -> None:
    """Keep the page, and the README's section where it has one."""
    (root / "docs").mkdir(exist_ok=True)
    (root / "docs" / "benchmark.md").write_text(text, encoding="utf-8")
    readme = root / "README.md"
    old = readme.read_text(encoding="utf-8")
    start, end = MARKERS
    if start in old and end in old.partition(start)[2]:
        head, _, rest = old.partition(start)
        readme.write_text(f"{head}{start}\n{short}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def workers(found: Mapping[int, Sequence[Sample]], streams: int, cores: int) -> str:
    """What several workers cost, beside one: a table, and their ratio."""
    rows = ["| workers | streams × chunks/s | CPU per chunk, µs | carried | p50, ms |", "|---|---|---|---|---|"]
    medians = {}
    for count, samples in found.items():
        cpu, carried, p50 = (
            statistics.median(of(sample) for sample in samples)
            for of in (lambda s: s.cpu, lambda s: s.carried, lambda s: s.p50)
        )
        medians[count] = cpu
        share = min(carried / (count * streams * 50), 1)
        rows.append(f"| {count} | {count * streams} × 50 | {cpu:.1f} | {share:.1%} | {p50:.2f} |")
    ratio = medians[max(medians)] / medians[1]
    fewer = "" if cores >= 4 else f" Here are {cores} cores, so how much more several workers carry was not measured."
    rounds = len(next(iter(found.values())))
    told = f"Each worker has the same load; its chunk costs **{ratio:.2f} times** what it costs one worker alone."
    return "\n".join([*rows, "", f"{told}{fewer} Medians of {rounds} rounds. {_machine()}."])


def replace(page: Path, name: str, text: str) -> None:
    """Put a text where a page has its place, between the marks ``bench:NAME`` and ``bench:end``."""
    pattern = rf"(<!-- bench:{name} -->\n).*?(<!-- bench:end -->)"
    old = page.read_text(encoding="utf-8")
    page.write_text(re.sub(pattern, lambda match: f"{match[1]}\n{text}\n\n{match[2]}", old, flags=re.DOTALL))
