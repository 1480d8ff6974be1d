"""The tables of the page: one for each question, a row for each relay."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from dialects import CLIENTS, MODELS
from samples import NOTHING, Results, spread

Cell = Callable[[Results, str, str], str]


def figure(name: str, digits: int = 2) -> Cell:
    """The median of a figure, with its range."""
    return lambda results, scenario, relay: spread(results.every(scenario, relay, name), lambda x: f"{x:,.{digits}f}")


def percent(name: str, digits: int = 0) -> Cell:
    """The median of a share."""

    def cell(results: Results, scenario: str, relay: str) -> str:
        found = results.every(scenario, relay, name)
        return f"{statistics.median(found):.{digits}%}" if found else "–"

    return cell


def lost(results: Results, scenario: str, relay: str) -> str:
    """What was not whole, over all rounds."""
    return str(results.lost(scenario, relay))


#: How the rows are called.
LABELS = {
    "bare": "bare Python",
    "bare-events": "bare Python, events read",
    "headrace": "**Headrace** (SQLite)",
    "headrace-memory": "Headrace, `memory:`",
    "headrace-power": "Headrace, SQLite for `power`",
    "headrace-redis": "Headrace, Redis",
    "litellm": "LiteLLM",
    "portkey": "Portkey",
}


@dataclass(frozen=True)
class Table:
    """A question, the kind of scenario that answers it, and the columns after the scenario and the relay."""

    question: str
    kind: str
    first: str
    columns: dict[str, Cell]

    def rows(self, results: Results) -> list[str]:
        titles = [self.first, "relay", *self.columns]
        lines = [
            " | ".join([scenario, LABELS.get(relay, relay), *self._cells(results, scenario, relay)])
            for scenario in results.scenarios(self.kind)
            for relay in results.relays(scenario)
        ]
        if not lines:
            return []
        return [f"## {self.question}", "", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"] + [
            f"| {line} |" for line in lines
        ]

    def _cells(self, results: Results, scenario: str, relay: str) -> list[str]:
        return [cell(results, scenario, relay) for cell in self.columns.values()]


TABLES = [
    Table(
        "What does a chunk cost, and how late does it come?",
        "steady",
        "streams × chunks/s",
        {
            "CPU per chunk, µs": figure("cpu", 1),
            "core used": percent("core"),
            "carried": percent("share", 1),
            "p50, ms": figure("p50"),
            "p99, ms": figure("p99"),
            "not whole": lost,
        },
    ),
    Table(
        "How long until the first token?",
        "first",
        "streams at once",
        {"p50, ms": figure("first_p50"), "p99, ms": figure("first_p99"), "not whole": lost},
    ),
    Table(
        "How many streams does one core carry?",
        "saturation",
        "streams × chunks/s",
        {
            "streams": figure("most", 0),
            "core used": percent("core"),
            "p50, ms": figure("p50"),
            "p99, ms": figure("p99"),
        },
    ),
    Table(
        "How many short requests are answered?",
        "short",
        "connections",
        {
            "requests/s": figure("carried", 0),
            "CPU per request, µs": figure("cpu", 1),
            "core used": percent("core"),
            "p50, ms": figure("p50"),
            "p99, ms": figure("p99"),
            "failed": lost,
        },
    ),
    Table(
        "What does an idle stream hold in memory?",
        "idle",
        "streams",
        {"KB for each": figure("kb", 1), "not opened": lost},
    ),
    Table(
        "What do many readers of one stream cost?",
        "readers",
        "readers",
        {
            "CPU per chunk delivered, µs": figure("cpu", 1),
            "core used": percent("core"),
            "carried": percent("share", 1),
            "p50, ms": figure("p50"),
            "p99, ms": figure("p99"),
            "not whole": lost,
        },
    ),
    Table(
        "How fast is what has ended replayed?",
        "replay",
        "replayed at once",
        {
            "chunks/s": figure("carried", 0),
            "MB/s": figure("megabytes", 1),
            "CPU per chunk, µs": figure("cpu", 1),
            "not whole": lost,
        },
    ),
]


def pairs(results: Results) -> list[str]:
    """A row for each client's dialect, a column for each upstream's; CPU per chunk, and its ratio to verbatim."""
    found = {name: results.median(name, "headrace", "cpu") for name in results.scenarios("pair")}
    if not found:
        return []
    plain = results.median("200 × 50/s", "headrace", "cpu")
    found["chat over chat"] = plain
    rows = [
        "## What does it cost to speak another dialect?",
        "",
        "| CPU per chunk, µs (to verbatim chat) | " + " | ".join(f"over {name}" for name in MODELS) + " |",
        "|---" * (1 + len(MODELS)) + "|",
    ]
    for client in CLIENTS:
        cells = [
            _pair(found.get(f"{client} over {upstream}", NOTHING), plain, own=client == upstream) for upstream in MODELS
        ]
        rows.append(f"| {client} | {' | '.join(cells)} |")
    missing = sum(results.lost(name, "headrace") for name in results.scenarios("pair"))
    return [*rows, "", f"Not whole among all of these: {missing}."]


def _pair(cpu: float, plain: float, *, own: bool) -> str:
    if math.isnan(cpu):
        return "–"
    return f"{cpu:.1f} ({cpu / plain:.2f}){', own' if own else ''}"


def tables(results: Results) -> list[str]:
    """All tables for which something was measured, each as text."""
    found = [*(table.rows(results) for table in TABLES), pairs(results)]
    return ["\n".join(rows) for rows in found if rows]
