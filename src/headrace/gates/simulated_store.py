"""A store that several processes share in a simulation: it is slow, fails, and remembers all that was ever written."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from headrace.core.clock import Clock
from headrace.core.log import Appended, Batch, Bound, Head, Name, Wake
from headrace.errors import HeadraceError, StoreUnavailable
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.model.request import Meta
from headrace.stores.memory.log import MemoryLog

#: The longest that a commit takes, in seconds.
SLOWEST = 0.02


@dataclass
class Story:
    """All that was ever committed of one stream; it is not forgotten with the stream."""

    meta: Meta
    process: int
    format: str = ""
    records: list[Record] = field(default_factory=list)
    ends: list[Outcome] = field(default_factory=list)
    dropped: bool = False

    @property
    def outcome(self) -> Outcome | None:
        """How it ended."""
        return self.ends[0] if self.ends else None


class Store:
    """What survives every process. ``failing`` is how likely any one call is to fail."""

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        self.memory = MemoryLog(clock)
        self.chance = chance
        self.failing = 0.0
        self.stories: dict[str, Story] = {}
        #: The idempotency keys with which the streams were started.
        self.keys: dict[str, str] = {}
        self.processes: list[ProcessLog] = []

    def commit(
        self, id: str, tail: int, records: Sequence[Record], outcome: Outcome | None, **more: object
    ) -> Appended:
        """Append, and write it into the stream's story."""
        future = self.memory.append(id, tail, records, outcome, **more)  # type: ignore[arg-type]
        appended = future.result()
        if appended.ok:
            story = self.stories[id]
            story.records.extend(records)
            story.format = story.format or str(more.get("format", ""))
            story.ends.extend([outcome] if outcome is not None else [])
        return appended


class ProcessLog:
    """The log port as one process has it, with ownership and signals; ``dead`` it does nothing and tells nobody."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.epoch = 1
        self.dead = False
        self.number = len(store.processes)
        self.present_here: set[str] = set()
        self._store = store
        self._clock = clock
        self._cancels: list[Callable[[str], None]] = []
        self._under_way: set[asyncio.Future[Appended]] = set()
        store.processes.append(self)

    def die(self) -> None:
        """As ``kill -9``: what is under way may still reach the store, but nobody hears of it."""
        self.dead = True
        for future in list(self._under_way):
            future.cancel()

    async def _trip(self) -> None:
        """The way to the store: it takes its time, and may lead nowhere."""
        chance = self._store.chance
        if chance.random() < 0.3:
            await asyncio.sleep(chance.choice((0.0, chance.uniform(0.0, SLOWEST))))
        if self.dead:
            raise asyncio.CancelledError
        if chance.random() < self._store.failing:
            raise StoreUnavailable

    # --- Log

    async def create(self, id: str, meta: Meta, names: Sequence[Name] = ()) -> Bound:
        """Start a stream, or attach."""
        await self._trip()
        bound = await self._store.memory.create(id, meta, names)
        if bound.id == id:
            self._store.stories[id] = Story(meta, self.number)
            self._store.keys[id] = names[0].name if names else ""
        return bound

    def append(
        self,
        id: str,
        expected_tail: int,
        records: Sequence[Record],
        outcome: Outcome | None = None,
        *,
        format: str = "",
        names: Sequence[Name] = (),
        freed: Sequence[Name] = (),
    ) -> "asyncio.Future[Appended]":
        """Add records, at once or later; where it fails they may be there all the same."""
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        if self.dead:
            future.cancel()
            return future
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        chance = self._store.chance
        fails = chance.random() < self._store.failing
        write = partial(
            self._store.commit, id, expected_tail, records, outcome, format=format, names=names, freed=freed
        )
        work = partial(self._carry_out, future, write, fails=fails, reaches=not fails or chance.random() < 0.5)
        if chance.random() < 0.5:
            work()
        else:
            self._clock.call_later(chance.uniform(0.0, SLOWEST), work)
        return future

    def _carry_out(
        self, future: "asyncio.Future[Appended]", write: Callable[[], Appended], *, fails: bool, reaches: bool
    ) -> None:
        if self.dead:
            reaches = reaches and self._store.chance.random() < 0.5
        appended: Appended | None = None
        error: Exception | None = StoreUnavailable() if fails else None
        if reaches:
            try:
                appended = write()
            except HeadraceError as failure:
                error = error or failure
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        elif appended is not None:
            future.set_result(appended)

    async def read(self, id: str, after: int, *, max_bytes: int = 65536, wake: Wake | None = None) -> Batch:
        """Records above ``after``."""
        await self._trip()
        return await self._store.memory.read(id, after, max_bytes=max_bytes, wake=wake)

    def forget(self, id: str, wake: Wake) -> None:
        """Drop a wake."""
        self._store.memory.forget(id, wake)

    async def head(self, id: str) -> Head | None:
        """The stream or its tombstone."""
        await self._trip()
        return await self._store.memory.head(id)

    async def resolve(self, owner: str, name: str, kinds: Sequence[str]) -> Bound | None:
        """The stream that holds a name."""
        await self._trip()
        return await self._store.memory.resolve(owner, name, kinds)

    async def list(self, owner: str, *, before: str = "", limit: int = 100) -> Sequence[Head]:
        """An owner's streams."""
        await self._trip()
        return await self._store.memory.list(owner, before=before, limit=limit)

    async def drop(self, id: str, reason: str = "deleted") -> bool:
        """Leave a tombstone."""
        await self._trip()
        self._store.stories[id].dropped = True
        return await self._store.memory.drop(id, reason)

    async def close(self) -> None:
        """Nothing: the store outlives it."""

    # --- Ownership, Signals

    async def reap(self, close: Callable[[Head], Outcome]) -> Sequence[str]:
        """Close what dead processes have left open."""
        await self._trip()
        ended = []
        for id, story in self._store.stories.items():
            if story.outcome is None and not story.dropped and self._store.processes[story.process].dead:
                head = await self._store.memory.head(id)
                if head is not None and self._store.commit(id, head.tail, (), close(head)).ok:
                    ended.append(id)
        return ended

    def owns(self, id: str) -> bool:
        """Whether this process writes the stream."""
        story = self._store.stories.get(id)
        return story is not None and story.process == self.number and story.outcome is None

    def on_cancel(self, callback: Callable[[str], None]) -> None:
        """Have the callback called for each cancel."""
        self._cancels.append(callback)

    async def send_cancel(self, id: str) -> None:
        """Tell the stream's process, a little later."""
        await self._trip()
        story = self._store.stories.get(id)
        if story is not None:
            owner = self._store.processes[story.process]
            self._clock.call_later(self._store.chance.uniform(0.0, SLOWEST), partial(owner.cancelled, id))

    def cancelled(self, id: str) -> None:
        """A cancel has come from another process."""
        if not self.dead:
            for callback in self._cancels:
                callback(id)

    async def set_presence(self, id: str, present: bool) -> None:
        """Tell whether there are participants here."""
        await self._trip()
        (self.present_here.add if present else self.present_here.discard)(id)

    async def present(self, id: str) -> bool:
        """Whether there are participants with any living process."""
        await self._trip()
        return any(id in process.present_here for process in self._store.processes if not process.dead)
