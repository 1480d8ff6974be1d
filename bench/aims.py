"""What Headrace aims at beside nginx and its peers, and what was found."""

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from samples import Results, spread

MAIN = "200 × 50/s"
#: How many times nginx's CPU a chunk may cost.
LOADS = {MAIN: 1.5, "500 × 50/s": math.nan, "1,000 × 50/s": math.nan}
#: Each peer's name, how many times its short requests we aim at, and how many times our CPU per chunk it is to take.
PEERS = [("litellm", "LiteLLM", 100, 20), ("portkey", "Portkey", 8, 2)]


@dataclass(frozen=True)
class Aim:
    """One figure, in each round. ``limit`` is the most that it may be, or the least with ``at_least``.

    ``whole``: nothing of what it is a figure of was lost; else it is not held, whatever it is.
    """

    text: str
    found: list[float]
    limit: float
    unit: str = ""
    at_least: bool = False
    whole: bool = True

    def row(self) -> str:
        if math.isnan(self.limit):
            aim = verdict = "–"
        else:
            aim = f"{'≥' if self.at_least else '≤'} {self.limit:g}{self.unit}"
            verdict = "held" if self.held() else "**short**"
        if not self.whole:
            verdict = "**short**, not all whole"
        if not self.found:
            verdict = "not measured"
        return f"| {self.text} | {aim} | {spread(self.found, lambda value: f'{value:,.2f}{self.unit}')} | {verdict} |"

    def held(self) -> bool:
        median = statistics.median(self.found) if self.found else math.nan
        return median >= self.limit if self.at_least else median <= self.limit


def beside(
    results: Results,
    scenario: str,
    figure: str,
    relay: str,
    how: Callable[[float, float], float],
    of: str = "headrace",
) -> list[float]:
    """One relay's figure (Headrace's) and another's put together, round by round."""
    ours, theirs = (results.every(scenario, name, figure) for name in (of, relay))
    return [how(a, b) for a, b in zip(ours, theirs, strict=False) if b]


def over(ours: float, theirs: float) -> float:
    return ours / theirs


def under(ours: float, theirs: float) -> float:
    return theirs / ours


def added(ours: float, theirs: float) -> float:
    return ours - theirs


def aims(results: Results) -> list[Aim]:
    """All of them, in the order of the questions."""
    short = next(iter(results.scenarios("short")), "")
    return [
        *_to_nginx(results),
        *_beside_peers(results, short),
        *(
            Aim(
                f"memory of each of {name}",
                results.every(name, "headrace", "kb"),
                30,
                " KB",
                whole=not results.lost(name, "headrace"),
            )
            for name in results.scenarios("idle")
        ),
        Aim(
            f"CPU per chunk at {MAIN}, SQLite's to `memory:`'s",
            beside(results, MAIN, "cpu", "headrace-memory", over),
            1.15,
        ),
        Aim(f"short requests, {short}, to nginx's", beside(results, short, "carried", "nginx", over), math.nan),
    ]


def _to_nginx(results: Results) -> list[Aim]:
    full = [
        0.0 if sample.lost else 100 * sample.figures["share"]
        for sample in results.samples.get(("1,000 × 50/s", "headrace"), [])
    ]
    return [
        *(
            Aim(f"CPU per chunk at {name}, to nginx's", beside(results, name, "cpu", "nginx", over), limit)
            for name, limit in LOADS.items()
        ),
        Aim(f"CPU per chunk at {MAIN}, to bare Python's", beside(results, MAIN, "cpu", "bare", over), math.nan),
        Aim("carried at 1,000 × 50/s (0 where a stream was not whole)", full, 99.5, " %", at_least=True),
        Aim("p99 at 1,000 × 50/s", results.every("1,000 × 50/s", "headrace", "p99"), 50, " ms"),
        *(
            Aim(f"p50 at {name}, over nginx's", beside(results, name, "p50", "nginx", added), 1, " ms")
            for name in list(LOADS)[:2]
        ),
        Aim(
            "first token at 50 streams, p50 over nginx's",
            beside(results, "first byte at 50", "first_p50", "nginx", added),
            0.5,
            " ms",
        ),
    ]


def _beside_peers(results: Results, short: str) -> list[Aim]:
    found = []
    for relay, name, requests, chunks in PEERS:
        answered = beside(results, short, "carried", relay, over)
        cheaper = beside(results, MAIN, "cpu", relay, under)
        found += [
            Aim(f"short requests per second, to {name}'s", answered, requests, at_least=True),
            Aim(f"{name}'s CPU per chunk at {MAIN}, to Headrace's", cheaper, chunks, at_least=True),
        ]
    return found


def table(results: Results) -> str:
    """Each aim beside what was found."""
    rows = [aim.row() for aim in aims(results)]
    head = ["## Are the aims held?", "", "| on one core | aim | found | |", "|---|---|---|---|"]
    return "\n".join([*head, *rows])


def headline(results: Results) -> list[str]:
    """The main ratios, a line each, of what was measured."""
    return [*_headline_to_nginx(results), *_headline_to_peers(results)]


def _headline_to_nginx(results: Results) -> Iterator[str]:
    for name in LOADS:
        if ratios := beside(results, name, "cpu", "nginx", over):
            yield f"- {name}: Headrace takes **{statistics.median(ratios):.2f} times** nginx's CPU per chunk."
    if least := beside(results, MAIN, "cpu", "nginx", over, of="bare"):
        yield f"- {MAIN}: the least relay in Python takes **{statistics.median(least):.2f} times** nginx's."
    for name in results.scenarios("first"):
        if more := beside(results, name, "first_p50", "nginx", added):
            yield f"- {name.capitalize()}: Headrace's median is **{statistics.median(more):+.2f} ms** from nginx's."


def _headline_to_peers(results: Results) -> Iterator[str]:
    short = next(iter(results.scenarios("short")), "")
    for relay, name, _, _ in PEERS:
        if cheaper := beside(results, MAIN, "cpu", relay, under):
            yield f"- {MAIN}: {name} takes **{statistics.median(cheaper):.1f} times** Headrace's CPU per chunk."
        if answered := beside(results, short, "carried", relay, over):
            yield f"- Short requests: Headrace answers **{statistics.median(answered):.1f} times** as many as {name}."
