"""A disk that fails on cue: ``python -m headrace.testing.failing_disk CUE COMMAND...`` runs a command line on it.

While the file ``CUE`` is there, SQLite can write nothing; what is in it says why: ``full`` or ``broken``. COMMAND is a
Python module as ``python -m`` takes it, and runs in this process.
"""

import os
import runpy
import sys

import apsw

#: The disk as it is without this.
_REAL = apsw.vfs_names()[0]

#: What the operating system would have said.
ERRORS = {b"full": apsw.FullError, b"broken": apsw.IOError}


class _File(apsw.VFSFile):
    def __init__(self, cue: str, name: object, flags: list[int]) -> None:
        super().__init__(_REAL, name, flags)  # type: ignore[arg-type]
        self._cue = cue

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        """Write, or fail."""
        if os.path.exists(self._cue):  # noqa: PTH110 - of every write, so the cheapest look
            with open(self._cue, "rb") as file:  # noqa: PTH123
                raise ERRORS[file.read()]
        super().xWrite(data, offset)


class FailingDisk(apsw.VFS):
    """The real disk, as all SQLite files of this process see it while there is no cue."""

    def __init__(self, cue: str) -> None:
        self._cue = cue
        super().__init__("headrace-failing-disk", base=_REAL, makedefault=True)

    def xOpen(self, name: object, flags: list[int]) -> _File:  # noqa: N802 - SQLite's name
        """Open a file that fails on cue."""
        return _File(self._cue, name, flags)


def main() -> None:
    """Run what follows the cue: an interpreter, ``-m``, a module and its arguments."""
    cue, _, _, module, *arguments = sys.argv[1:]
    disk = FailingDisk(cue)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    disk.unregister()


if __name__ == "__main__":
    main()
