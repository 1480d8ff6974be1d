"""Each gate holds in its short form; ``make gates`` runs all of it."""

from pathlib import Path

import pytest

from headrace.gates.catalogue import GATES, gate
from headrace.gates.gate import Run, run

#: How much of each is enough to find what is broken for good, in seconds and not in minutes.
SIZES = {
    "kill": 0.02,
    "power": 0.04,
}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", GATES)
async def test_it_holds(tmp_path: Path, name: str) -> None:
    report = await run(name, gate(name), Run(tmp_path, seed=1, size=SIZES[name]))
    assert report.holds, [figure for figure in report.figures if not figure.holds]
