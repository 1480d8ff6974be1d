"""The same server for asyncio: :mod:`headrace.client.server` with ``await``, over the house's own HTTP client."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from headrace.client.exchange import Address, Asked, Head, Lost, Reply, again
from headrace.client.following import Following
from headrace.client.patience import SILENCE, Patience
from headrace.errors import UpstreamError
from headrace.model.events import Event
from headrace.upstreams.http import Exchange, Http

#: What waits between two tries, in seconds.
Sleep = Callable[[float], Awaitable[None]]


class Link:
    """One reply at a time, over a pool's connections. Used by one task at a time."""

    def __init__(self, address: Address, http: Http) -> None:
        self._address = address
        self._http = http
        self._exchange: Exchange | None = None
        self._silence = SILENCE

    async def send(self, asked: Asked, silence: float = SILENCE, *, later: float | None = None) -> Head:
        """Ask, and wait for the head of the reply. So many seconds without a byte of it are a loss. Raises Lost.

        ``later`` is the same for its body, where that is another.
        """
        self._silence = silence if later is None else later
        url = self._address.url + asked.path
        headers = {**self._address.headers, **asked.headers}
        try:
            async with asyncio.timeout(silence):
                self._exchange = await self._http.request(asked.method, url, headers, asked.body or None)
        except (UpstreamError, TimeoutError):
            raise Lost from None
        return Head(self._exchange.status, self._exchange.headers)

    async def read(self) -> bytes:
        """What has come of the reply's body; empty at its end. Raises Lost."""
        assert self._exchange is not None  # noqa: S101 - the head was waited for
        try:
            async with asyncio.timeout(self._silence):
                return await self._exchange.read_some()
        except (UpstreamError, TimeoutError):
            raise Lost from None

    async def read_all(self) -> bytes:
        """The whole body. Raises Lost."""
        parts = []
        while data := await self.read():
            parts.append(data)
        return b"".join(parts)

    def close(self) -> None:
        """Let go of the reply; its connection is kept where all of it was read."""
        if self._exchange is not None:
            self._exchange.release()
            self._exchange = None


class AsyncServer:
    """One server, one question at a time."""

    def __init__(
        self, address: Address, http: Http, *, patience: Patience | None = None, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._link = Link(address, http)
        self._patience = patience or Patience()
        self._sleep = sleep

    async def ask(self, asked: Asked) -> Reply:
        """A question and its whole answer. Raises Refused and Unreachable."""
        try:
            while True:
                try:
                    head = await self._link.send(asked, SILENCE if asked.waits else self._patience.asked())
                    reply = Reply(*head, await self._link.read_all())
                except Lost:
                    pause: float | None = self._patience.pause()
                else:
                    pause = again(reply, self._patience)
                    if pause is None:
                        return reply
                self._link.close()
                await self._sleep(pause or 0.0)
        finally:
            self._link.close()

    async def follow(self, following: Following) -> AsyncGenerator[Event, None]:
        """The events of an answer, until it has an outcome. Raises as ``ask`` does."""
        try:
            while following.goes_on():
                try:
                    asked, silence = following.asked(), following.silence()
                    following.replied(await self._link.send(asked, silence, later=SILENCE))
                    while following.goes_on() and (data := await self._link.read()):
                        for event in following.received(data):
                            yield event
                except Lost:
                    pass  # what is missing is asked for
                self._link.close()
                if following.goes_on() and (pause := following.pause()):
                    await self._sleep(pause)
        finally:
            self._link.close()
