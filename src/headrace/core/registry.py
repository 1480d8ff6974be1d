"""The registry: the streams of this process, who writes them and who reads them.

Everything that a face may do with a stream goes through here, and so does the question whose it is.
"""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from headrace.core.clock import Clock
from headrace.core.deadlines import NEVER, Deadlines, Limits, Sweep, pause, resolve, unhurried
from headrace.core.generation import Generation
from headrace.core.log import FIRST_COMES, Bound, Head, Log, Name, Newest, Ownership, Signals
from headrace.core.meters import Meters
from headrace.core.reader import Reader
from headrace.core.rendering import Rendering, View
from headrace.core.routing import Attempt
from headrace.core.statistics import Statistics
from headrace.core.stream import NOTHING_SEEN, Cursor, id_in, new_id
from headrace.core.tasks import Tasks
from headrace.core.tracing import PassOn, Tracer
from headrace.core.visits import Visits
from headrace.core.watch import Watch
from headrace.errors import Draining, HeadraceError, NameTaken, NotFound, StoreUnavailable, StreamGone, TooManyStreams
from headrace.model.leave import LeavePolicy
from headrace.model.outcome import Outcome, State
from headrace.model.request import Meta

logger = logging.getLogger("headrace.registry")

#: The kinds of names by which a route may speak of a stream, in the order in which they are asked.
ALL_KINDS = ("client", "idempotency", "upstream-id", "chat")

#: Seconds to wait for the owner of a stream, in another process, to carry out a cancel.
CANCEL_WAIT = 5.0

#: Seconds between two looks whether participants of an abandoned stream are with another process.
PRESENCE_AGAIN = 1.0


class Started(NamedTuple):
    """The stream that a request got; ``fresh`` where the request started it, otherwise it attached."""

    head: Head
    fresh: bool


class Cancelled(NamedTuple):
    """What a cancel did. Where the stream was not ``running``, it had ended before, as ``state``."""

    running: bool
    state: State


