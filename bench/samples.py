"""What was measured, as values."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from relays import Relay

NOTHING = float("nan")


@dataclass(frozen=True)
class Sample:
    """One run. Figures by name: times are milliseconds, CPU is microseconds for each thing carried, memory is KB.

    ``others`` is the share of the relay's core that something else used: noise. ``lost`` counts what did not arrive
    whole, in order and to its end.
    """

    figures: Mapping[str, float]
    others: float = 0.0
    lost: int = 0

    @classmethod
    def of(cls, found: Mapping[str, Any], target: Relay, **more: float) -> "Sample":
        """From what a program of the load printed, and what else is known."""
        chunks, window = max(found["chunks"], 1), max(found["window_s"], 1e-9)
        figures = {"carried": found["chunks"] / window, **more}
        if target.pids and found["chunks"]:
            figures |= {"cpu": found["cpu_s"] / chunks * 1e6, "core": found["cpu_s"] / window}
        for series, prefix in {"latency_ms": "", "first_chunk_ms": "first_"}.items():
            if times := found.get(series):
                figures |= {f"{prefix}p50": times["p50"], f"{prefix}p99": times["p99"]}
        others = max(0.0, (found["core_s"] - found["cpu_s"]) / window) if target.pids else 0.0
        return cls(figures, others, found["failed"] + found["unfinished"] + found["disordered"])

    def line(self) -> str:
        figures = ", ".join(f"{name} {value:,.2f}" for name, value in self.figures.items())
        return f"{figures}, others {self.others:.0%}, {self.lost} not whole"


@dataclass
class Results:
    """Samples by scenario and relay. ``kinds`` has each scenario's kind, by its name."""

    kinds: Mapping[str, str]
    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)

    def add(self, scenario: str, relay: str, sample: Sample) -> None:
        self.samples.setdefault((scenario, relay), []).append(sample)

    def scenarios(self, kind: str) -> list[str]:
        """Those of a kind that were measured, in their order."""
        return [name for name in dict.fromkeys(name for name, _ in self.samples) if self.kinds[name] == kind]

    def relays(self, scenario: str) -> list[str]:
        return [relay for name, relay in self.samples if name == scenario]

    def every(self, scenario: str, relay: str, figure: str) -> list[float]:
        """A figure of each round that has it."""
        samples = self.samples.get((scenario, relay), [])
        return [sample.figures[figure] for sample in samples if figure in sample.figures]

    def median(self, scenario: str, relay: str, figure: str) -> float:
        found = self.every(scenario, relay, figure)
        return statistics.median(found) if found else NOTHING

    def lost(self, scenario: str, relay: str) -> int:
        return sum(sample.lost for sample in self.samples.get((scenario, relay), []))

    def rounds(self) -> int:
        return max(map(len, self.samples.values()), default=0)


def spread(found: list[float], written: Callable[[float], str]) -> str:
    """The median with its range, or the median alone where there was one round."""
    if not found:
        return "–"
    text = written(statistics.median(found))
    return text if len(found) == 1 else f"{text} ({written(min(found))}–{written(max(found))})"
