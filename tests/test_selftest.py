"""``headrace selftest``: gates by name, their figures as JSON, and a status that says whether they hold."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from headrace.cli import app
from headrace.gates.catalogue import GATES, lacking
from headrace.gates.gate import Report


def selftest(*args: str) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "headrace", "selftest", *args]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


def children(pid: int) -> list[int]:
    """Which processes it has started, from whichever of its threads."""
    return [int(child) for told in Path(f"/proc/{pid}/task").glob("*/children") for child in told.read_text().split()]


@pytest.mark.slow
def test_it_says_which_gates_there_are():
    listed = selftest("--list").stdout.decode()
    assert [line.split()[0] for line in listed.splitlines()] == list(GATES)


@pytest.mark.slow
def test_a_gate_that_is_not_there_is_refused():
    done = selftest("nope")
    assert done.returncode == 2
    assert b"nope" in done.stderr


def test_a_gate_whose_programs_are_not_here_is_refused_by_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("headrace.gates.catalogue.NEEDS", {"kill": ("no-such-program",)})
    assert lacking("kill") == "no-such-program is needed, and is not on this machine"
    assert not lacking("power")
    told = CliRunner().invoke(app, ["selftest", "kill"])
    assert told.exit_code == 2
    assert "no-such-program" in told.stderr


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_figures_are_json_and_go_into_the_report_too(tmp_path: Path):
    done = selftest(
        "kill", "--size", "0.003", "--seed", "5", "--folder", str(tmp_path), "--report", str(tmp_path / "r")
    )
    told = msgspec.json.decode(done.stdout.splitlines()[0], type=Report)
    assert (told.gate, told.seed, told.holds, done.returncode) == ("kill", 5, True, 0)
    assert msgspec.json.decode((tmp_path / "r").read_bytes(), type=list[Report]) == [told]
    assert [path.name for path in tmp_path.iterdir()] == ["r"], "what a gate made is gone"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_what_a_gate_has_started(tmp_path: Path, number: int):
    """In the background, too, where a shell has SIGINT ignored."""
    gate = [sys.executable, "-m", "headrace", "selftest", "kill", "--size", "1", "--folder", str(tmp_path)]
    command = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *gate]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not (started := children(process.pid)):
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(20) not in (0, 1)
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    assert list(tmp_path.iterdir()) == []
