"""Each gate holds in its short form; ``make gates`` runs all of it."""

from pathlib import Path
from typing import Any

import pytest
from tests.gates.needs import marks

from headrace.gates.catalogue import GATES, gate
from headrace.gates.gate import Run, run

#: How much of each is enough to find what is broken for good, in seconds and not in minutes.
SIZES = {
    "kill": 0.02,
    "slow": 0.01,
    "leave": 0.02,
    "drain": 0.02,
    "storm": 0.05,
    "secrets": 0.05,
    "exhaustion": 0.1,
    "soak": 0.005,
    "power": 0.04,
    "nodes": 0.016,
    "rolling": 0.05,
    "resume": 0.03,
    "malformed": 0.01,
    "simulation": 0.03,
    "corruption": 0.05,
}

#: What falls short and is known to: to be mended, and then to be taken away here.
KNOWN: dict[str, set[str]] = {}

#: These measure how long something takes; two nodes, their proxy and their Redis need both cores.
ALONE = {"slow", "leave", "drain", "storm", "exhaustion", "nodes", "rolling"}


def case(name: str) -> Any:
    """A gate with the marks that it needs."""
    return pytest.param(name, marks=[*marks(name), *([pytest.mark.alone] if name in ALONE else [])])


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [case(name) for name in GATES])
async def test_it_holds(tmp_path: Path, name: str) -> None:
    report = await run(name, gate(name), Run(tmp_path, seed=1, size=SIZES[name]))
    short = {figure.name: figure for figure in report.figures if not figure.holds}
    assert short.keys() == KNOWN.get(name, set()), short
