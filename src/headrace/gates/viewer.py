"""Somebody who reads an answer, loses the server, and comes back with the last id."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from headrace.gates.words import chat
from headrace.testing.client import Client

#: Seconds between two tries where a server cannot be asked now.
AGAIN = 0.1


class Asking(NamedTuple):
    """A request, and the name by which its reply goes on: it is repeated with the last id that was seen."""

    method: str
    path: str
    body: object = None
    headers: Mapping[str, str] = {}

    async def ask(self, port: int, last_id: str = "") -> Client:
        """Send it, the first time or again."""
        again = {"Last-Event-ID": last_id} if last_id else {}
        return await Client(port).open(self.method, self.path, self.body, {**self.headers, **again})


class Viewer:
    """One reader of one answer, over as many connections as it takes."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        #: All that it has been shown, and the errors it was told.
        self.text = ""
        self.errors: list[str] = []
        #: Told of an end that looks like a whole answer's.
        self.done = False
        self.connections = 0
        #: Of those, the ones with which it went on after what it had seen.
        self.rejoined = 0
        self.stream = ""
        self._last_id = ""
        self._client: Client | None = None

    async def come(self, port: int) -> "Viewer":
        """Open a connection, and go on after what was seen."""
        self._client = await self._asking.ask(port, self._last_id)
        self.connections += 1
        self.rejoined += bool(self._last_id)
        if self._client.status == 200:
            self.stream = self.stream or self._client.stream
        return self

    async def watch(self, seconds: float = 20.0) -> "Viewer":
        """Read until the reply ends, clean or not. Raises TimeoutError."""
        client = self._client
        if client is None:
            raise RuntimeError("a viewer comes before it watches")
        await client.rest(seconds)
        if client.status != 200:
            self.errors.append(str(client.status))
            return self
        self.text += client.text
        self.errors += client.errors
        self.done |= client.done
        self._last_id = client.last_id or self._last_id
        return self

    async def begun(self) -> "Viewer":
        """Read until something of the answer has been shown."""
        if self._client is not None:
            await self._client.until(lambda client: bool(client.last_id))
        return self

    async def stay(self, port: int, seconds: float = 30.0) -> "Viewer":
        """Read to an end that is told, and come back as often as that takes. Raises TimeoutError.

        A server that cannot be asked (5xx, nobody there) is asked again a moment later, as the stock clients do.
        """
        async with asyncio.timeout(seconds):
            while True:
                if self._client is not None:
                    await self.watch(seconds)
                if self.done or any(not error.startswith("5") for error in self.errors):
                    return self
                await asyncio.sleep(AGAIN if self.errors or self._client is None else 0)
                self.errors.clear()
                await self._come_again(port)

    async def _come_again(self, port: int) -> None:
        self._client = None
        try:
            await self.come(port)
        except (OSError, TimeoutError):
            self.connections += 1


async def two(port: int, name: str, number: int) -> tuple[Viewer, Viewer]:
    """An answer in one of three dialects, read by whoever started it and by an ``EventSource``."""
    message = {"message": name, "model": "m"}
    path, body = [("/v1/chat/completions", chat(name)), ("/chat", message), ("/v1/chat/stream", message)][number % 3]
    starter = Viewer(Asking("POST", path, body, {"Idempotency-Key": name}))
    await starter.come(port)
    return starter, await Viewer(Asking("GET", f"/v1/streams/{starter.stream}")).come(port)
