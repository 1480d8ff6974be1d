"""The workers of one supervisor tell each other what they count, so that whichever is asked answers for all.

Each has a numbered file in a folder that is theirs, and holds a lock beside it for life. A worker that takes over the
number of a dead one goes on from what that has counted; the gauges of the dead count no more from its death on.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Lock as Mutex

import msgspec

from headrace.observe.snapshot import Snapshot, summed
from headrace.stores.sqlite.file import Lock

_PREFIX = "metrics-"
#: Seconds in which a folder is not removed: its workers may be about to take their locks.
YOUNG = 60.0


def folder_in(data: Path) -> Path:
    """The folder of the workers that have the same parent process as this one."""
    with suppress(OSError):
        # The same number may be another process in another container over the same data folder.
        return data / f"{_PREFIX}{os.getppid()}-{Path('/proc/self/ns/pid').stat().st_ino}"
    return data / f"{_PREFIX}{os.getppid()}"


class Siblings:
    """One worker's place among the others. Its methods block; they are for a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._lock: Lock | None = None
        self._inherited = Snapshot()
        self._writing = Mutex()

    def open(self) -> None:
        """Take the first number that nobody has, and what is left behind there. Raises OSError."""
        _sweep(self._folder)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for number in count(1):
            lock = Lock.take(self._lock_path(number))
            if lock is not None:
                self._number, self._lock = number, lock
                self._inherited = self._read(number, alive=False)
                return

    def share(self, own: Snapshot) -> Snapshot:
        """Write what this worker has counted, for the others; returns it with what it has inherited."""
        whole = summed((self._inherited, own))
        path = self._values_path(self._number)
        fresh = path.with_suffix(".new")
        # A full disk must not stop the counting; the others then see older values.
        with self._writing, suppress(OSError):
            fresh.write_bytes(msgspec.msgpack.encode(whole))
            fresh.replace(path)
        return whole

    def others(self) -> Iterator[Snapshot]:
        """What the other workers have counted, the dead ones too."""
        for path in self._folder.glob("*.values"):
            number = int(path.stem)
            if number != self._number:
                yield self._read(number, alive=Lock.held(self._lock_path(number)))

    def close(self) -> None:
        """Let somebody else have the number."""
        if self._lock is not None:
            self._lock.release()

    def _read(self, number: int, *, alive: bool) -> Snapshot:
        try:
            found = msgspec.msgpack.decode(self._values_path(number).read_bytes(), type=Snapshot)
        except (OSError, msgspec.DecodeError):  # a validation error, from another version, is one too
            return Snapshot()
        return found if alive else Snapshot(found.counted)

    def _lock_path(self, number: int) -> Path:
        return self._folder / f"{number}.lock"

    def _values_path(self, number: int) -> Path:
        return self._folder / f"{number}.values"


def _sweep(own: Path) -> None:
    """Remove what the workers of supervisors that are gone have left behind."""
    for folder in own.parent.glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):  # another worker is sweeping, too
            old = time.time() - folder.stat().st_mtime > YOUNG
            if old and folder != own and not any(Lock.held(lock) for lock in folder.glob("*.lock")):
                shutil.rmtree(folder, ignore_errors=True)
