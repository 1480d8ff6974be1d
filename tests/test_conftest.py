"""The guard in conftest.py: it must catch what it is there for."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
#: Each sample is a run of pytest of its own.
pytestmark = pytest.mark.slow

CONFTEST = ROOT / "tests" / "conftest.py"

CLEAN = """
    import asyncio

    async def test_it():
        task = asyncio.create_task(asyncio.sleep(0))
        await task
"""
LEAVES_TASK = """
    import asyncio

    async def test_it(request):
        request.node.kept = asyncio.create_task(asyncio.sleep(30))
"""
LEAVES_TASK_FROM_FIXTURE = """
    import asyncio, pytest

    @pytest.fixture
    async def server(anyio_backend, request):
        request.node.kept = asyncio.create_task(asyncio.sleep(30))
        yield

    async def test_it(server):
        pass
"""
LEAVES_PROCESS = """
    import subprocess, sys

    def test_it(request):
        request.node.kept = subprocess.Popen(["sleep", "3"])
"""
ENDS_TASK_IN_FIXTURE = """
    import asyncio, contextlib, pytest

    @pytest.fixture
    async def server(anyio_backend):
        task = asyncio.create_task(asyncio.sleep(30))
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def test_it(server):
        pass
"""


def _run(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "test_sample.py").write_text(textwrap.dedent(test))
    (folder / "pytest.ini").write_text(f"[pytest]\nanyio_mode = auto\npythonpath = {ROOT}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=15)


@pytest.mark.parametrize("test", [CLEAN, ENDS_TASK_IN_FIXTURE], ids=["clean", "fixture-ends-its-task"])
def test_clean_test_passes(tmp_path: Path, test: str) -> None:
    """What a test or its fixtures end themselves is not reported."""
    done = _run(tmp_path, test)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("test", "complaint"),
    [
        (LEAVES_TASK, "the test left tasks behind: ['sleep']"),
        (LEAVES_TASK_FROM_FIXTURE, "the test left tasks behind: ['sleep']"),
        (LEAVES_PROCESS, "the test left child processes behind"),
    ],
    ids=["task", "task-of-a-fixture", "process"],
)
def test_leak_fails(tmp_path: Path, test: str, complaint: str) -> None:
    """A pending task or a running child process is an error that names it."""
    done = _run(tmp_path, test)
    assert done.returncode == 1
    assert complaint in done.stdout


def test_a_property_may_take_its_time():
    """A machine that is busy with something else is no finding."""
    assert settings().deadline is None
