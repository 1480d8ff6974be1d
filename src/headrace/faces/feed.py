"""The feed: something that is looked at again and again while somebody listens, once for all who do.

Who listens is told what is new since; what they are slow to take is replaced by what is newer, so that a listener
holds a bounded amount and delays nobody. There is nothing to resume: who comes back asks for how things stand.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from weakref import WeakValueDictionary

from headrace.core.clock import Clock
from headrace.core.deadlines import heed, pause, resolve
from headrace.core.registry import Registry
from headrace.errors import Draining, StoreError, StoreUnavailable

logger = logging.getLogger(__name__)

#: Seconds between two looks.
EVERY = 1.0

#: How many of one owner may listen at once, in one process.
LISTENERS = 64

#: What is new, as blocks of an event stream; of two under one name the newer one counts.
News = Mapping[str, bytes]


class Listener:
    """Somebody who listens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending: dict[str, bytes] = {}
        self._woken: asyncio.Future[None] | None = None
        #: There will be no more news.
        self.ended = False

    def put(self, news: News) -> None:
        """Have it told."""
        self._pending.update(news)
        if self._pending and self._woken is not None:
            resolve(self._woken)

    def end(self) -> None:
        """Tell what there is, and no more."""
        self.ended = True
        if self._woken is not None:
            resolve(self._woken)

    async def next(self, seconds: float) -> bytes:
        """What is new, as soon as there is something; nothing where that takes longer."""
        if not (self._pending or self.ended):
            self._woken = asyncio.get_running_loop().create_future()
            timer = self._clock.call_later(seconds, partial(resolve, self._woken))
            try:
                await self._woken
            finally:
                timer.cancel()
        pending, self._pending = self._pending, {}
        return b"".join(pending.values())


class Feed:
    """Looks, by ``look``, while somebody listens. The first look is from where news are counted."""

    def __init__(self, registry: Registry, look: Callable[[], Awaitable[News]]) -> None:
        self._registry = registry
        self._look = look
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] | None = None

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[Listener]:
        """Listen from now on. Raises Draining, and StoreError where the first look does."""
        if self._registry.draining:
            raise Draining
        listener = Listener(self._registry.clock)
        self._listeners.add(listener)
        try:
            if self._task is None or self._ready is None:
                self._ready = asyncio.get_running_loop().create_future()
                self._ready.add_done_callback(heed)
                self._task = asyncio.create_task(self._run(self._ready), name="feed")
                self._task.add_done_callback(self._stopped)
            await asyncio.shield(self._ready)
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _run(self, ready: "asyncio.Future[None]") -> None:
        try:
            self._tell(await self._look())
        except StoreError as error:
            self._task = None
            ready.set_exception(error)
            return
        resolve(ready)
        while not self._registry.draining:
            await pause(self._registry.clock, EVERY)
            try:
                self._tell(await self._look())
            except StoreError:
                continue  # it is news as soon as it can be seen
        for listener in self._listeners:
            listener.end()

    def _stopped(self, task: "asyncio.Task[None]") -> None:
        """Leave nobody waiting for a look that will not come: whoever listened comes back, and begins anew."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        logger.error("feed: unexpected %s", type(error).__name__)
        if self._task is task:
            self._task = None
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(StoreUnavailable())
        for listener in self._listeners:
            listener.end()

    def _tell(self, news: News) -> None:
        for listener in self._listeners:
            listener.put(news)


class Feeds:
    """The feeds that somebody listens to, by their names."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._by_name: WeakValueDictionary[str, Feed] = WeakValueDictionary()

    def named(self, name: str, look: Callable[[], Awaitable[News]]) -> Feed:
        """The feed of that name; a new one, which looks by ``look``, where nobody holds it."""
        feed = self._by_name.get(name)
        if feed is None:
            feed = self._by_name[name] = Feed(self._registry, look)
        return feed
