"""What all tests share: the event loop they run on, and a guard against what a test leaves behind."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.services.postgresql import postgresql, postgresql_url  # noqa: F401 - fixtures for whoever asks

#: ``scripts/test-fast`` looks at fewer examples of each property; ``scripts/test`` at the same ones each time, so that
#: no change is blamed for what chance has found; pytest by itself at any. How long one takes says nothing: the machine
#: may be busy.
settings.register_profile("any", deadline=None)
settings.register_profile("fast", max_examples=20, deadline=None)
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "any"))

#: Tests start ``headrace`` and ``node`` by name: those of this environment come first, then the system's servers.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])

# A shell has SIGINT ignored by what it starts in the background, and so it would be by all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: Helpers that Python's own multiprocessing keeps for the life of the process; the database server for all tests, which
#: is in a folder of this name.
_HELPERS = (b"multiprocessing.resource_tracker", b"multiprocessing.forkserver", b"headrace-postgresql-")

#: The tasks in which anyio's plugin runs tests and fixtures are coroutines of this class.
_RUNNER = "TestRunner."

#: Turns of the loop that a task has for its end, however long the machine has stood still.
_TURNS = 100


@pytest.fixture
def anyio_backend() -> str:
    """Headrace runs on asyncio only."""
    return "asyncio"


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test after which, all its fixtures torn down, a task or a child process is still there."""
    before = _children()
    if "anyio_backend" in request.fixturenames:
        request.getfixturevalue("_no_task_left")
    yield
    if left := _children() - before:
        commands = {pid: _command(pid).replace(b"\0", b" ").decode(errors="replace").strip() for pid in left}
        pytest.fail(f"the test left child processes behind: {commands}")


@pytest.fixture
async def _no_task_left(anyio_backend: str) -> AsyncIterator[None]:
    """Tasks that are on their way out get a quarter of a second, and so many turns; who leaves none costs one look."""
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = float("inf")  # under PYTHONASYNCIODEBUG a busy machine is no finding
    before = asyncio.all_tasks()
    yield
    end, turns = loop.time() + 0.25, 0
    while left := _coroutines(asyncio.all_tasks() - before):
        if loop.time() > end and turns > _TURNS:
            pytest.fail(f"the test left tasks behind: {left}")
        await asyncio.sleep(0)
        turns += 1


def _coroutines(tasks: set[asyncio.Task[object]]) -> list[str]:
    names = (getattr(task.get_coro(), "__qualname__", repr(task)) for task in tasks)
    return sorted(name for name in names if not name.startswith(_RUNNER))


def _children() -> set[int]:
    """The ids of our child processes, zombies too. Empty where the system does not tell (it is Linux that does)."""
    found: set[int] = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(int(pid) for pid in listing.read_text().split())
        except OSError:  # the thread has just ended
            continue
    return {pid for pid in found if not any(helper in _command(pid) for helper in _HELPERS)}


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
