"""A folder's files: what is opened is in it whatever moves meanwhile, and everything that was opened is closed."""

import asyncio
import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from headrace.errors import NotFound, StoreUnavailable
from headrace.faces.folder import Folder
from headrace.testing.clock import FakeClock

#: Exchanges a file and a folder for links to what is outside, as fast as it can, until it is ended.
SWAPPER = """
import os, sys
os.chdir(sys.argv[1])
print("ready", flush=True)
while True:
    os.symlink("../outside/canary", "x")
    os.rename("x", "leaf")
    os.link("inside", "y")
    os.rename("y", "leaf")
    os.rename("swap", "aside")
    os.rename("evil", "swap")
    os.rename("swap", "evil")
    os.rename("aside", "swap")
"""


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "swap").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    for name, data in {"root/inside": b"in", "root/swap/canary": b"in", "outside/canary": b"CANARY"}.items():
        (tmp_path / name).write_bytes(data)
    (root / "evil").symlink_to(tmp_path / "outside")
    (root / "leaf").hardlink_to(root / "inside")
    return root


@pytest.fixture
def folder(root):
    folder = Folder(root, FakeClock())
    yield folder
    folder.close()


def descriptors():
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


async def until(holds):
    """Wait for threads, which have no clock of ours."""
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


@contextmanager
def swapping(root):
    with subprocess.Popen([sys.executable, "-c", SWAPPER, str(root)], stdout=subprocess.PIPE) as swapper:
        try:
            assert swapper.stdout.readline() == b"ready\n"
            yield
        finally:
            swapper.kill()


@pytest.mark.slow
def test_whatever_is_swapped_for_a_link_leads_nowhere(root, folder):
    """Between looking and opening, too: a few seconds of tries, each of which reads what is inside or nothing."""
    found = {"in": 0, "none": 0}
    with swapping(root):
        end = time.monotonic() + 4
        while time.monotonic() < end:
            for names in (["leaf"], ["swap", "canary"]):
                try:
                    file = folder._open(names)
                except NotFound:
                    found["none"] += 1
                    continue
                assert file._read(0, 100) == b"in"
                file._close()
                found["in"] += 1
    assert found["in"] > 100
    assert found["none"] > 100


async def test_a_pipe_is_refused_and_not_waited_for(root, folder):
    """Nor opened: whoever waits for a reader of it goes on waiting."""
    os.mkfifo(root / "pipe")
    for names in (["pipe"], ["pipe", "x"], ["swap"], ["inside", "x"], ["none"]):
        with pytest.raises(NotFound):
            await folder.open(names)
    with pytest.raises(OSError, match="No such device"):
        os.open(root / "pipe", os.O_WRONLY | os.O_NONBLOCK)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is let everywhere, and only it can be checked for devices")
async def test_a_device_is_not_a_file(root, folder):
    """Whose opening alone may do things."""
    try:
        os.mknod(root / "zero", 0o666 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("devices cannot be made here")
    with pytest.raises(NotFound):
        await folder.open(["zero"])


async def test_what_cannot_be_opened_now_is_no_absence(folder):
    """Without descriptors the file is there, and 503 says so; nothing of the way to it stays open."""
    before = descriptors()
    with pytest.raises(NotFound):  # and the thread that opens is there
        await folder.open(["none"])
    lowest = os.dup(0)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for spare in range(2):
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, hard))
        try:
            with pytest.raises(StoreUnavailable):
                await folder.open(["swap", "canary"])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert descriptors() == before


async def test_who_gives_up_while_a_file_is_opened_leaves_none_open(root):
    """The thread opens it all the same; it is closed by whoever comes to know of it."""
    before = descriptors()
    entered, go_on = threading.Event(), threading.Event()

    class Slow(Folder):
        def _open(self, names):
            entered.set()
            go_on.wait(5)
            return super()._open(names)

    folder = Slow(root, FakeClock())
    opening = asyncio.create_task(folder.open(["inside"]))
    await until(entered.is_set)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    go_on.set()
    await until(lambda: descriptors() == before)
    folder.close()


async def test_a_file_is_closed_after_the_read_that_runs(folder):
    """Its descriptor may be somebody else's by then; what is read later is nothing."""
    before = descriptors()
    file = await folder.open(["inside"])
    with file._lock:
        reading = asyncio.create_task(file.read(0, 10))
        await asyncio.sleep(0)
        file.close()
        file.close()
        assert len(descriptors()) == len(before) + 1
    await until(lambda: descriptors() == before)
    assert await reading in (b"in", b"")
    assert await file.read(0, 10) == b""


async def test_a_folder_that_is_closed_still_closes_its_files(root):
    """When the server stops in the middle of downloads."""
    before = descriptors()
    folder = Folder(root, FakeClock())
    file = await folder.open(["inside"])
    folder.close()
    file.close()
    await until(lambda: descriptors() == before)
