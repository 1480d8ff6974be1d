"""The streaming reply: one reader's bytes as one HTTP response, in plain ASGI.

Everything that is available goes out in one send, and a send that blocks stops this reader only. A body ends cleanly
only where the answer completed or its dialect has told how it ended; otherwise the reply returns without its last part,
and the server breaks the connection (no zero chunk on HTTP/1.1, RST_STREAM on HTTP/2), which is what tells stock
clients of an unfinished answer.
"""

import asyncio
from collections.abc import Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headrace.core.deadlines import NEVER
from headrace.core.reader import Reader
from headrace.core.registry import Registry
from headrace.errors import HeadraceError
from headrace.faces.delivery import DETACH, Delivery, Detach, with_retry
from headrace.faces.pace import pace_of
from headrace.model.outcome import Outcome, State

#: What every streaming reply says to proxies and caches. nginx reads X-Accel-Buffering.
NO_BUFFERING = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}

#: The bounds of ``retry:`` in milliseconds. It is jittered, so that readers who were cut together come back apart; and
#: less than the default linger of five seconds, so that who was cut finds its answer running.
RETRY = (2000, 4000)

#: In a scope: how the server itself takes a message. The app's outermost layer puts it there.
SEND = "headrace.send"


async def left(receive: Receive) -> None:
    """Return when the client has left. A server tells that only to somebody who asks."""
    while (await receive())["type"] != "http.disconnect":
        pass


class StreamReply(Response):
    """Sends what a reader reads. The reader is closed with the reply, however that ends.

    ``gate`` is for how many seconds the status is held back until there is a record; an answer that fails by then
    becomes ``refused(outcome)``, with the status that it deserves. ``send_timeout`` is in seconds. ``retry`` are the
    bounds, in milliseconds, of what the first event says of it; True is ``RETRY``.
    """

    def __init__(
        self,
        registry: Registry,
        reader: Reader,
        *,
        media_type: str,
        headers: Mapping[str, str],
        send_timeout: float,
        gate: float = 0.0,
        refused: Callable[[Outcome], Response] | None = None,
        retry: tuple[int, int] | bool = False,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.media_type = media_type
        self.init_headers({**NO_BUFFERING, **headers})
        self._registry = registry
        self._reader = reader
        self._send_timeout = send_timeout
        self._gate = gate
        self._refused = refused
        self._retry = RETRY if retry is True else retry or None
        self._task: asyncio.Task[None] | None = None
        self._send_due = NEVER
        self._left = False
        self._delivery: Delivery | None = None
        #: The body has ended cleanly.
        self.whole = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply. Returns early, without the last part of the body, where the answer did not complete."""
        # A server tells of a client who leaves only to somebody who asks.
        watcher = asyncio.create_task(self._watch(receive))
        # In a task of its own: a wake-up then resumes this and not the frames of the framework around it, which cost
        # more than the sending does.
        self._task = asyncio.create_task(self._reply(scope, receive, send))
        self._registry.sweep.add(self)
        try:
            await self._task
        except asyncio.CancelledError:
            if not self._left:
                raise
        except OSError:
            self._left = True  # that is how some servers tell it on send
        finally:
            watcher.cancel()
            self._task.cancel()
            self._registry.sweep.discard(self)
            if self._delivery is None or not self._delivery.begun:
                self._reader.close()

    def tick(self, now: float) -> None:
        """Let a client go that takes nothing of what it is sent; it can rejoin."""
        if now >= self._send_due:
            self._leave()

    async def _watch(self, receive: Receive) -> None:
        await left(receive)
        self._leave()

    def _leave(self) -> None:
        self._send_due = NEVER
        if not self._left and self._task is not None:
            self._left = True
            self._task.cancel()

    async def _reply(self, scope: Scope, receive: Receive, send: Send) -> None:
        reader = self._reader
        if self._gate and self._refused is not None:
            await reader.settle(self._gate)
            outcome = reader.rendering.outcome
            if outcome is not None and outcome.state is not State.COMPLETED and not await self._has_records():
                await self._refused(outcome)(scope, receive, send)
                self.whole = True
                return
        if scope.get("http_version", "1.1") == "1.1":
            self.headers["connection"] = "keep-alive"
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if (detach := scope.get(DETACH)) is not None and self._deliver(detach):
            return
        # What the layers in between have to say, they have said of the head; the body goes straight to the server.
        send = scope.get(SEND, send)
        await self._send_all(send)
        outcome = reader.outcome
        if outcome is not None and (outcome.state is State.COMPLETED or reader.told_end):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            self.whole = True

    def _deliver(self, detach: Detach) -> bool:
        """Go on below ASGI; False where this server does not hand its connection out."""
        registry, reader = self._registry, self._reader
        pace = pace_of(registry, reader)
        self._delivery = Delivery(registry, reader, send_timeout=self._send_timeout, pace=pace, retry=self._retry)
        return self._delivery.begin(detach)

    async def _send_all(self, send: Send) -> None:
        """Send what there is; where the rest cannot be read, the reply ends unfinished."""
        read, sweep, retry = self._reader.read, self._registry.sweep, self._retry
        pace = pace_of(self._registry, self._reader)
        try:
            while data := await read():
                if pace is not None:
                    pace.send(data)
                if retry and not data.startswith(b":"):  # a keep-alive stays a block of its own
                    data = with_retry(data, retry)
                    retry = None
                self._send_due = sweep.now + self._send_timeout
                await send({"type": "http.response.body", "body": data, "more_body": True})
                self._send_due = NEVER
        except HeadraceError:
            return

    async def _has_records(self) -> bool:
        head = await self._registry.log.head(self._reader.id)
        return head is not None and head.tail > 0
