"""The scripts behind ``make``, in a folder of their own with stand-ins for what they install and start."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: Notes what it was asked, and fails where a file says so.
STAND_IN = """#!/bin/sh
case "$*" in *"-c import"*) exit 0 ;; esac
printf '%s\\n' "${0##*/} $*" >>calls
if [ -e broken ]; then exit 3; fi
"""
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-docs.txt", "pyproject.toml")


class Checkout:
    """A folder with a space in its name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        for name in (".venv/bin/python", ".venv/bin/pip", ".venv/bin/headrace"):
            self.stand_in(name)
        self.lock("1")

    def stand_in(self, name: str) -> None:
        """A program that only notes what it is asked."""
        program = self.folder / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(STAND_IN, encoding="utf-8")
        program.chmod(0o755)

    def lock(self, version: str) -> None:
        """Locks of some version."""
        for name in LOCKS:
            (self.folder / name).write_text(version, encoding="utf-8")

    def run(self, *words: str, **env: str) -> tuple[int, list[str]]:
        """Run a script as ``make`` does; its exit status, and what the stand-ins were asked."""
        calls = self.folder / "calls"
        calls.write_text("", encoding="utf-8")
        known = {"PATH": os.environ["PATH"], "HEADRACE_NO_INSTALL": "1", **env}
        done = subprocess.run(words, cwd=self.folder, env=known, capture_output=True, check=False)
        return done.returncode, calls.read_text(encoding="utf-8").splitlines()

    def install(self, kind: str, **env: str) -> tuple[int, bool]:
        """Install; the exit status, and whether anything was installed."""
        status, calls = self.run("scripts/install", kind, **env)
        return status, any("pip install" in call for call in calls)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "a b")


def test_what_is_installed_is_not_installed_again(checkout: Checkout) -> None:
    """What the tests need includes what the server needs."""
    assert checkout.install("run") == (0, True)
    assert checkout.install("run") == (0, False)
    assert checkout.install("docs") == (0, True)
    assert checkout.install("dev") == (0, True)
    assert [checkout.install(kind) for kind in ("run", "dev", "docs")] == [(0, False)] * 3


@pytest.mark.parametrize("kind", ["run", "dev"])
def test_half_an_installation_is_none(checkout: Checkout, kind: str) -> None:
    """Also where one goes back to the locks with which all of it was there."""
    assert checkout.install("dev") == (0, True)
    checkout.lock("2")
    (checkout.folder / "broken").touch()
    (checkout.folder / ".venv/bin/pip").write_text("#!/bin/sh\n", encoding="utf-8")
    assert checkout.install(kind) == (3, True)
    (checkout.folder / "broken").unlink()
    checkout.lock("1")
    assert checkout.install("dev") == (0, True)


def test_an_environment_that_was_moved_is_made_anew(checkout: Checkout) -> None:
    """By the interpreter that is asked for, wherever it is."""
    (checkout.folder / ".venv/bin/pip").write_text("#!/not/there\n", encoding="utf-8")
    checkout.stand_in("other python/python3")
    status, calls = checkout.run("scripts/install", "run", PYTHON=str(checkout.folder / "other python/python3"))
    assert status == 0
    assert "python3 -m venv --clear .venv" in calls


def test_the_configuration_that_is_named_is_the_one(checkout: Checkout) -> None:
    """One that is not there is for the server to miss: the sample is not what was asked for."""
    for name, env in (("headrace.example.toml", {}), ("my.toml", {"HEADRACE_CONFIG": "my.toml"})):
        assert f"headrace serve --config {name} --port 1" in checkout.run("scripts/run", "--port", "1", **env)[1]
    (checkout.folder / "headrace.toml").touch()
    assert "headrace serve --config headrace.toml" in checkout.run("scripts/run")[1]


def test_a_script_goes_to_its_own_checkout(checkout: Checkout, tmp_path: Path) -> None:
    """Where a shell looks for folders elsewhere (CDPATH), another one has some of the same name."""
    kept = tmp_path / "other/build"
    kept.mkdir(parents=True)
    (tmp_path / "other/scripts").mkdir()
    for name in ("build", "src", "tests", "bench", "examples"):
        (checkout.folder / name).mkdir()
    assert checkout.run("scripts/clean", CDPATH=str(tmp_path / "other"))[0] == 0
    assert kept.exists()
    assert not (checkout.folder / "build").exists()


def test_gates_that_do_not_come_to_a_report_write_no_page(checkout: Checkout) -> None:
    """From an older report, that would be a page about another run."""
    report = checkout.folder / "build/gates.json"
    report.parent.mkdir()
    report.write_text("[]", encoding="utf-8")
    assert checkout.install("dev") == (0, True)
    for name in ("redis-server", "nginx"):
        checkout.stand_in(f"programs/{name}")
    (checkout.folder / "broken").touch()
    (checkout.folder / ".venv/bin/pip").write_text("#!/bin/sh\n", encoding="utf-8")
    path = f"{checkout.folder / 'programs'}:{os.environ['PATH']}"
    status, calls = checkout.run("scripts/gates", "nonsense", PATH=path)
    assert status == 3
    assert [call for call in calls if "gates_page" in call] == []
