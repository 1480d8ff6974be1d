"""Processes of a measurement: on which core they run, until when, and how much memory they hold."""

import contextlib
import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).parent
#: Seconds that a process gets to listen, and to end.
PATIENCE = 20.0
#: As many files as a process may want open here: two for each of 10,000 streams and some.
FILES = 32768


class DoesNotListen(RuntimeError):
    """A process that has ended, or has not opened its port in time; with the end of its log."""


def cores() -> tuple[int, int]:
    """One core for the relay, one for everything else. The same twice on a machine with one."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


def raise_file_limit() -> None:
    """Let this process, and those that it starts, open as many files as they may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    enough = max(FILES, hard)
    with contextlib.suppress(OSError, ValueError):  # more than the hard limit is for root, and not for every root
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, enough))
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def streams_that_fit(wanted: int) -> int:
    """As many streams as a relay has files for, which are two for each of them; in whole hundreds."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return min(wanted, (limit - 500) // 200 * 100)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def compiled(name: str, folder: Path) -> Path:
    """The program of ``bench/<name>.c``, built with the machine's C compiler."""
    program = folder / name
    subprocess.run(["cc", "-O2", "-o", program, HERE / f"{name}.c"], check=True)
    return program


def family(pid: int) -> tuple[int, ...]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        for listing in Path(f"/proc/{parent}/task").glob("*/children"):
            found.extend(int(child) for child in listing.read_text().split())
    return tuple(found)


def memory(pids: Iterable[int]) -> int:
    """Bytes that the processes hold together; a page that they share counts once (PSS)."""
    return sum(_pss(pid) for pid in pids)


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise LookupError(pid)


@contextlib.contextmanager
def running(
    command: Sequence[object],
    *,
    core: set[int],
    port: int,
    log: Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
) -> Iterator[int]:
    """A process bound to its cores from its first moment on, listening; ended on the way out."""
    mine = os.sched_getaffinity(0)
    with log.open("wb") as output:
        os.sched_setaffinity(0, core)  # inherited, by its threads and children too
        try:
            process = subprocess.Popen(
                [*map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=cwd,
                env={**os.environ, **(environment or {})},
            )
        finally:
            os.sched_setaffinity(0, mine)
    try:
        _until_listening(process, port, log, patience)
        yield process.pid
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end, and make it where it does not."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _until_listening(process: "subprocess.Popen[bytes]", port: int, log: Path, patience: float) -> None:
    until = time.monotonic() + patience
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return
        time.sleep(0.05)
    raise DoesNotListen(f"{process.args!r} does not listen on {port}:\n{log.read_text(errors='replace')[-2000:]}")
