"""What is delivered: a wheel with the package and nothing else, the same each time, which opens nothing by itself."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import headrace

ROOT = Path(__file__).parent.parent

#: Files of the package beside its modules.
KINDS = {".py", ".typed", ".mako", ".html", ".js", ".css", ".svg", ".gz"}

_BUILD = "import sys, hatchling.build as b; print(b.build_wheel(sys.argv[1]))"

#: Runs before an import: whatever opens a socket, starts a process or writes a file ends it.
_WATCHED = """
import sys, pkgutil, importlib
FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "sqlite3.connect")
def watch(event, arguments):
    writing = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writing or event.startswith(FORBIDDEN):
        raise SystemExit(f"{event} {arguments}")
sys.addaudithook(watch)
import headrace
for module in pkgutil.walk_packages(headrace.__path__, "headrace."):
    if not module.name.endswith(("__main__", ".env")):
        importlib.import_module(module.name)
print(len([name for name in sys.modules if name.startswith("headrace")]))
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The same built twice, at two moments."""
    made = []
    source = tmp_path_factory.mktemp("source")  # a copy: nobody changes anything between the two
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for number in range(2):
        folder = tmp_path_factory.mktemp(f"wheel{number}")
        environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
        command = [sys.executable, "-c", _BUILD, str(folder)]
        subprocess.run(command, cwd=source, env=environment, check=True, timeout=60, capture_output=True)
        made += folder.glob("*.whl")
    return made


@pytest.mark.slow
def test_a_wheel_is_the_same_each_time(wheels):
    """So that anyone can tell whether what is published is what is here."""
    one, two = (hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels)
    assert one == two


@pytest.mark.slow
def test_a_wheel_holds_the_package_and_nothing_else(wheels):
    """No tests, nothing that runs by itself when Python starts, no file of a kind that nobody expects."""
    names = zipfile.ZipFile(wheels[0]).namelist()
    about = f"headrace-{headrace.__version__}.dist-info/"
    inside = [name for name in names if not name.startswith(about)]
    assert "headrace/app.py" in inside
    assert "headrace/web/static/index.html" in inside
    assert [name for name in inside if not name.startswith("headrace/") or Path(name).suffix not in KINDS] == []
    assert [name for name in inside if "test_" in name or "conftest" in name or "__pycache__" in name] == []
    expected = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert {name.removeprefix(about) for name in names if name.startswith(about)} == expected


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_importing_opens_nothing():
    """No socket, no process, no database and no file to write, in any module."""
    flags = ["-B", "-c", _WATCHED]
    found = subprocess.run([sys.executable, *flags], check=False, capture_output=True, text=True, timeout=50)
    assert found.returncode == 0, found.stderr[-500:]
    assert int(found.stdout) > 200
