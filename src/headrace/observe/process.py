"""The process: its CPU time, memory and descriptors, and how late its event loop is."""

import os
import resource
import time
from contextlib import suppress
from pathlib import Path

from headrace.core.clock import Clock, Timer
from headrace.core.deadlines import INTERVAL
from headrace.core.meters import Histogram

_PROC = Path("/proc/self")
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: Near enough: this is imported when the process starts.
_STARTED = time.time()


def cpu_seconds() -> float:
    """CPU time of this process so far."""
    times = os.times()
    return times.user + times.system


def gauges() -> dict[str, float]:
    """What the system says of this process; a system without ``/proc`` says less."""
    found = {
        "process_start_time_seconds": _STARTED,
        "process_max_fds": float(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    }
    with suppress(OSError):
        found["process_resident_memory_bytes"] = float(int((_PROC / "statm").read_text().split()[1]) * _PAGE)
        found["process_open_fds"] = float(sum(1 for _ in (_PROC / "fd").iterdir()))
    return found


class LoopLag:
    """Sets a timer again and again, and counts how late it is."""

    def __init__(self, clock: Clock, lag: Histogram) -> None:
        self._clock = clock
        self._lag = lag
        self._due = 0.0
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._due = self._clock.monotonic() + INTERVAL
        self._timer = self._clock.call_later(INTERVAL, self._look)

    def close(self) -> None:
        """No more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._lag.observe(max(0.0, self._clock.monotonic() - self._due))
        self.start()