class Registry:
    """One for each process; made and closed on its event loop."""

    def __init__(
        self,
        log: Log,
        clock: Clock,
        *,
        deadlines: Deadlines | None = None,
        limits: Limits | None = None,
        keepalive: float = 15.0,
        meters: Meters | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.log = log
        self.clock = clock
        self.deadlines = deadlines or Deadlines()
        self.limits = limits or Limits()
        self.keepalive = keepalive
        self.meters = meters or Meters()
        self._tracer = tracer or PassOn()
        self.sweep = Sweep(clock)
        self.draining = False
        self._generations: dict[str, Generation] = {}
        self._owners: dict[str, int] = {}
        self._renderings: dict[tuple[str, str], Rendering] = {}
        #: How many clients of this process read each stream.
        self._readers: Counter[str] = Counter()
        self._signalling = Tasks("a signal to another process")
        self._signals = log if isinstance(log, Signals) else None
        self._newest = log if isinstance(log, Newest) else None
        self._visits = Visits(self._signals, self._signalling.spawn)
        if self._signals is not None:
            self._signals.on_cancel(self._cancel_here)

    # -- starting ----------------------------------------------------------------------------------------------------

    async def start(
        self,
        meta: Meta,
        attempts: Sequence[Attempt],
        policy: LeavePolicy,
        names: Sequence[Name] = (),
        on_end: Callable[[Outcome | None], None] = lambda _: None,
    ) -> Started:
        """Start a generation, or attach to the stream that has one of the (first-come) names already.

        ``on_end`` is called with the outcome of what was started (None: it was taken away). Raises Draining,
        TooManyStreams, StoreError, and NameTaken where another request has the name. Cancelling it stops nothing half
        way: a stream that was created would else stay open without anybody who writes it.
        """
        if (refusal := self._refusal(meta.owner)) is not None:
            # Where nothing new begins, a retry still finds its stream.
            if (head := await self.named(meta.owner, names)) is None:
                raise refusal
            return Started(head, fresh=False)
        return await unhurried(self._start(meta, attempts, policy, names, on_end))

    async def _start(
        self,
        meta: Meta,
        attempts: Sequence[Attempt],
        policy: LeavePolicy,
        names: Sequence[Name],
        on_end: Callable[[Outcome | None], None],
    ) -> Started:
        id = new_id()
        self._owners[meta.owner] = self._owners.get(meta.owner, 0) + 1
        try:
            bound = await self.log.create(id, meta, names)
        except BaseException:
            self._count_out(meta.owner)
            raise
        if bound.id != id:
            self._count_out(meta.owner)
            return Started(await self._attached(bound, names), fresh=False)
        generation = Generation(
            id,
            log=self.log,
            clock=self.clock,
            attempts=attempts,
            names=names,
            policy=policy,
            deadlines=self.deadlines,
            limits=self.limits,
            on_lost=self._lost,
            on_abandoned=self._abandoned,
            watch=Watch(id, attempts[0].call, self.meters, self._tracer, self.clock),
        )
        self._generations[id] = generation
        generation.ended.add_done_callback(lambda _: self._ended(generation, meta.owner))
        generation.ended.add_done_callback(lambda _: on_end(generation.outcome))
        self.sweep.add(generation)
        if policy.seconds is not None:
            generation.abandon_in(max(policy.seconds, PRESENCE_AGAIN))  # in case that the starter never reads
        generation.start()
        return Started(Head(id, meta, "", 0), fresh=True)

    def _refusal(self, owner: str) -> HeadraceError | None:
        """Why nothing new begins now, if that is so."""
        if self.draining:
            return Draining()
        if len(self._generations) >= self.limits.open_streams:
            return TooManyStreams("Too many answers are being written on this server.")
        return TooManyStreams() if self._owners.get(owner, 0) >= self.limits.open_streams_per_owner else None

    async def named(self, owner: str, names: Sequence[Name]) -> Head | None:
        """The stream that a request with one of these (first-come) names has started before.

        Raises NameTaken where that was another request, and StreamGone where it is no longer kept.
        """
        for name in names:
            if name.kind in FIRST_COMES and (bound := await self.log.resolve(owner, name.name, (name.kind,))):
                return await self._attached(bound, names)
        return None

    async def _attached(self, bound: Bound, names: Sequence[Name]) -> Head:
        if any(name.fingerprint != bound.fingerprint for name in names if name.kind == "idempotency"):
            raise NameTaken(param="Idempotency-Key")
        head = await self.log.head(bound.id)
        if head is None or head.gone:
            raise StreamGone
        return head

    # -- finding and reading -----------------------------------------------------------------------------------------

    async def find(self, owner: str, reference: str, kinds: Sequence[str] = ALL_KINDS) -> Head:
        """An owner's stream by its id (under any dialect's prefix), or by a name of one of the ``kinds``.

        Raises NotFound, also for what is somebody else's, and StreamGone for one's own that is no longer kept.
        """
        head = await self.log.head(meant) if (meant := id_in(reference)) else None
        if head is None and (bound := await self.log.resolve(owner, reference, kinds)):
            head = await self.log.head(bound.id)
        if head is None or head.meta.owner != owner:
            raise NotFound("There is no such stream.")
        if head.gone:
            raise StreamGone
        return head

    def read(self, head: Head, view: View, cursor: Cursor, *, participant: bool) -> Reader:
        """A reader that has seen what is up to ``cursor``. The caller has made sure that it is not past the end.

        A ``participant`` keeps the stream's generation alive by being there; an observer does not.
        Raises TooManyStreams where the stream has too many readers.
        """
        if self._readers[head.id] >= min(self.limits.readers_per_stream, head.meta.readers or sys.maxsize):
            raise TooManyStreams("Too many clients are reading this stream.")
        self._readers[head.id] += 1
        key = (head.id, view.name)
        rendering = self._renderings.get(key)
        if rendering is None or rendering.broken is not None:  # whoever has that one to its end may take long
            rendering = Rendering(self.log, self._newest, head, view, cursor.step + 1, self.keepalive)
            self._renderings[key] = rendering
            self.sweep.add(rendering)
        rendering.readers += 1
        if cursor != NOTHING_SEEN:
            self.meters.replays.add()
        participant = participant and head.outcome is None
        if participant:
            self._join(head.id)
        return Reader(self.log, self.clock, head, view, rendering, cursor, self._leave if participant else self._quit)

    def _quit(self, reader: Reader) -> None:
        rendering = reader.rendering
        rendering.readers -= 1
        self._readers[rendering.id] -= 1
        if not self._readers[rendering.id]:
            del self._readers[rendering.id]
        if rendering.readers == 0:
            rendering.close()
            self.sweep.discard(rendering)
            if self._renderings.get(key := (rendering.id, rendering.view.name)) is rendering:
                del self._renderings[key]

    # -- being there -------------------------------------------------------------------------------------------------

    def _join(self, id: str) -> None:
        if generation := self._generations.get(id):
            generation.join()
        else:
            self._visits.join(id)

    def _leave(self, reader: Reader) -> None:
        self._quit(reader)
        id = reader.id
        if generation := self._generations.get(id):
            generation.leave()
        else:
            self._visits.leave(id)

    def _abandoned(self, generation: Generation) -> None:
        """Nobody is left here; somebody may be with another process."""
        if self._signals is None:
            generation.stop(State.CANCELLED, "abandoned")
        else:
            self._signalling.spawn(self._abandon(generation, self._signals))

    async def _abandon(self, generation: Generation, signals: Signals) -> None:
        present = await signals.present(generation.id)
        if generation.participants:
            return
        if present:
            generation.visited = True
            generation.abandon_in(PRESENCE_AGAIN)
        elif generation.visited:
            # The last one left another process just now, and has as long to come back as anybody.
            generation.visited = False
            generation.last_left()
        else:
            generation.stop(State.CANCELLED, "abandoned")

    # -- ending ------------------------------------------------------------------------------------------------------

    async def cancel(self, head: Head) -> Cancelled:
        """Stop a stream, whichever process writes it; idempotent. Returns when it has ended.

        Raises StoreUnavailable where its process does not answer.
        """
        if head.outcome is not None:
            return Cancelled(running=False, state=head.outcome.state)
        if generation := self._generations.get(head.id):
            generation.stop(State.CANCELLED, "cancelled")
            await asyncio.wait([generation.ended], timeout=CANCEL_WAIT)
            return self._cancelled(generation.outcome)
        if self._signals is None:
            raise StoreUnavailable
        await self._signals.send_cancel(head.id)
        return self._cancelled(await self._outcome(head.id, CANCEL_WAIT))

    @staticmethod
    def _cancelled(outcome: Outcome | None) -> Cancelled:
        if outcome is None:
            raise StoreUnavailable("The stream's end could not be written yet.")
        return Cancelled(running=outcome.state is State.CANCELLED, state=outcome.state)

    def _cancel_here(self, id: str) -> None:
        if generation := self._generations.get(id):
            generation.stop(State.CANCELLED, "cancelled")

    async def finished(self, id: str) -> Outcome | None:
        """Wait for the end of a stream, however long that takes; None where it was deleted first."""
        if generation := self._generations.get(id):
            await asyncio.wait([generation.ended])
        return await self._outcome(id, NEVER)

    async def _outcome(self, id: str, seconds: float) -> Outcome | None:
        """How the stream has ended, within so many seconds; None where it has not."""
        deadline = self.clock.monotonic() + seconds
        while (head := await self.log.head(id)) and not head.gone and head.outcome is None:
            if self.clock.monotonic() >= deadline:
                return None
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            wake = partial(resolve, woken)
            timer = self.clock.call_later(deadline - self.clock.monotonic(), wake) if seconds < NEVER else None
            try:
                batch = await self.log.read(id, head.tail, max_bytes=1, wake=wake)
                if not batch.records and batch.outcome is None:
                    await woken
            finally:
                self.log.forget(id, wake)
                if timer is not None:
                    timer.cancel()
        return head.outcome if head else None

    async def delete(self, head: Head) -> None:
        """Stop a stream and remove what it holds; its readers are told."""
        if head.outcome is None:
            await self.cancel(head)
        await self.log.drop(head.id)

    def _ended(self, generation: Generation, owner: str) -> None:
        self._generations.pop(generation.id, None)
        self.sweep.discard(generation)
        self._count_out(owner)

    def _count_out(self, owner: str) -> None:
        self._owners[owner] -= 1
        if not self._owners[owner]:
            del self._owners[owner]

    def _lost(self, id: str) -> None:
        """An end could not be committed: cut the readers, who will come back."""
        for rendering in [r for r in self._renderings.values() if r.id == id]:
            del self._renderings[rendering.id, rendering.view.name]  # first: who follows it leaves at once
            rendering.break_off(StoreUnavailable())

    # -- the process -------------------------------------------------------------------------------------------------

    async def reap(self) -> Sequence[str]:
        """End the streams of dead processes as interrupted."""
        if not isinstance(self.log, Ownership):
            return ()
        reaped = await self.log.reap(self._interrupted)
        if reaped:
            self.meters.ended.add(str(State.INTERRUPTED), "interrupted", by=len(reaped))
            logger.warning("%d streams of a dead process are interrupted", len(reaped))
        return reaped

    def _interrupted(self, _: Head) -> Outcome:
        return Outcome(
            state=State.INTERRUPTED, reason="interrupted", ended_at=self.clock.time(), status=502, retryable=True
        )

    async def drain(self, seconds: float) -> None:
        """Start nothing more; give what runs its time, then end it as interrupted, so that readers are told."""
        self.draining = True
        deadline = self.clock.monotonic() + seconds
        while self._generations and self.clock.monotonic() < deadline:
            await pause(self.clock, min(0.1, deadline - self.clock.monotonic()))
        running = list(self._generations.values())
        for generation in running:
            generation.stop(State.INTERRUPTED, "shutdown")
        if running:
            await asyncio.wait([generation.ended for generation in running], timeout=CANCEL_WAIT)

    async def close(self) -> None:
        """Let go of everything; nothing may be read or written after."""
        self.sweep.close()
        for generation in list(self._generations.values()):
            generation.kill()
        if tasks := [g.task for g in self._generations.values() if g.task]:
            await asyncio.wait(tasks, timeout=CANCEL_WAIT)
        await self._signalling.close(CANCEL_WAIT)

    def statistics(self) -> Statistics:
        """Count."""
        return Statistics(
            open_streams=len(self._generations),
            renderings=len(self._renderings),
            readers=sum(rendering.readers for rendering in self._renderings.values()),
            held=sum(rendering.held for rendering in self._renderings.values()),
        )

    def readers(self) -> Mapping[str, int]:
        """How many clients of this process read each stream."""
        return self._readers

    def upstream_of(self, id: str) -> str:
        """The upstream that this process asks for an open stream; empty where another process does."""
        return self._generations[id].upstream if id in self._generations else ""
