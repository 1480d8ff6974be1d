"""The streams of other workers that readers of this process wait for."""

import asyncio

from headrace.core.log import Wake
from headrace.errors import StoreError
from headrace.stores.redis_connection import RedisConnection


class _Stream:
    """Who waits for one stream. ``ready`` is done once Redis tells this process of its news."""

    __slots__ = ("idle", "ready", "wakes")

    def __init__(self) -> None:
        self.wakes: list[Wake] = []
        self.ready: asyncio.Future[None] | None = None
        self.idle = False

    def call_wakes(self) -> None:
        wakes, self.wakes = self.wakes, []
        for wake in wakes:
            wake()


class Followed:
    """One subscription per stream, kept between the reads of those who follow it."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._streams: dict[str, _Stream] = {}

    async def wait(self, id: str, wake: Wake) -> None:
        """Have ``wake`` called for the stream's next news, from the return of this on. Raises StoreError."""
        stream = self._streams.get(id)
        if stream is None:
            stream = self._streams[id] = _Stream()
            stream.ready = asyncio.ensure_future(self._connection.watch(self._channel(id), stream.call_wakes))
        stream.idle = False
        stream.wakes.append(wake)
        if stream.ready is None or stream.ready.done():
            return
        try:
            await asyncio.shield(stream.ready)
        except BaseException as error:
            self.forget(id, wake)
            if isinstance(error, StoreError) and self._streams.get(id) is stream:
                del self._streams[id]
            raise

    def forget(self, id: str, wake: Wake) -> None:
        """Call it no more."""
        stream = self._streams.get(id)
        if stream is not None and wake in stream.wakes:
            stream.wakes.remove(wake)

    def sweep(self) -> None:
        """Leave the streams that nobody has waited for since the last time."""
        for id, stream in [*self._streams.items()]:
            if not stream.wakes and stream.idle:
                del self._streams[id]
                self._connection.unwatch(self._channel(id), stream.call_wakes)
            stream.idle = not stream.wakes

    def call_all(self) -> None:
        """Nothing more will come; those who wait look for themselves."""
        for stream in self._streams.values():
            stream.call_wakes()

    def _channel(self, id: str) -> bytes:
        return f"{self._connection.prefix}{{{id}}}".encode()
