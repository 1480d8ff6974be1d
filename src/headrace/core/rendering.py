"""The rendering: a log as the clients of one dialect see it, made once for all of them.

A face says how by a :class:`View`: a pure fold over the records, and a framing that writes each frame with its cursor.
To resume is to fold again and to skip what was seen, so no state of a fold is ever stored.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from headrace.core.log import Batch, Head, Log, Newest
from headrace.core.stream import NOTHING_SEEN, Cursor
from headrace.core.tasks import Contained, note
from headrace.errors import HeadraceError, StoreUnavailable, StreamGone
from headrace.model.outcome import Outcome
from headrace.model.record import Record

#: What one read of the log, and one send to a client, brings at the most (bytes, about).
PIECE = 16 << 10

#: What a rendering keeps for readers that are a little behind (bytes).
RING = 16 * PIECE

#: What a rendering is broken with while something may break it; one for all, for it is put there for each chunk.
_UNFORESEEN = StoreUnavailable()


class Fold(Protocol):
    """The frames of one dialect, as a pure fold: the same records give the same frames, whoever asks and whenever."""

    #: Whether what a record becomes depends on that record alone; then a resumption need not begin at the start.
    stateless: bool

    def start(self) -> Sequence[Record]:
        """What is said before the first record."""

    def open(self, format: str) -> None:
        """Learn the records' format; called before the first record."""

    def record(self, record: Record) -> Sequence[Record]:
        """What a record becomes."""

    def end(self, outcome: Outcome) -> Sequence[Record]:
        """How the end is told; nothing where this dialect cannot tell it, and the connection is to be cut."""


class View(NamedTuple):
    """How a face shows streams. Readers with views of the same ``name`` share a rendering."""

    name: str
    fold: Callable[[Head], Fold]
    #: Writes a frame with the cursor that a client has reached when it has read it.
    frame: Callable[[Record, str], bytes]
    #: Written before a cursor where the URL does not name the stream.
    prefix: str = ""
    #: What keeps an idle connection open.
    ping: bytes = b""
    #: After how many seconds; 0 is as the registry has it.
    keepalive: float = 0.0


class Renderer:
    """A fold with its place: turns batches of the log into the bytes of steps."""

    def __init__(self, view: View, head: Head, begin: int = 0, seen: Cursor = NOTHING_SEEN) -> None:
        """Begin at the step ``begin`` where the fold allows it, else at the start.

        What a client at ``seen`` has already becomes nothing.
        """
        self._view = view
        self._seen = seen
        self._fold = view.fold(head)
        #: The format of the records is known.
        self.opened = bool(head.format)
        if head.format:
            self._fold.open(head.format)
        #: The next step to be rendered, and the last record that is not needed any more.
        self.next = begin if self.opened and self._fold.stateless else 0
        self.after = max(0, self.next - 1)
        #: The dialect has said how the stream ended.
        self.told_end = False

    def start(self) -> bytes:
        """Render step 0."""
        return self._frames(self._fold.start())

    async def open(self, log: Log, id: str) -> None:
        """Learn the format of the records; needed once, before the first of them is rendered.

        Raises StreamGone where the stream was dropped meanwhile: without a format all it said would become nothing.
        """
        head = await log.head(id)
        if head is None or head.gone:
            raise StreamGone
        self._fold.open(head.format)
        self.opened = True

    def render(self, batch: Batch) -> list[bytes]:
        """Render a step for each record, and one for the end where the batch has it."""
        steps = [self._frames(self._fold.record(record)) for record in batch.records]
        if batch.outcome is not None:
            frames = self._fold.end(batch.outcome)
            self.told_end = bool(frames)
            steps.append(self._frames(frames))
        return steps

    def parting(self, outcome: Outcome) -> bytes:
        """Tell an end that has no place in the log: without ids, so that no cursor points at it."""
        return b"".join(self._view.frame(frame, "") for frame in self._fold.end(outcome))

    def _frames(self, frames: Sequence[Record]) -> bytes:
        """Write the frames of the next step."""
        step, view, seen = self.next, self._view, self._seen
        self.next, self.after = step + 1, step
        if step <= seen.step:
            return b""
        if len(frames) == 1 and not seen.part:
            return view.frame(frames[0], view.prefix + str(step))
        last = len(frames)
        skip = seen.part if step == seen.step + 1 else 0
        return b"".join(
            view.frame(frame, f"{view.prefix}{step}" if number == last else f"{view.prefix}{step}.{number}")
            for number, frame in enumerate(frames[skip:], skip + 1)
        )


