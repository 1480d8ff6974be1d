"""Tasks that nobody waits for, kept until they are done: the event loop itself holds them by a weak reference only."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)


def note(task: "asyncio.Task[None]") -> None:
    """Log that it has failed, if it has. Its error's text, which the event loop would log, may hold anything."""
    if not task.cancelled() and (error := task.exception()):
        logger.error("%s failed (%s)", task.get_name(), type(error).__name__)


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
