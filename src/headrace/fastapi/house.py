"""The house behind durable streams: a store, the registry over it, and their upkeep."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from headrace.core.clock import Clock
from headrace.core.deadlines import NEVER, Deadlines, Limits, pause
from headrace.core.log import Kept, Retention
from headrace.core.registry import Registry
from headrace.errors import ConfigError, StoreError
from headrace.stores.memory.log import MemoryLog
from headrace.stores.sqlite.log import SqliteLog

logger = logging.getLogger("headrace.fastapi")

#: Seconds between two rounds of the upkeep.
REAP = 1.0
EXPIRE = 30.0

#: How many ended streams are looked at in one go.
BATCH = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a house is to be. Times are in seconds."""

    folder: Path | None
    durability: Literal["process", "power"]
    limits: Limits
    total: float | None
    kept: Kept
    grace: float


def folder_of(url: str) -> Path | None:
    """The folder of a store's URL; None for ``memory:``. Raises ConfigError for any other kind of URL."""
    if url == "memory:":
        return None
    scheme, colon, rest = url.partition(":")
    if scheme != "sqlite" or not colon:
        raise ConfigError("Expected 'sqlite:///FOLDER', 'sqlite:FOLDER' or 'memory:'.")
    if rest.startswith("//"):
        rest = rest.removeprefix("//")
        if not rest.startswith("/"):
            raise ConfigError("Expected three slashes before the folder, as in 'sqlite:///streams.db'.")
        rest = rest[1:]
    if not rest:
        raise ConfigError("Expected a folder, as in 'sqlite:///streams.db'.")
    folder = Path(rest).expanduser()
    if folder.exists() and not folder.is_dir():
        raise ConfigError("Streams are kept in a folder, and there is a file of this name.")
    return folder


class House:
    """Opened on the event loop that serves the app; closed in the reverse order."""

    registry: Registry

    def __init__(self, plan: Plan, clock: Clock) -> None:
        self._plan = plan
        self._clock = clock
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _open(self) -> None:
        plan = self._plan
        log = await self._open_log()
        deadlines = Deadlines(first=NEVER, idle=NEVER, total=NEVER if plan.total is None else plan.total)
        self.registry = Registry(log, self._clock, deadlines=deadlines, limits=plan.limits)
        self._stack.push_async_callback(self._close)
        await self.registry.reap()
        self._again(self._reap, REAP)
        self._again(self._expire, EXPIRE)

    async def _open_log(self) -> MemoryLog | SqliteLog:
        plan = self._plan
        if plan.folder is None:
            log: MemoryLog | SqliteLog = MemoryLog(self._clock)
        else:
            plan.folder.mkdir(parents=True, exist_ok=True)
            log = await SqliteLog(plan.folder, durability=plan.durability, clock=self._clock).open()
        self._stack.push_async_callback(log.close)
        return log

    async def _close(self) -> None:
        await self.registry.drain(self._plan.grace)
        await self.registry.close()

    def _again(self, work: Callable[[], Awaitable[object]], seconds: float) -> None:
        task = asyncio.create_task(self._loop(work, seconds), name=f"upkeep {work.__name__}")

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(stop)

    async def _loop(self, work: Callable[[], Awaitable[object]], seconds: float) -> None:
        while True:
            await pause(self._clock, seconds)
            try:
                await work()
            except StoreError as error:
                logger.warning("upkeep: %s does not work now (%s)", work.__name__, error.code)

    async def _reap(self) -> None:
        await self.registry.reap()

    async def _expire(self) -> None:
        """Let go of what is old. Nothing here is recorded elsewhere first."""
        log = self.registry.log
        if not isinstance(log, Retention):
            return
        while heads := await log.unrecorded(BATCH):
            await log.mark_recorded([head.id for head in heads])
        await log.expire(self._clock.time(), self._plan.kept)