class Rendering:
    """The live rendering of one stream in one view, with a bounded ring of its newest steps.

    Readers pull: whoever finds nothing new reads the log, for all. A wake-up of the log wakes them all.
    """

    def __init__(self, log: Log, newest: Newest | None, head: Head, view: View, begin: int, keepalive: float) -> None:
        """Begin at the step ``begin``. ``newest`` is the log where it has that ability; ``keepalive`` is in seconds."""
        self.id = head.id
        self.view = view
        self._log = log
        self._keepalive = view.keepalive or keepalive
        self._renderer = Renderer(view, head, begin)
        self._ring: list[bytes] = []
        self._size = 0
        #: The oldest step in the ring, and the one that comes into it next.
        self.base = self.next = self._renderer.next
        #: How the stream ended, once that is rendered.
        self.outcome: Outcome | None = None
        #: Why no more can be rendered.
        self.broken: HeadraceError | None = None
        self.readers = 0
        #: How many keep-alives were due.
        self.pings = 0
        self._active = True
        self._quiet_since = 0.0
        self._waiters: list[asyncio.Future[None]] = []
        self._armed = False
        self._advancing = False
        #: Called when there may be more in the ring, and after a nudge: for readers without a task.
        self._followers: dict[Callable[[], None], None] = {}
        self._newest = newest
        self._pumping: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._contained = Contained(f"rendering {head.id}")
        if self.base == 0:
            self._push([self._renderer.start()])

    @property
    def told_end(self) -> bool:
        """The dialect has said how the stream ended."""
        return self._renderer.told_end

    @property
    def waiting(self) -> int:
        """How many readers wait for news."""
        return len(self._waiters)

    @property
    def held(self) -> int:
        """Bytes in the ring."""
        return self._size

    def take(self, step: int) -> tuple[bytes, int]:
        """About one piece of bytes from ``step`` on, and the step after them."""
        ring, first = self._ring, step - self.base
        size, last = 0, first
        while size < PIECE and last < len(ring):
            size += len(ring[last])
            last += 1
        return ring[first] if last == first + 1 else b"".join(ring[first:last]), self.base + last

    @property
    def busy(self) -> bool:
        """Nothing is to be had now: the log is being read, or will wake us when there is news."""
        return self._armed or self._advancing

    def waiter(self) -> "asyncio.Future[None]":
        """Done when there may be more in the ring, or after a nudge."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def nudge(self) -> None:
        """Wake all readers that wait, and soon tell those who follow."""
        self._rouse()
        if self._followers:
            self._loop.call_soon(self._tell)

    def _rouse(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def follow(self, follower: Callable[[], None]) -> None:
        """Have it called whenever there may be more, until :meth:`unfollow`. It must not raise."""
        self._followers[follower] = None

    def unfollow(self, follower: Callable[[], None]) -> None:
        """Call it no more."""
        self._followers.pop(follower, None)

    def _tell(self) -> None:
        for follower in tuple(self._followers):
            with self._contained:
                follower()

    def tick(self, now: float) -> None:
        """Have a keep-alive sent where readers have been waiting for long."""
        if self._active:
            self._active = False
            self._quiet_since = now
        elif now - self._quiet_since >= self._keepalive:
            self._quiet_since = now
            self.pings += 1
            self.nudge()

    def break_off(self, error: HeadraceError) -> None:
        """Render no more: what the store could not keep is told to nobody."""
        self.broken = error
        self.nudge()

    def close(self) -> None:
        """Nobody reads any more."""
        if self._pumping is not None:
            self._pumping.cancel()
        self._disarm()

    def _disarm(self) -> None:
        if self._armed:
            self._armed = False
            self._log.forget(self.id, self._wake)

    def parting(self, outcome: Outcome) -> bytes:
        """Tell an end that has no place in the log."""
        return self._renderer.parting(outcome)

    def _wake(self) -> None:
        """Take the news now, for those who follow: they have it in the turn of the loop in which it was committed."""
        self._armed = False
        if self._followers and not self._advancing and self._pumping is None:
            self._take_news()
        else:
            self._rouse()

    def want(self) -> None:
        """Soon have the log read for those who follow, unless that is so already.

        Not now: however long the log is, each piece of it lets others run.
        """
        if not (self._armed or self._advancing or self._pumping):
            self._advancing = True
            self._loop.call_soon(self._take_news)

    def _take_news(self) -> None:
        """Read on without waiting where the log can show it, and tell; else have it read by a task. Raises nothing.

        Who wakes us is in the middle of a commit for all, and has nothing to do with what a fold may raise.
        """
        self._advancing = False
        if self.broken is not None or not self.readers:
            return
        self.broken = _UNFORESEEN  # unless all goes well: nobody waits for what does not come
        with self._contained:
            try:
                batch = self._glance()
                if batch is not None:
                    self._armed = batch.waits
                    self._take(batch)
                elif self._followers:
                    self._pumping = self._loop.create_task(self._pump(), name=f"rendering {self.id}")
                    self._pumping.add_done_callback(note)
                self.broken = None
            except HeadraceError as error:
                self.broken = error
            if self._waiters:
                self._rouse()
            for follower in tuple(self._followers):
                follower()
            return
        # After what nobody foresaw all are told, some once more, and each by itself.
        self._rouse()
        self._tell()

    def _glance(self) -> Batch | None:
        if self._newest is None or not self._renderer.opened:
            return None
        return self._newest.newest(self.id, self._renderer.after, max_bytes=PIECE, wake=self._wake)

    async def _pump(self) -> None:
        """Read the log for those who follow, as long as it cannot show its news without waiting."""
        try:
            while self._followers and self.outcome is None and self.broken is None:
                if self.busy:
                    await self.waiter()
                else:
                    await self.advance()
                if self._newest is not None and self._renderer.opened:
                    break
        finally:
            self._pumping = None
        self.nudge()

    async def advance(self) -> None:
        """Read the log once, for all readers; where there is nothing new, arm the wake-up. Not called while busy."""
        self._advancing = self._armed = True
        taken = False
        try:
            batch = await self._log.read(self.id, self._renderer.after, max_bytes=PIECE, wake=self._wake)
            if not batch.waits:
                self._armed = False
            if batch.records and not self._renderer.opened:
                await self._renderer.open(self._log, self.id)
            self._take(batch)
            taken = True
        except HeadraceError as error:
            self.broken = error
        finally:
            self._advancing = False
            if not taken:  # whoever waits looks again, and at once: who has left in the middle may have left no wake
                self._disarm()
            self.nudge()

    def _take(self, batch: Batch) -> None:
        if batch.records or batch.outcome is not None:
            was, self.broken = self.broken, _UNFORESEEN  # unless the fold takes it: it cannot be asked again
            self._push(self._renderer.render(batch))
            self.broken = was
            self.outcome = batch.outcome

    def _push(self, steps: list[bytes]) -> None:
        self._active = True
        self._ring.extend(steps)
        self.next += len(steps)
        for data in steps:
            self._size += len(data)
        if self._size > RING:
            self._shrink()

    def _shrink(self) -> None:
        """Drop the oldest, an eighth at once: one by one is dear with a list; but a deque holds 0.7 KB when idle."""
        gone = 0
        while self._size > RING - RING // 8 and gone < len(self._ring) - 1:
            self._size -= len(self._ring[gone])
            gone += 1
        del self._ring[:gone]
        self.base += gone
