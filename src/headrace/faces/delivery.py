"""The delivery: one reader's bytes on their way onto a connection, with no task while there is nothing to send.

It is how a streaming reply goes on below ASGI, where the server hands its connection out: the application's call has
returned by then, so what is left of an idle reader is its place in the stream. A connection that is full stops this
reader only.
"""

import asyncio
from collections.abc import Callable
from random import randint
from typing import Protocol

from headrace.core.deadlines import NEVER
from headrace.core.reader import Reader
from headrace.core.registry import Registry
from headrace.core.tasks import note
from headrace.errors import HeadraceError
from headrace.faces.pace import Pace
from headrace.model.outcome import State


class Wire(Protocol):
    """A connection whose reply has begun. After ``end`` or ``cut`` it is not used any more."""

    #: More would only be held in memory: wait for ``ready``.
    full: bool

    def write(self, data: bytes) -> None:
        """Send a piece of the body."""

    def end(self) -> None:
        """End the body cleanly; the connection may serve another request."""

    def cut(self) -> None:
        """Break the connection, so that the client takes the body for unfinished."""


#: In a scope: takes the body of a reply that has begun out of the application's hands. Returns None where that cannot
#: be; else ``ready`` is called when a full wire has room again, and ``lost`` once where the connection breaks.
Detach = Callable[[Callable[[], None], Callable[[], None]], Wire | None]
DETACH = "headrace.detach"


class Delivery:
    """Delivers what a reader reads, and closes it at the end. ``send_timeout`` is in seconds."""

    __slots__ = (
        "_due",
        "_follows",
        "_pace",
        "_reader",
        "_reading",
        "_registry",
        "_retry",
        "_send_timeout",
        "_wire",
        "_writing",
        "begun",
    )

    def __init__(
        self,
        registry: Registry,
        reader: Reader,
        *,
        send_timeout: float,
        pace: Pace | None,
        retry: tuple[int, int] | None,
    ) -> None:
        self._registry = registry
        self._reader = reader
        self._send_timeout = send_timeout
        self._pace = pace
        self._retry = retry
        #: The connection was had: from then on the reader is closed here.
        self.begun = False
        self._wire: Wire | None = None
        self._reading: asyncio.Task[None] | None = None
        self._writing = False
        #: The rendering calls when there is news.
        self._follows = False
        self._due = NEVER

    def begin(self, detach: Detach) -> bool:
        """Deliver from now on; False where the connection cannot be had."""
        self._wire = detach(self._go, self._close)
        if self._wire is None:
            return False
        self.begun = True
        self._registry.sweep.add(self)
        self._go()
        return True

    def tick(self, now: float) -> None:
        """Let a client go that takes nothing of what it is sent; it can rejoin."""
        if now >= self._due:
            self._cut()

    def _go(self) -> None:
        """Send what there is, until nothing is left or the wire is full."""
        wire = self._wire
        if wire is None or self._writing or self._reading is not None:
            return
        self._writing = True
        whole = False
        try:
            whole = self._send_all(wire)
        except HeadraceError:
            pass
        finally:
            self._writing = False
            if not whole:
                self._cut()

    def _send_all(self, wire: Wire) -> bool:
        """False where the reply must end unfinished."""
        reader = self._reader
        while not wire.full:
            data = reader.now()
            if data:
                self._send(wire, data)
            elif data is None:
                self._reading = asyncio.create_task(self._read(wire), name=f"reading {reader.id}")
                self._reading.add_done_callback(note)
                break
            elif reader.outcome is not None:
                return self._end(wire)
            else:
                break
        if wire.full or not self._follows:
            self._follow(ready=not wire.full)
        return True

    def _follow(self, *, ready: bool) -> None:
        """Hear of news while the wire is ready for them; else wait for that, and not for ever."""
        rendering = self._reader.rendering
        self._follows = ready
        if ready:
            self._due = NEVER
            rendering.follow(self._go)
        elif self._due == NEVER:
            self._due = self._registry.sweep.now + self._send_timeout
            rendering.unfollow(self._go)

    async def _read(self, wire: Wire) -> None:
        """Send one piece that has to be waited for."""
        whole = False
        try:
            data = await self._reader.read()
            self._reading = None
            if data:
                self._send(wire, data)
            whole = bool(data) or self._end(wire)
        except HeadraceError:
            pass
        finally:
            self._reading = None
            if not whole:
                self._cut()
        self._go()

    def _send(self, wire: Wire, data: bytes) -> None:
        if self._pace is not None:
            self._pace.send(data)
        if self._retry and not data.startswith(b":"):  # a keep-alive stays a block of its own
            data = with_retry(data, self._retry)
            self._retry = None
        self._due = NEVER  # it takes something
        wire.write(data)

    def _end(self, wire: Wire) -> bool:
        """End cleanly where the answer completed, or its dialect has told how it ended."""
        outcome = self._reader.outcome
        if outcome is None or not (outcome.state is State.COMPLETED or self._reader.told_end):
            return False
        self._close()
        wire.end()
        return True

    def _cut(self) -> None:
        wire = self._wire
        self._close()
        if wire is not None:
            wire.cut()

    def _close(self) -> None:
        if self._wire is None:
            return
        self._wire = None
        self._due = NEVER
        if self._reading is not None:
            self._reading.cancel()
        self._registry.sweep.discard(self)
        self._reader.rendering.unfollow(self._go)
        self._reader.close()


def with_retry(data: bytes, bounds: tuple[int, int]) -> bytes:
    """The same events, the first with how many milliseconds a client waits before it comes back: within the bounds."""
    return data.replace(b"\n\n", b"\nretry: %d\n\n" % randint(*bounds), 1)  # noqa: S311
