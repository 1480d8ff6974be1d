"""The gates can fail: each defect is caught, by the figure that is about it."""

import sys
from pathlib import Path

import pytest
from tests.gates.defects import DEFECTS, planted
from tests.gates.needs import marks

from headrace.gates.catalogue import gate
from headrace.gates.gate import Run, run
from headrace.testing.server import COMMAND


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(defect.gate)) for name, defect in DEFECTS.items()])
async def test_it_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    defect = DEFECTS[name]
    experiment = gate(defect.gate)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    if defect.server:
        command = (sys.executable, "-m", "tests.gates.defective", name)
        report = await run(defect.gate, experiment, Run(tmp_path, 1, defect.size, command=command))
    else:
        with planted(defect):
            report = await run(defect.gate, experiment, Run(tmp_path, 1, defect.size, command=COMMAND))
    short = {figure.name: figure.value for figure in report.figures if not figure.holds}
    caught = [name for name, value in short.items() if defect.figure in name and not value < defect.least]
    assert caught, (short, report.figures)


def test_a_defect_is_taken_out_again() -> None:
    defect = DEFECTS["a wake-up is lost"]
    [change] = defect.changes
    before = vars(change.owner)[change.name]
    with planted(defect):
        assert vars(change.owner)[change.name] is not before
    assert vars(change.owner)[change.name] is before
