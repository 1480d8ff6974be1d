"""The line on which Redis tells its news: whatever becomes of one, the next is taken up."""

import asyncio

from headrace.errors import StoreUnavailable
from headrace.stores.redis.hub import Hub
from headrace.stores.redis.line import pack


class Full:
    """A line whose peer takes nothing more, and which is found broken by who reads it."""

    def __init__(self) -> None:
        self.sending = asyncio.Event()

    async def send(self, packed):
        self.sending.set()
        await asyncio.Event().wait()

    async def receive(self, seconds):
        await self.sending.wait()
        raise StoreUnavailable

    async def close(self):
        """What is being sent waits on, as on a socket."""


class Whole:
    """A line that confirms what is subscribed."""

    def __init__(self) -> None:
        self.replies: asyncio.Queue[list[object]] = asyncio.Queue()
        self.sent = b""

    async def send(self, packed):
        self.sent += b"".join(packed)
        self.replies.put_nowait([b"subscribe", b"a", 1])

    async def receive(self, seconds):
        return await self.replies.get()

    async def close(self):
        """Nothing is left of it."""


class Dialer:
    def __init__(self, *lines):
        self._lines = list(lines)

    async def dial(self):
        return self._lines.pop(0)


async def test_what_is_sent_to_a_dead_peer_holds_up_nothing_on_the_next_line():
    """Else nothing would be subscribed, nor the new line tried, until the system gives the old one up."""
    whole = Whole()
    hub = Hub(Dialer(Full(), whole))
    await hub.open()
    try:
        await hub.watch(b"a", lambda: None)
        assert whole.sent == pack(b"SUBSCRIBE", b"a")
    finally:
        await hub.close()
