"""What a server process holds, as the system and its own metrics tell it."""

import asyncio
import resource
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from headrace.testing.server import HeadraceServer

_ESTABLISHED = "01"


class Held(NamedTuple):
    """What a process has open. ``tasks`` and what follows are by its own account."""

    descriptors: int
    connections: int
    threads: int
    tasks: int
    streams: int
    readers: int
    renderings: int


def memory(pid: int) -> int:
    """Resident memory in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) << 10


def held(server: HeadraceServer) -> Held:
    """What a server holds now."""
    # What is asked on the way has its own connection; it is gone, or not yet, when the system is asked.
    told = metrics(server)
    counts = [int(told[f"headrace_{name}"]) for name in ("tasks", "open_streams", "readers", "renderings")]
    threads = len(list(Path(f"/proc/{server.pid}/task").iterdir()))
    return Held(len(_links(server.pid)), len(peers(server.pid)), threads, *counts)


def peers(pid: int) -> Sequence[int]:
    """The ports at the other ends of a process's connections, those that it has not closed."""
    sockets = {link[8:-1] for link in _links(pid) if link.startswith("socket:[")}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return [int(row[2].partition(":")[2], 16) for row in rows if row[3] == _ESTABLISHED and row[9] in sockets]


def _links(pid: int) -> Sequence[str]:
    """What a process's descriptors stand for."""
    return [str(link.readlink()) for link in list(Path(f"/proc/{pid}/fd").iterdir()) if link.is_symlink()]


def metrics(server: HeadraceServer) -> dict[str, float]:
    """Its metrics that have no labels, by name."""
    text = server.request("GET", "/metrics")[2].decode()
    pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs if "{" not in name}


async def settled(server: HeadraceServer, enough: Callable[[Held], bool], seconds: float) -> Held:
    """What it holds once that is ``enough``, or after so many seconds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = await asyncio.to_thread(held, server)
        if enough(found) or asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(0.1)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of them is. Not a number where there are none, so that no bound holds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def descriptors(wanted: int) -> int:
    """Raise how many descriptors this process and its children may have; how many that are in the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(soft, allowed)
