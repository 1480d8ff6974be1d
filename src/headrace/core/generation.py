"""The generation: pulls one answer from an upstream and appends it to a log.

It runs in a task that the server owns, never inside a response, so that leaving is a signal to it and not its end.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from headrace.core.clock import Clock
from headrace.core.deadlines import NEVER, Deadlines, Limits, pause
from headrace.core.flow import Flow, Stopped, flows
from headrace.core.log import Appended, Log, Name
from headrace.core.meters import reason_of
from headrace.core.routing import Answer, Attempt
from headrace.core.watch import Watch
from headrace.errors import (
    ErrorDetail,
    HeadraceError,
    LimitExceeded,
    RequestError,
    StoreError,
    StoreUnavailable,
    TookTooLong,
    UpstreamError,
    UpstreamStalled,
    UpstreamTimeout,
)
from headrace.model.leave import LeavePolicy
from headrace.model.outcome import Outcome, State, Tried
from headrace.model.record import Record

logger = logging.getLogger("headrace.generation")

#: Seconds between two tries to write an end that the store did not take.
RETRY_END = 1.0


class Generation:
    """One answer on its way from an upstream to a log. Made for one stream; ``run`` is called once."""

    #: An object's dictionary of over 29 costs 1.3 KB more: what is seldom looked at stays outside of it.
    __slots__ = ("__dict__", "_names", "_on_abandoned", "_on_lost", "_tried")

    def __init__(
        self,
        id: str,
        *,
        log: Log,
        clock: Clock,
        attempts: Sequence[Attempt],
        names: Sequence[Name] = (),
        policy: LeavePolicy,
        deadlines: Deadlines,
        limits: Limits,
        on_lost: Callable[[str], None],
        on_abandoned: Callable[["Generation"], None],
        watch: Watch,
    ) -> None:
        self.id = id
        self._log = log
        self._clock = clock
        self._attempts = attempts
        self._names = names
        self._policy = policy
        self._deadlines = deadlines
        self._limits = limits
        self._on_lost = on_lost
        self._on_abandoned = on_abandoned
        self._watch = watch
        #: Records handed to the log; those of them that are known to be committed are ``_kept``.
        self.tail = 0
        self.size = 0
        self.participants = 0
        #: Participants were seen with another process since the last one left here.
        self.visited = False
        self.outcome: Outcome | None = None
        #: Done when the log is closed.
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._attempt: Attempt | None = None
        #: Those before it, which have failed.
        self._tried: list[Tried] = []
        self._answer: Answer | None = None
        self._accepted = False
        self._named = ""
        self._first_at = 0.0
        self._kept = 0
        self._appending: asyncio.Future[Appended] | None = None
        self.task: asyncio.Task[None] | None = None
        self._waiting = False
        self._stop: tuple[State, str] | HeadraceError | None = None
        self._due = NEVER
        self._late: type[UpstreamError] = UpstreamTimeout
        self._total_due = clock.monotonic() + deadlines.total
        self._abandon_at = NEVER

    # -- what others may do to it ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, in a task of its own."""
        self.task = asyncio.get_running_loop().create_task(self.run(), name=f"generation {self.id}")

    def stop(self, state: State, reason: str) -> bool:
        """End it as ``state``; the upstream's connection is closed at once. False where it was ending already."""
        self._watch.stopped()
        return self._interrupt((state, reason))

    def kill(self) -> None:
        """End the task, whatever it waits for: the process ends, and what is not written now is interrupted later."""
        if self.task is not None:
            self.task.cancel()

    def join(self) -> None:
        """One more participant is there."""
        self.participants += 1
        self._abandon_at = NEVER

    def leave(self) -> None:
        """A participant has left. After the last one the policy decides."""
        self.participants -= 1
        if not self.participants:
            self.last_left()

    def last_left(self) -> None:
        """Nobody is there any more: begin to wait for somebody to come back, for as long as the policy says."""
        if self._policy.seconds is not None:
            self.abandon_in(self._policy.seconds)

    def abandon_in(self, seconds: float) -> None:
        """Take it for abandoned in so many seconds, unless somebody joins."""
        if seconds <= 0:
            self._on_abandoned(self)
        else:
            self._abandon_at = self._clock.monotonic() + seconds

    def tick(self, now: float) -> None:
        """Look at the deadlines."""
        if now >= self._due:
            self._interrupt(self._late())
        elif now >= self._total_due:
            self._interrupt(TookTooLong())
        if now >= self._abandon_at:
            self._abandon_at = NEVER
            self._on_abandoned(self)

    @property
    def upstream(self) -> str:
        """The name of the upstream that is asked, or that answers; empty before the first."""
        return self._attempt.upstream.name if self._attempt else ""

    # -- its life ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Relay the answer and write how it ended. Raises nothing."""
        self._watch.run()
        try:
            records, outcome = await self._relay()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the stream must end, and say so
            logger.error("stream %s: unexpected %s", self.id, type(error).__name__)  # noqa: TRY400 - may hold secrets
            records, outcome = (), self._failed(HeadraceError())
        if self._answer is not None:
            self._answer.close()
        self._due = self._total_due = self._abandon_at = NEVER
        try:
            await self._end(records, outcome)
        finally:
            self._watch.ended(self.outcome)
            if not self.ended.done():
                self.ended.set_result(None)

    async def _relay(self) -> tuple[Sequence[Record], Outcome]:
        """Bring in everything but the end, which is returned: the last records and the outcome."""
        try:
            answer, records = await self._begin()
            while not answer.ended:
                if records and (appending := self._put(records)) is not None:
                    await asyncio.wait([appending])
                else:
                    records = await (Flow(answer, self._put).over if flows(answer) else answer.read())
            await self._committed()
            return records, self._completed(answer, records)
        except Stopped:
            return (), self._stopped()
        except HeadraceError as error:
            return (), self._failed(error)
        except asyncio.CancelledError:
            cause = self._cause()
            return (), self._stopped() if isinstance(cause, Stopped) else self._failed(cause)
        finally:
            self._waiting = False

    def _put(self, records: Sequence[Record]) -> "asyncio.Future[Appended] | None":
        """Append records; or take none of them, and return the append that must be committed first."""
        self._waiting = False
        if (appending := self._appending) is not None:
            if not appending.done():
                self._due = NEVER  # our own time is not the upstream's
                return appending
            self._appending = None
            self._check(appending.result())
        now = self._clock.monotonic()
        if self.tail:
            self._watch.arrived(now)
        self._append(records)
        self._expect(self._deadlines.idle, UpstreamStalled, now)
        return None

    async def _begin(self) -> tuple[Answer, Sequence[Record]]:
        """The first answer that has a first record, and that; one target is tried after the other."""
        for number, attempt in enumerate(self._attempts, 1):
            self._attempt = attempt
            self._watch.asking(attempt)
            attempt.begins()
            try:
                answer, records = await self._open(attempt)
                attempt.succeeded()
                self._watch.begun(attempt)
                return answer, records
            except UpstreamError as error:
                self._accepted |= error.accepted
                if not error.retryable or number == len(self._attempts):
                    raise
                self._tried.append(Tried(attempt.upstream.name, attempt.call.model, error.code))
                attempt.failed(error)
                logger.info("stream %s: %s failed (%s), trying the next", self.id, attempt.upstream.name, error.code)
                if self._answer is not None:
                    self._answer.close()
                    self._answer = None
            finally:
                self._waiting = False
        raise UpstreamError

    async def _open(self, attempt: Attempt) -> tuple[Answer, Sequence[Record]]:
        self._expect(self._deadlines.first, UpstreamTimeout, self._clock.monotonic())
        try:
            answer = self._answer = await attempt.upstream.open(attempt.call)
            self._accepted = True
            records: Sequence[Record] = ()
            while not (records or answer.ended):
                records = await answer.read()
        except asyncio.CancelledError:
            raise self._cause_of_one() from None
        return answer, records

    def _expect(self, seconds: float, late: type[UpstreamError], now: float) -> None:
        """From ``now`` on the upstream is waited for: a deadline runs, and a stop takes effect at once.

        Signs of life without progress do not come here, and so do not move the deadline.
        """
        if self._stop is not None:
            raise self._cause()
        self._late = late
        self._due = now + seconds
        self._waiting = True

    def _cause_of_one(self) -> HeadraceError | Stopped:
        """Why one target was given up: one that is late ends only its own try, and the next may be asked."""
        cause = self._cause()
        if isinstance(cause, UpstreamError):
            self._stop = None
            if self.task is not None:
                self.task.uncancel()
        return cause

    def _append(self, records: Sequence[Record]) -> None:
        """Hand records to the log, one append ahead of its commits: an upstream that is slower never waits here."""
        if not self.tail:
            self._first_at = self._clock.time()
        for record in records:
            self.size += len(record.data)
        tail = self.tail + len(records)
        if self.size > self._limits.stream_bytes or tail > self._limits.stream_records:
            raise LimitExceeded
        answer = self._answer
        assert answer is not None  # noqa: S101 - it is whose records these are
        names = () if answer.upstream_id == self._named else self._new_names(answer)
        self._appending = self._log.append(self.id, self.tail, records, format=answer.format, names=names)
        self.tail = tail

    async def _committed(self) -> None:
        """Wait for the append that is under way. Raises StoreError where it failed."""
        self._waiting, self._due = False, NEVER
        appending, self._appending = self._appending, None
        if appending is not None:
            self._check(await appending)

    def _check(self, appended: Appended) -> None:
        self._kept = appended.tail
        if not appended.ok:
            raise StoreUnavailable("The stream has been closed by somebody else.")

    async def _end(self, records: Sequence[Record], outcome: Outcome) -> None:
        """Close the log. Where the store does not take the end, readers are cut and it is tried until it does."""
        try:
            await self._committed()
        except HeadraceError as error:  # a stream that was dropped meanwhile, too
            records, outcome = (), self._failed(error)
        answer, freed = self._answer, () if self._accepted else self._names
        while self.outcome is None:
            try:
                appended = await self._log.append(
                    self.id,
                    self._kept,
                    records,
                    outcome,
                    format=answer.format if answer and records else "",
                    names=self._new_names(answer) if answer and records else (),
                    freed=freed,
                )
            except StoreError as error:
                logger.error("stream %s: its end cannot be written (%s)", self.id, error.code)  # noqa: TRY400
                self._on_lost(self.id)
                await pause(self._clock, RETRY_END)
                continue
            except RequestError:
                logger.info("stream %s: dropped while it was open", self.id)
                return
            if appended.ok or appended.outcome is not None:
                self.outcome = outcome if appended.ok else appended.outcome
            else:  # the log is not as we left it: what is missing must not pass for a whole answer
                records, outcome = (), self._failed(StoreUnavailable())
                if appended.tail <= self._kept:
                    await pause(self._clock, RETRY_END)
            self._kept = self.tail = appended.tail
        logger.info("stream %s: %s (%s), %d records", self.id, self.outcome.state, reason_of(self.outcome), self.tail)

    # -- small parts -------------------------------------------------------------------------------------------------

    def _interrupt(self, cause: tuple[State, str] | HeadraceError) -> bool:
        if self._stop is not None or self.ended.done():
            return False
        self._stop = cause
        if self._waiting and self.task is not None:
            self.task.cancel()
        return True

    def _cause(self) -> HeadraceError | Stopped:
        """What to raise where the task was cancelled: by ``_interrupt``, or because the loop is being closed."""
        if self._stop is None:
            self._stop = (State.INTERRUPTED, "shutdown")
        return self._stop if isinstance(self._stop, HeadraceError) else Stopped()

    def _new_names(self, answer: Answer) -> Sequence[Name]:
        """The id that the client is about to see, once."""
        if answer.upstream_id in ("", self._named):
            return ()
        self._named = answer.upstream_id
        return (Name("upstream-id", answer.upstream_id),)

    def _completed(self, answer: Answer, records: Sequence[Record]) -> Outcome:
        if records and not self.tail:
            self._first_at = self._clock.time()
        return self._outcome(State.COMPLETED, answer.finish_reason or "stop")

    def _stopped(self) -> Outcome:
        state, reason = self._stop if isinstance(self._stop, tuple) else (State.INTERRUPTED, "shutdown")
        # Whoever stops it knows of it, so its names stay.
        self._accepted = True
        return self._outcome(state, reason)

    def _failed(self, error: HeadraceError) -> Outcome:
        upstream = error if isinstance(error, UpstreamError) else None
        if self._attempt is not None:
            self._attempt.failed(error)
        self._accepted |= upstream is None or upstream.accepted or not error.retryable
        return self._outcome(
            State.FAILED,
            error.code,
            status=error.status,
            retryable=error.retryable,
            retry_after=upstream.retry_after if upstream else None,
            detail=upstream.detail if upstream else None,
        )

    def _outcome(
        self,
        state: State,
        reason: str,
        *,
        status: int = 0,
        retryable: bool = False,
        retry_after: float | None = None,
        detail: ErrorDetail | None = None,
    ) -> Outcome:
        answer = self._answer
        return Outcome(
            state=state,
            reason=reason,
            ended_at=self._clock.time(),
            first_at=self._first_at,
            status=status,
            retryable=retryable,
            retry_after=retry_after,
            detail=detail,
            usage=answer.usage if answer else None,
            upstream=self.upstream,
            upstream_model=(answer.model if answer else "") or (self._attempt.call.model if self._attempt else ""),
            ignored=answer.ignored if answer else 0,
            tried=tuple(self._tried),
        )
