"""The hub of wake-ups: one subscribed connection per process, whatever the number of readers.

A wake-up carries no data: it says that a look is worth while. So a message that was missed while the line was down is
made good by calling everybody once it stands again.
"""

import asyncio
from collections import Counter

from headrace.core.log import Wake
from headrace.errors import StoreUnavailable
from headrace.stores.redis.line import Dialer, Line, Reply, pack

#: Seconds of silence after which the line is tried, and until a subscription must stand.
QUIET = 5.0
#: Seconds between two tries to dial.
RETRY = 0.1


class Hub:
    """Calls whoever watches a channel, on the event loop, for each message on it and after each break of the line."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._line: Line | None = None
        self._watched: dict[bytes, list[Wake]] = {}
        #: Subscriptions that Redis has not confirmed yet: a channel may have been left and taken up again meanwhile.
        self._asked: Counter[bytes] = Counter()
        self._confirmed: dict[bytes, asyncio.Future[None]] = {}
        self._outbox: list[bytes] = []
        self._sending: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Dial. Raises StoreUnavailable."""
        self._line = await self._dialer.dial()
        self._following = asyncio.create_task(self._follow(), name="redis wake-ups")

    async def watch(self, channel: bytes, wake: Wake) -> None:
        """Have ``wake`` called from now on. Raises StoreUnavailable where Redis does not confirm it in time."""
        wakes = self._watched.setdefault(channel, [])
        wakes.append(wake)
        if len(wakes) == 1:
            self._confirmed[channel] = asyncio.get_running_loop().create_future()
            self._ask(channel)
        try:
            async with asyncio.timeout(QUIET):
                await asyncio.shield(self._confirmed[channel])
        except BaseException as error:
            self.unwatch(channel, wake)
            if isinstance(error, TimeoutError):
                raise StoreUnavailable from None
            raise

    def unwatch(self, channel: bytes, wake: Wake) -> None:
        """Call it no more. Harmless where it is not watched."""
        wakes = self._watched.get(channel, [])
        if wake in wakes:
            wakes.remove(wake)
            if not wakes:
                del self._watched[channel]
                self._confirmed.pop(channel).cancel()
                self._post(pack(b"UNSUBSCRIBE", channel))

    async def close(self) -> None:
        """Hang up."""
        tasks = [task for task in (self._following, self._sending) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._line is not None:
            await self._line.close()

    # -- sending: one writer at a time, so that subscriptions are carried out in the order of their calls ------------

    def _ask(self, channel: bytes) -> None:
        self._asked[channel] += 1
        self._post(pack(b"SUBSCRIBE", channel))

    def _post(self, packed: bytes) -> None:
        self._outbox.append(packed)
        if self._sending is None and self._line is not None:
            self._sending = asyncio.create_task(self._send(self._line))

    async def _send(self, line: Line) -> None:
        try:
            while self._outbox:
                packed, self._outbox = self._outbox, []
                await line.send(packed)
        except StoreUnavailable:
            return  # whoever receives finds it out too, and dials again
        finally:
            if self._sending is asyncio.current_task():
                self._sending = None

    # -- receiving ---------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            try:
                await self._receive(self._line or await self._redial())
            except StoreUnavailable:
                await self._hang_up()
                await asyncio.sleep(RETRY)

    async def _hang_up(self) -> None:
        """Let go of a broken line, and of what is being sent on it: that waits for a dead peer for minutes."""
        line, self._line = self._line, None
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        if line is not None:
            await line.close()

    async def _redial(self) -> Line:
        line = await self._dialer.dial()
        self._outbox.clear()
        self._asked.clear()
        self._line = line
        for channel in self._watched:
            self._ask(channel)
        for wakes in [*self._watched.values()]:
            self._call(wakes)
        return line

    async def _receive(self, line: Line) -> None:
        tried = False
        while True:
            reply = await line.receive(QUIET)
            if reply is not None:
                tried = False
                self._take(reply)
            elif tried:
                raise StoreUnavailable
            else:
                tried = True
                self._post(pack(b"PING"))

    def _take(self, reply: Reply) -> None:
        match reply:
            case [b"message", bytes() as channel, _]:
                self._call(self._watched.get(channel, ()))
            case [b"subscribe", bytes() as channel, _]:
                self._asked[channel] -= 1
                if self._asked[channel] <= 0:
                    del self._asked[channel]
                    self._settle(channel)

    def _settle(self, channel: bytes) -> None:
        confirmed = self._confirmed.get(channel)
        if confirmed is not None and not confirmed.done():
            confirmed.set_result(None)
        elif confirmed is not None:
            # Taken up again after a break: what came between the dialling and now was missed.
            self._call(self._watched[channel])

    @staticmethod
    def _call(wakes: "list[Wake] | tuple[Wake, ...]") -> None:
        for wake in [*wakes]:
            wake()
