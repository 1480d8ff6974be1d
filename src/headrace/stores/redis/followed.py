"""What readers of this process wait for: streams that other workers write, and topics."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

from headrace.core.log import Wake
from headrace.errors import StoreError
from headrace.stores.redis.connection import RedisConnection

B = TypeVar("B")


class _Log(Generic[B]):
    """Who waits for one stream or topic. ``ready`` is done once Redis tells this process of its news."""

    __slots__ = ("idle", "looks", "ready", "wakes")

    def __init__(self) -> None:
        self.wakes: list[Wake] = []
        self.looks: dict[Hashable, asyncio.Task[B]] = {}
        self.ready: asyncio.Task[None] | None = None
        self.idle = False

    def call_wakes(self) -> None:
        """Call everybody once. Who comes from now on shares no look that began before the news."""
        self.looks.clear()
        wakes, self.wakes = self.wakes, []
        for wake in wakes:
            wake()


class Followed(Generic[B]):
    """One subscription for each, kept between the reads of those who follow it, and one look for all who want the same.

    ``B`` is what a look brings.
    """

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._logs: dict[str, _Log[B]] = {}

    async def wait(self, id: str, wake: Wake) -> None:
        """Have ``wake`` called for the next news, from the return of this on. Raises StoreError."""
        log = self._logs.get(id)
        if log is None:
            log = self._logs[id] = _Log()
            log.ready = asyncio.create_task(self._connection.watch(self._channel(id), log.call_wakes))
            log.ready.add_done_callback(partial(self._subscribed, id, log))
        log.idle = False
        log.wakes.append(wake)
        ready = log.ready
        if ready is None:
            return
        try:
            await asyncio.wait([ready])
        except BaseException:
            self.forget(id, wake)
            raise
        if ready.cancelled():
            raise StoreError("The store is closed.")
        if error := ready.exception():
            raise error

    def _subscribed(self, id: str, log: _Log[B], ready: "asyncio.Task[None]") -> None:
        """Where it failed, the next one who waits asks anew."""
        log.ready = None
        if (ready.cancelled() or ready.exception()) and self._logs.get(id) is log:
            del self._logs[id]

    async def look(self, id: str, key: Hashable, make: Callable[[], Coroutine[Any, Any, B]]) -> B:
        """What ``make`` brings, made once for all who wait for ``id`` and look for the same side by side."""
        log = self._logs.get(id)
        if log is None:
            return await make()
        look = log.looks.get(key)
        if look is None:
            look = log.looks[key] = asyncio.create_task(make())
            look.add_done_callback(partial(_looked, log, key))
        return await asyncio.shield(look)

    def forget(self, id: str, wake: Wake) -> None:
        """Call it no more."""
        log = self._logs.get(id)
        if log is not None and wake in log.wakes:
            log.wakes.remove(wake)

    def call(self, id: str) -> None:
        """There may be news."""
        log = self._logs.get(id)
        if log is not None:
            log.call_wakes()

    def sweep(self) -> None:
        """Leave those for which nobody has waited since the last time."""
        for id, log in [*self._logs.items()]:
            if not log.wakes and log.idle:
                del self._logs[id]
                self._connection.unwatch(self._channel(id), log.call_wakes)
            log.idle = not log.wakes

    async def close(self) -> None:
        """Nothing more will come: those who wait look for themselves, and what is under way is ended."""
        logs, self._logs = self._logs, {}
        tasks = [task for log in logs.values() for task in (log.ready, *log.looks.values()) if task is not None]
        for id, log in logs.items():
            log.call_wakes()
            self._connection.unwatch(self._channel(id), log.call_wakes)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _channel(self, id: str) -> bytes:
        return f"{self._connection.prefix}{{{id}}}".encode()


def _looked(log: _Log[B], key: Hashable, look: "asyncio.Task[B]") -> None:
    if log.looks.get(key) is look:
        del log.looks[key]
    if not look.cancelled():
        look.exception()  # whoever has asked may have left
