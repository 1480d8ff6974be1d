"""Who waits for news of a topic in this process: one subscription for each topic, whatever the number of readers."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any

from headrace.core.log import Wake
from headrace.core.topic_log import TopicBatch
from headrace.errors import StoreError
from headrace.stores.redis_connection import RedisConnection

#: Seconds for which a subscription outlives the last reader that waited: most of them come again at once.
LINGER = 5.0


class Followed:
    """A topic that somebody in this process has waited for lately."""

    __slots__ = ("idle", "looks", "subscribed", "wakes")

    def __init__(self) -> None:
        self.wakes: list[Wake] = []
        self.looks: dict[Hashable, asyncio.Task[TopicBatch]] = {}
        self.subscribed: asyncio.Task[None] | None = None
        #: Nobody has waited since the last sweep.
        self.idle = False

    def ring(self) -> None:
        """There may be news: call everybody once. A look that began before it is nobody's any more who comes now."""
        self.looks.clear()
        wakes, self.wakes = self.wakes, []
        for wake in wakes:
            wake()

    async def look(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, TopicBatch]]) -> TopicBatch:
        """One look for all who look for the same side by side."""
        look = self.looks.get(key)
        if look is None:
            look = self.looks[key] = asyncio.create_task(make())
            look.add_done_callback(partial(self._looked, key))
        return await asyncio.shield(look)

    def _looked(self, key: Hashable, look: "asyncio.Task[TopicBatch]") -> None:
        if self.looks.get(key) is look:
            del self.looks[key]
        if not look.cancelled():
            look.exception()  # whoever has asked may have left


class Followers:
    """Calls each wake once, and keeps the subscription for those who come again."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._followed: dict[int, Followed] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    async def follow(self, id: int, wake: Wake) -> Followed:
        """Have ``wake`` called once there is news, from when this returns. Raises StoreUnavailable."""
        followed = self._followed.get(id)
        if followed is None:
            followed = self._followed[id] = Followed()
            followed.subscribed = asyncio.create_task(self._connection.watch(self._channel(id), followed.ring))
            self._sweep_later()
        followed.idle = False
        followed.wakes.append(wake)
        try:
            await self._subscribed(id, followed)
        except BaseException:
            self.forget(id, wake)
            raise
        return followed

    async def _subscribed(self, id: int, followed: Followed) -> None:
        subscribed = followed.subscribed
        if subscribed is None:
            return
        await asyncio.wait([subscribed])
        if subscribed.cancelled():
            raise StoreError("The store is closed.")
        error = subscribed.exception()
        if error is not None:
            if self._followed.get(id) is followed:
                del self._followed[id]
            raise error
        followed.subscribed = None

    def forget(self, id: int, wake: Wake) -> None:
        """Drop a wake that has not been called."""
        followed = self._followed.get(id)
        if followed is not None and wake in followed.wakes:
            followed.wakes.remove(wake)

    def ring(self, id: int) -> None:
        """There may be news of a topic."""
        followed = self._followed.get(id)
        if followed is not None:
            followed.ring()

    async def close(self) -> None:
        """Call everybody, and let go of the subscriptions."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        all_of_them, self._followed = self._followed, {}
        tasks = [task for each in all_of_them.values() for task in (each.subscribed, *each.looks.values()) if task]
        for id, followed in all_of_them.items():
            followed.ring()
            self._connection.unwatch(self._channel(id), followed.ring)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _channel(self, id: int) -> bytes:
        return f"{self._connection.prefix}topic:{id}".encode()

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(LINGER, self._sweep)

    def _sweep(self) -> None:
        """Let go of the subscriptions for which nobody has come in a whole round."""
        self._sweeper = None
        for id, followed in [*self._followed.items()]:
            if followed.wakes or followed.subscribed is not None:
                continue
            if followed.idle:
                del self._followed[id]
                self._connection.unwatch(self._channel(id), followed.ring)
            followed.idle = True
        if self._followed:
            self._sweep_later()
