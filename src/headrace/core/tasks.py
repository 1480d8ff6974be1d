"""Work that nobody waits for: tasks, kept until they are done, and what they may fail with, kept from others.

The event loop itself holds tasks by a weak reference only.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)


def note(task: "asyncio.Task[None]") -> None:
    """Log that it has failed, if it has. Its error's text, which the event loop would log, may hold anything."""
    if not task.cancelled() and (error := task.exception()):
        logger.error("%s failed (%s)", task.get_name(), type(error).__name__)


class Contained:
    """A block of code whose errors stay in it, and are logged by their kind: who runs it has others to serve.

    May be entered again and again. ``what`` is how the log names it.
    """

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        """Take an error in; not what ends the process, or a task."""
        if kind is None or not issubclass(kind, Exception):
            return False
        logger.error("%s: unexpected %s", self._what, kind.__name__)
        return True


class Tasks:
    """The tasks of one owner, for one kind of ``work``, which the log names where one of them fails."""

    def __init__(self, work: str) -> None:
        self._work = work
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it, beside everything else."""
        task = asyncio.get_running_loop().create_task(work, name=self._work)
        self._running.add(task)
        task.add_done_callback(self._done)

    async def close(self, seconds: float) -> None:
        """Wait for all of them, for at most so many seconds."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        note(task)
