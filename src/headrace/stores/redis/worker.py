"""A worker on Redis: its lease, its heart-beat, the signals to it, and the streams of the dead.

A worker lives as long as its lease is renewed, which it does three times in its length. Both clocks are Redis's own;
nobody guesses about a living one.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self
from uuid import uuid4

from headrace.core.clock import Clock, SystemClock
from headrace.core.deadlines import pause
from headrace.core.log import Batch, Head
from headrace.core.meters import Meters
from headrace.errors import StoreCorrupt, StoreError, StoreUnavailable
from headrace.model.outcome import Outcome
from headrace.stores.packed import encode, meta_in, outcome_in
from headrace.stores.redis.append import Appends
from headrace.stores.redis.connection import RedisConnection, Refused, Reply, Script
from headrace.stores.redis.followed import Followed
from headrace.stores.redis.scripts import Scripts
from headrace.stores.tail import Tail

logger = logging.getLogger(__name__)

#: Seconds until a command that found its line broken is tried again, and a heart-beat that failed.
AGAIN = 0.1
#: Seconds after its last use after which a key lapses by itself.
KEEP = 120 * 86_400


class RedisWorker:
    """Ownership, Signals and Health; the log itself stands on it. ``lease`` is in seconds."""

    def __init__(
        self,
        connection: RedisConnection,
        *,
        lease: float = 10.0,
        keep: float = KEEP,
        clock: Clock | None = None,
        meters: Meters | None = None,
    ) -> None:
        #: For what else is kept on the same Redis; it is closed with this.
        self.connection = connection
        self._clock = clock or SystemClock()
        self._lease = lease
        self._keep = int(keep)
        self._scripts = Scripts(self._keep)
        self._writer = uuid4()
        #: The streams that this process writes, as it knows them, and those that have ended since.
        self._own: dict[str, Tail] = {}
        self._over: set[str] = set()
        #: Streams that may have been created although nobody was told.
        self._doubtful: set[str] = set()
        self._appends = Appends(connection, self._scripts, self._writer, self._own, meters or Meters())
        self._followed: Followed[Batch] = Followed(connection)
        self._cancels: list[Callable[[str], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None
        #: Something may have been told that nobody has looked at yet.
        self._news = False
        self._closed = False

    @property
    def epoch(self) -> int:
        """Raised whenever Redis may have lost the end of a log."""
        return self.connection.epoch

    async def open(self) -> Self:
        """Take a lease. Raises StoreError, after which it is closed."""
        try:
            await self._begin()
        except BaseException:
            await self.close()
            raise
        return self

    async def _begin(self) -> None:
        await self._beat()
        await self.connection.watch(self._channel, self._hear)
        if (policy := await self.connection.policy()) not in ("", "noeviction"):
            logger.warning("redis: maxmemory-policy is %s; only noeviction keeps what was acknowledged", policy)
        self._spawn(self._keep_lease())

    async def close(self) -> None:
        """Carry out what was called before; wake who waits. What is still open is others' to close, at once."""
        if self._closed:
            return
        self._closed = True
        await self._appends.close()
        await self._stop()
        try:
            await self.connection.call(b"DEL", f"{self.connection.prefix}w:{self._writer.hex}")
        except StoreUnavailable:
            logger.warning("redis cannot be told that this process ends; its lease will lapse")
        await self._followed.close()
        await self.connection.close()
        for tail in self._own.values():
            tail.call_wakes()

    async def _stop(self) -> None:
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._appends.stop()

    # -- what all of it stands on ------------------------------------------------------------------------------------

    @property
    def _channel(self) -> bytes:
        return f"{self.connection.prefix}told:{self._writer.hex}".encode()

    async def _run(self, script: Script, *args: bytes | str | int) -> Reply:
        """Run a script that may be run twice, and is where the line turns out to be broken."""
        if self._closed:
            raise StoreError("The store is closed.")
        try:
            return await self.connection.run(script, self.connection.prefix, *args)
        except Refused:
            raise
        except StoreUnavailable:
            await asyncio.sleep(AGAIN)
            return await self.connection.run(script, self.connection.prefix, *args)

    async def _many(self, script: Script, *args: bytes | str | int) -> list[Any]:
        reply = await self._run(script, *args)
        if not isinstance(reply, list):
            raise StoreCorrupt
        return reply

    async def _heads(self, script: Script, *args: bytes | str | int) -> list[Head]:
        return [_head(row) for row in await self._many(script, *args)]

    async def head(self, id: str) -> Head | None:
        """The stream or its tombstone."""
        return next(iter(await self._heads(self._scripts.heads, id)), None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- living ------------------------------------------------------------------------------------------------------

    async def _keep_lease(self) -> None:
        while True:
            await pause(self._clock, self._lease / 3)
            if not await self._renewed(logging.WARNING):
                # A lease has two thirds left now, and whoever takes it for lapsed does not ask.
                await pause(self._clock, AGAIN)
                while not await self._renewed(logging.DEBUG):
                    await pause(self._clock, AGAIN)
                self._news = True
            if self._news:
                self._hear()
            self._followed.sweep()
            self._sweep()

    async def _renewed(self, level: int) -> bool:
        try:
            await self._beat()
        except StoreError as error:
            logger.log(level, "redis: the lease cannot be renewed (%s)", error.code)
            return False
        return True

    async def _beat(self) -> None:
        number = await self._run(self._scripts.beat, self._writer.hex, int(self._lease * 1000))
        if number != b"%d" % self.epoch:
            logger.error("redis may have lost what it acknowledged: the epoch is raised")
            await self.connection.learn_epoch()
        for id in [*self._doubtful]:
            await self._run(self._scripts.erase, id, self._writer.hex)
            self._doubtful.discard(id)

    def _sweep(self) -> None:
        """Let go of what had ended by the last time already; it is read from Redis from now on."""
        for id in self._over:
            self._own.pop(id, None)
        self._over = {id for id, tail in self._own.items() if tail.outcome is not None}

    # -- Health ------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Write a probe. Raises StoreUnavailable where Redis takes no writes."""
        if self._closed:
            raise StoreError("The store is closed.")
        await self.connection.call(b"SET", self.connection.prefix + "probe", self._writer.hex, b"EX", 60)

    async def secret(self) -> bytes:
        """A secret that all processes on this Redis share, made at its first use."""
        key = self.connection.prefix + "secret"
        await self.connection.call(b"SET", key, secrets.token_bytes(32), b"NX")
        await self.connection.call(b"EXPIRE", key, self._keep)
        secret = await self.connection.call(b"GET", key)
        if not isinstance(secret, bytes):
            raise StoreCorrupt
        return secret

    # -- Ownership ---------------------------------------------------------------------------------------------------

    async def reap(self, close: Callable[[Head], Outcome]) -> Sequence[str]:
        """Close the open streams of those whose lease has lapsed; each is closed by one of those who look."""
        found = await self._many(self._scripts.dead, self._writer.hex, int(self._lease * 1000))
        closed = []
        for worker, id in zip(found[::2], found[1::2], strict=True):
            head = await self.head(id.decode())
            outcome = close(head) if head is not None and head.outcome is None and not head.gone else None
            if await self._bury_open(worker, id, head, outcome) and head is not None:
                closed.append(head.id)
        return closed

    async def _bury_open(self, worker: bytes, id: bytes, head: Head | None, outcome: Outcome | None) -> bool:
        stored = head is not None and head.meta.stored
        blob, ended = (encode(outcome), repr(outcome.ended_at)) if outcome else (b"", "0")
        return bool(await self._run(self._scripts.close, id, worker, blob, ended, int(stored), self._writer.hex))

    def owns(self, id: str) -> bool:
        """Whether this process is the one that writes the stream."""
        tail = self._own.get(id)
        return tail is not None and tail.outcome is None

    # -- Signals -----------------------------------------------------------------------------------------------------

    def on_cancel(self, callback: Callable[[str], None]) -> None:
        """Have the callback called for each cancel sent to a stream of this process."""
        self._cancels.append(callback)

    async def send_cancel(self, id: str) -> None:
        """Ask the stream's worker to stop it; nothing where it is closed or unknown."""
        if self.owns(id):
            self._cancel(id)
        else:
            await self._run(self._scripts.cancel, id)

    async def set_presence(self, id: str, present: bool) -> None:
        """Tell whether this process has participants on the stream."""
        await self._run(self._scripts.attend, id, self._writer.hex, int(present))

    async def present(self, id: str) -> bool:
        """Whether any living process has participants on the stream; True where Redis cannot be asked just now.

        Whoever would give an answer up asks again, and gives nothing up on a guess.
        """
        try:
            return bool(await self._run(self._scripts.present, id))
        except StoreUnavailable:
            return True

    def _cancel(self, id: str) -> None:
        for callback in self._cancels:
            callback(id)

    def _hear(self) -> None:
        """Something was told to this worker. Where it cannot be read now, the next heart-beat tries again."""
        self._news = True
        if not self._closed and (self._listening is None or self._listening.done()):
            self._listening = self._spawn(self._listen())

    async def _listen(self) -> None:
        try:
            while self._news:
                self._news = False
                await self._take_told()
        except StoreError as error:
            self._news = True
            logger.warning("redis: signals cannot be read (%s)", error.code)

    async def _take_told(self) -> None:
        """Obey first, then say so: what breaks between the two is obeyed again, which does no harm."""
        while told := await self._many(self._scripts.told, self._writer.hex):
            for signal in told:
                await self._obey(signal[:4], signal[4:].decode())
            # Not sent again: a second time it would take what was told since.
            await self.connection.run(self._scripts.heard, self.connection.prefix, self._writer.hex, *told)

    async def _obey(self, kind: bytes, id: str) -> None:
        if kind == b"stop" and self.owns(id):
            self._cancel(id)
        elif kind == b"look" and id in self._own:
            await self._look_at(id)

    async def _look_at(self, id: str) -> None:
        """Others may have closed or removed a stream of this process; it may be let go of meanwhile."""
        try:
            head = await self.head(id)
        except StoreCorrupt:
            logger.error("stream %s: what redis has of it cannot be read", id)  # noqa: TRY400
            return
        if head is None or head.gone:
            if (tail := self._own.pop(id, None)) is not None:
                tail.call_wakes()
        elif head.outcome is not None:
            self._appends.correct(id, head.tail, head.outcome)


def _head(row: Sequence[Any]) -> Head:
    id, meta, format, tail, outcome, size, gone = row
    return Head(id.decode(), meta_in(meta), format.decode(), int(tail), outcome_in(outcome), int(size), gone.decode())
