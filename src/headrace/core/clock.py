"""Time, as a value that is handed in, so that no test sleeps."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """What ``call_later`` returns."""

    def cancel(self) -> None:
        """Do not call. Harmless after the call."""


class Clock(Protocol):
    """Two clocks and an alarm."""

    def monotonic(self) -> float:
        """Seconds that never jump: for deadlines."""

    def time(self) -> float:
        """Unix seconds: for what people read, and for retention."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call on the event loop after ``delay`` seconds."""


class SystemClock:
    """The real one."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call on the running event loop after ``delay`` seconds."""
        return asyncio.get_running_loop().call_later(delay, callback)
