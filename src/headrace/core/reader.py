"""The reader: one client's way through a stream, at its own pace.

It follows the live rendering that it shares with others. When it has fallen further behind than that remembers, or
comes late, it reads the log by itself until it has caught up; so a slow client costs one piece of memory, and nobody
else anything.
"""

import asyncio
from collections.abc import Callable

from headrace.core.clock import Clock
from headrace.core.log import Head, Log
from headrace.core.rendering import PIECE, Renderer, Rendering, View
from headrace.core.stream import Cursor
from headrace.errors import StoreError, StreamGone
from headrace.model.outcome import Outcome, State

#: What readers are told of a stream that is deleted under their eyes.
_GONE = Outcome(state=State.FAILED, reason="gone", ended_at=0.0, status=410)


class Reader:
    """One client of one stream. ``read`` is called by one task; ``close`` at the end, whatever happened."""

    def __init__(
        self,
        log: Log,
        clock: Clock,
        head: Head,
        view: View,
        rendering: Rendering,
        cursor: Cursor,
        on_close: Callable[["Reader"], None],
    ) -> None:
        self.id = head.id
        self._log = log
        self._clock = clock
        self._head = head
        self._view = view
        self.rendering = rendering
        self._on_close = on_close
        #: Everything before this step has been read.
        self._step = cursor.step + 1
        #: Where this reader is by itself: its own fold, and the step that it must have come to at least.
        self._own = Renderer(view, head, self._step, cursor) if cursor.part else None
        self._goal = self._step + bool(cursor.part)
        self._gone = False
        #: How the stream ended, once ``read`` has come to its end.
        self.outcome: Outcome | None = None
        self._pings = rendering.pings

    async def read(self) -> bytes:
        """The next bytes, a keep-alive where there has been nothing for a while, and nothing at the end.

        Raises StoreError where the rest cannot be read.
        """
        rendering = self.rendering
        while True:
            if self._own is not None or self._step < rendering.base:
                data = await self._catch_up()
            elif self._step < rendering.next:
                data, self._step = rendering.take(self._step)
            elif rendering.outcome is not None or self._gone:
                self.outcome = rendering.outcome or _GONE
                return b""
            elif rendering.broken is not None:
                data = self._broken(rendering.broken)
            else:
                if rendering.busy:
                    await rendering.waiter()
                else:
                    await rendering.advance()
                if data := self._ping():
                    return data
                continue
            if data:
                return data

    def now(self) -> bytes | None:
        """The next bytes where they are there now; None where ``read`` must be awaited for them.

        Nothing is the end where there is an ``outcome``, else there is nothing new: whoever follows the rendering is
        called when there is. Raises StoreError where the rest cannot be read.
        """
        rendering = self.rendering
        while self._own is None and self._step >= rendering.base:
            if self._step < rendering.next:
                data, self._step = rendering.take(self._step)
                if data:
                    return data
            elif rendering.outcome is not None or self._gone:
                self.outcome = rendering.outcome or _GONE
                return b""
            elif rendering.broken is not None:
                if data := self._broken(rendering.broken):
                    return data
            else:
                rendering.want()
                return self._ping()
        return None

    def _ping(self) -> bytes:
        """A keep-alive, where one is due and nothing has come since."""
        rendering = self.rendering
        if rendering.pings == self._pings:
            return b""
        self._pings = rendering.pings
        return self._view.ping if self._step >= rendering.next else b""

    async def settle(self, seconds: float) -> None:
        """Return once the first record is there, or the end, or after so many seconds."""
        rendering = self.rendering
        late = False

        def on_time() -> None:
            nonlocal late
            late = True
            rendering.nudge()

        timer = self._clock.call_later(seconds, on_time)
        try:
            while not (late or rendering.next > 1 or rendering.broken is not None):
                if rendering.busy:
                    await rendering.waiter()
                else:
                    await rendering.advance()
        finally:
            timer.cancel()

    @property
    def told_end(self) -> bool:
        """The dialect has told the client how the stream ended."""
        return self._gone or self.rendering.told_end

    def close(self) -> None:
        """Leave."""
        self._on_close(self)

    def _broken(self, error: Exception) -> bytes:
        """The stream is deleted: tell it. The store fails: raise."""
        if not isinstance(error, StreamGone):
            raise error.with_traceback(None) if isinstance(error, StoreError) else StoreError
        self._gone = True
        return self.rendering.parting(_GONE)

    async def _catch_up(self) -> bytes:
        """Read one piece of the log with a fold of one's own; at the ring's edge join the others."""
        own = self._own
        if own is None:
            own = self._own = Renderer(self._view, self._head, self._step, Cursor(self._step - 1))
            self._goal = self._step
        if own.next == 0:
            data = own.start()
        else:
            batch = await self._log.read(self.id, own.after, max_bytes=PIECE)
            if batch.records and not own.opened:
                await own.open(self._log, self.id)
            data = b"".join(own.render(batch))
        if own.next >= max(self._goal, self.rendering.base):
            self._step = own.next
            self._own = None
        elif not data:
            # A long fold that shows nothing yet must let others run.
            await asyncio.sleep(0)
        return data
