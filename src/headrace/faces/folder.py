"""A folder whose files are served, and nothing else: opened name by name, read in threads.

Each name is opened relative to the folder before it, and no name is a link that is followed: there is no path to
check first and open later, so nobody who may write in the folder can lead a reader out of it, at whatever moment.
"""

import asyncio
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from threading import Lock

from headrace.core.clock import Clock
from headrace.errors import NotFound, StoreUnavailable
from headrace.wire.preconditions import Validator

#: Whether this system can open a name in a folder without following links.
SUPPORTED = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")

#: Threads that read: as many reads may hang on a slow disk before others wait.
THREADS = 4
#: Seconds for which a changed file's tag is weak: another change may come within the file system's own grain of time.
YOUNG = 2.0

_FOLDER = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", 0)
#: Not blocking and no terminal: where a pipe or a device takes the file's place, opening it does nothing.
_FILE = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | os.O_NOCTTY

#: What the system says of a name that leads to no file of ours.
_ABSENT = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}
    | {errno.EISDIR, errno.ENXIO, errno.ENODEV, errno.EINVAL, errno.EILSEQ}
)


class Folder:
    """Opens files below ``root``. Any method may be called at any time; none blocks the event loop."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._root = root
        self._clock = clock
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="files")

    async def open(self, names: Sequence[str]) -> "OpenFile":
        """Open a regular file, by the names that lead to it. Raises NotFound and StoreUnavailable."""
        opening = self._pool.submit(self._open, names)
        try:
            return await asyncio.wrap_future(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_opened)
            raise

    def close(self) -> None:
        """Let the threads end. Reads that hang are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _open(self, names: Sequence[str]) -> "OpenFile":
        with _told(), self._parent(names) as parent:
            descriptor = _regular(names[-1], parent)
        return OpenFile(descriptor, names[-1], self._pool, self._clock.time())

    @contextmanager
    def _parent(self, names: Sequence[str]) -> Iterator[int]:
        """The folder that holds the last name. The root itself is the operator's, and may be a link."""
        at = os.open(self._root, _FOLDER)
        try:
            for name in names[:-1]:
                above, at = at, os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
                os.close(above)
            yield at
        finally:
            os.close(at)


class OpenFile:
    """A file that was opened: what it was then, and its bytes. A context that closes it."""

    def __init__(self, descriptor: int, name: str, pool: ThreadPoolExecutor, now: float) -> None:
        found = os.fstat(descriptor)
        self.name = name
        self.size = found.st_size
        #: Strong, but for a file that has only just changed: the change time is not for users to set, so whoever
        #: replaces or rewrites a file makes another tag. A digest, for an inode's number is nobody's business.
        self.validator = Validator(
            tag=f'"{_digest(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)}"',
            modified=min(int(found.st_mtime), int(now)),
            weak=now - found.st_ctime < YOUNG,
        )
        self._pool = pool
        self._lock = Lock()
        self._descriptor: int | None = descriptor

    async def read(self, start: int, size: int) -> bytes:
        """So many bytes, fewer at the file's end. Raises StoreUnavailable."""
        return await asyncio.wrap_future(self._pool.submit(self._read, start, size))

    def close(self) -> None:
        """Close it, as soon as a read that is running has ended. Idempotent; does not block."""
        try:
            self._pool.submit(self._close)
        except RuntimeError:  # the threads have been let go: the server stops
            self._close()

    def __enter__(self) -> None:
        """Have it open."""

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, start: int, size: int) -> bytes:
        with self._lock:
            if self._descriptor is None:
                return b""
            with _told():
                return os.pread(self._descriptor, size, start)

    def _close(self) -> None:
        with self._lock:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)


def _regular(name: str, parent: int) -> int:
    """Open a name that is a regular file. It is looked at before, for opening alone may do things to a device."""
    _check_regular(os.stat(name, dir_fd=parent, follow_symlinks=False))
    descriptor = os.open(name, _FILE, dir_fd=parent)
    try:
        _check_regular(os.fstat(descriptor))
    except NotFound:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotFound("There is no such file.")


@contextmanager
def _told() -> Iterator[None]:
    """The system's errors as ours."""
    try:
        yield
    except OSError as error:
        if error.errno in _ABSENT:
            raise NotFound("There is no such file.") from None
        raise StoreUnavailable("The file cannot be read now.") from None


def _digest(*numbers: int) -> str:
    return blake2b(repr(numbers).encode(), digest_size=12).hexdigest()


def _close_opened(opening: "Future[OpenFile]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
