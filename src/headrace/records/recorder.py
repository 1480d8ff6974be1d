"""The recorder: fills the tables from closed streams, and answers what is asked of them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import msgspec
from sqlalchemy import Connection, and_, delete, or_, select

from headrace.config import Price
from headrace.config.prices import cost_of
from headrace.core.clock import Clock
from headrace.core.log import Head, Retention
from headrace.errors import StoreError
from headrace.model.outcome import Outcome, State, Usage
from headrace.records.database import Database
from headrace.records.rows import LARGEST, insert_new, storable
from headrace.records.spending import keep_costs
from headrace.records.tables import generations, requests

logger = logging.getLogger(__name__)

#: Streams that are recorded in one transaction.
BATCH = 100

#: Requests that wait in memory while the database does not take them, and their bytes; those beyond are not kept.
WAITING = 1_000
WAITING_BYTES = 256 << 20

#: Bytes of requests that are written in one transaction, or one that is larger. What waited for long must not have to
#: be taken all at once: a server would refuse it, and it would never be written.
TOGETHER = 4 << 20

#: Requests that expire in one transaction, so that none takes long.
EXPIRING = 1_000


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an answer. Times are Unix seconds; ``first_at`` is 0 where no record came.

    ``key`` is the id of the API key with which it was asked for; ``cost``, in US dollars, is there where the model has
    a price and the usage is known.
    """

    id: str
    owner: str
    dialect: str
    model: str
    upstream: str
    upstream_model: str
    created: float
    first_at: float
    ended_at: float
    state: State
    reason: str
    usage: Usage | None
    records: int
    bytes: int
    conversation: str
    key: str = ""
    cost: float | None = None


class Kept(NamedTuple):
    """A request that is to be kept."""

    owner: str
    created: float
    body: dict[str, Any]
    size: int


class Taking(Protocol):
    """Who takes over what streams have said, before the log may let go of them."""

    async def take(self, heads: Sequence[Head]) -> None:
        """Take over from closed streams; to do it twice is to do it once. Raises StoreError."""

    async def forget(self, owner: str, id: str) -> None:
        """Remove what was taken over from a stream. Raises StoreError."""


class Recorder:
    """Fills the tables, off the hot path. One for each process; several on one database do not disturb each other.

    Nothing in here makes a stream wait or fail: while the database is slow or gone, closed streams stay in the log
    (which lets none go that is not recorded) and requests wait in memory.
    ``prices`` are those of models, by name. The ``taker`` sees each stream once it is recorded.
    """

    def __init__(
        self,
        log: Retention,
        database: Database,
        clock: Clock,
        prices: Mapping[str, Price] | None = None,
        taker: Taking | None = None,
    ) -> None:
        self._log = log
        self._database = database
        self._clock = clock
        self._prices = prices or {}
        self._taker = taker
        self._waiting: dict[str, Kept] = {}
        self._waiting_bytes = 0
        self._turn = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None
        self._failing = False
        self._filling = asyncio.Lock()

    async def fill(self) -> int:
        """Record closed streams, and write what waits. Returns how many streams nobody had recorded before.

        Where that is more than half of BATCH, call it again at once. Where it is less there is no more, or somebody
        else is at it: recorders that share a log see the same streams, and one is enough.
        Never raises: what cannot be recorded now is recorded in a later call. One at a time: many answers may end at
        once, and the first of those who ask for it records them all.
        """
        async with self._filling:
            return await self._fill()

    async def settle(self) -> None:
        """Record all that has ended, as far as the database takes it now: what is deleted unrecorded costs nothing."""
        while await self.fill() > BATCH // 2:
            pass

    async def _fill(self) -> int:
        try:
            await self._write_waiting()
            heads = await self._log.unrecorded(BATCH)
            rows = [self._row(head, head.outcome) for head in heads if head.outcome is not None]
            new = 0
            if rows:
                new = await self._database.run(lambda connection: insert_new(connection, generations, rows))
                if self._taker is not None:
                    await self._taker.take(heads)
                await self._log.mark_recorded([row["id"] for row in rows])
        except StoreError as error:
            self._failed(error)
            return 0
        self._failing = False
        return new

    def keep(self, id: str, owner: str, body: dict[str, Any]) -> bool:
        """Write a request's body, from now on and until it succeeds. False where too many wait already.

        ``body`` must not change afterwards.
        """
        size = _size(body)
        if len(self._waiting) >= WAITING or self._waiting_bytes + size > WAITING_BYTES:
            return False
        self._let_go(id)
        self._waiting[id] = Kept(owner, self._clock.time(), body, size)
        self._waiting_bytes += size
        if self._writing is None and not self._failing:
            self._writing = asyncio.get_running_loop().create_task(self._write(), name="records of requests")
        return True

    async def generation(self, owner: str, id: str) -> Generation | None:
        """What is kept of an answer; None where there is none, or it is somebody else's. Raises StoreError."""
        query = select(generations).where(generations.c.id == id, generations.c.owner == owner)
        found = await self._database.run(lambda connection: _generations(connection, query))
        return found[0] if found else None

    async def generations(
        self, owner: str, *, before: str = "", conversation: str = "", limit: int = 100
    ) -> Sequence[Generation]:
        """An owner's answers, newest first. ``before`` is the id with which the last page ended. Raises StoreError."""
        columns = generations.c
        query = select(generations).where(columns.owner == owner)
        if conversation:
            query = query.where(columns.conversation == conversation)
        if before:
            last = select(columns.created).where(columns.id == before, columns.owner == owner).scalar_subquery()
            query = query.where(or_(columns.created < last, and_(columns.created == last, columns.id < before)))
        query = query.order_by(columns.created.desc(), columns.id.desc()).limit(limit)
        return await self._database.run(lambda connection: _generations(connection, query))

    async def request(self, owner: str, id: str) -> dict[str, Any] | None:
        """A kept request's body; None where there is none, or it is somebody else's. Raises StoreError."""
        if (kept := self._waiting.get(id)) is not None:
            return kept.body if kept.owner == owner else None
        query = select(requests.c.body).where(requests.c.id == id, requests.c.owner == owner)
        body: dict[str, Any] | None = await self._database.run(lambda connection: connection.execute(query).scalar())
        return body

    async def forget(self, owner: str, id: str) -> bool:
        """Remove all that is kept of an answer and its request, but for its cost. False where there was nothing.

        Raises StoreError.
        """
        kept = self._waiting.get(id)
        waited = kept is not None and kept.owner == owner
        if waited:
            self._let_go(id)

        now = self._clock.time()

        def remove(connection: Connection) -> int:
            keep_costs(connection, owner, generations.c.id == id, now)
            tables = (generations, requests)
            return sum(
                connection.execute(delete(table).where(table.c.id == id, table.c.owner == owner)).rowcount
                for table in tables
            )

        if self._taker is not None:
            await self._taker.forget(owner, id)
        return await self._database.run(remove) > 0 or waited

    async def expire_requests(self, before: float) -> int:
        """Remove the requests that were kept before this time; returns how many. Raises StoreError."""
        old = select(requests.c.id).where(requests.c.created < before).limit(EXPIRING)
        statement = delete(requests).where(requests.c.id.in_(old.scalar_subquery()))
        removed, found = 0, EXPIRING
        while found == EXPIRING:
            found = await self._database.run(lambda connection: connection.execute(statement).rowcount)
            removed += found
        return removed

    async def close(self) -> None:
        """Write what can be written and let go of the database."""
        if self._writing is not None:
            await self._writing
        while await self.fill() > BATCH // 2:
            pass
        await self._database.close()

    async def _write(self) -> None:
        try:
            while self._waiting and not self._failing:
                await self._write_waiting()
        except StoreError as error:
            self._failed(error)
        finally:
            self._writing = None

    async def _write_waiting(self) -> None:
        """Write the requests that wait now, in the order in which they came; once, whoever is at it."""
        async with self._turn:
            for ids in _parts(self._waiting):
                await self._write_some(ids)

    async def _write_some(self, ids: Sequence[str]) -> None:
        waiting = {id: self._waiting[id] for id in ids if id in self._waiting}  # some may be forgotten by now
        rows = [
            {"id": id, "owner": kept.owner, "created": kept.created, "body": kept.body} for id, kept in waiting.items()
        ]
        if rows:
            await self._database.run(partial(insert_new, table=requests, rows=rows))
        for id in waiting:
            self._let_go(id)

    def _let_go(self, id: str) -> None:
        """A request waits no more."""
        if (kept := self._waiting.pop(id, None)) is not None:
            self._waiting_bytes -= kept.size

    def _failed(self, error: StoreError) -> None:
        """Say so once, until it works again."""
        if not self._failing:
            cause = getattr(error.__cause__, "orig", None) or error.__cause__ or error
            logger.error("records: %s Trying again. (%s)", error.message, type(cause).__name__)
        self._failing = True

    def _row(self, head: Head, outcome: Outcome) -> dict[str, Any]:
        usage, columns = outcome.usage, generations.c
        return {
            "id": head.id,
            "owner": head.meta.owner,
            "dialect": storable(head.meta.dialect, columns.dialect),
            "model": storable(head.meta.model, columns.model),
            "upstream": storable(outcome.upstream, columns.upstream),
            "upstream_model": storable(outcome.upstream_model, columns.upstream_model),
            "created": head.meta.created,
            "first_at": outcome.first_at or None,
            "ended_at": outcome.ended_at,
            "state": outcome.state.value,
            "reason": storable(outcome.reason, columns.reason),
            "input_tokens": usage and min(usage.input, LARGEST),
            "output_tokens": usage and min(usage.output, LARGEST),
            "cached_tokens": usage and min(usage.cached, LARGEST),
            "reasoning_tokens": usage and min(usage.reasoning, LARGEST),
            "usage_exact": usage and usage.exact,
            "records": head.tail,
            "bytes": head.size,
            "conversation": storable(head.meta.conversation, columns.conversation),
            "key": head.meta.key,
            "cost": cost_of(self._prices, outcome, head.meta.model),
        }


def _generations(connection: Connection, query: Any) -> list[Generation]:  # noqa: ANN401 - a Select of many columns
    return [_generation(dict(row)) for row in connection.execute(query).mappings()]


def _generation(row: dict[str, Any]) -> Generation:
    tokens = {name: row.pop(f"{name}_tokens") for name in ("input", "output", "cached", "reasoning")}
    exact = row.pop("usage_exact")
    usage = None if exact is None else Usage(**tokens, exact=exact)
    return Generation(
        **{**row, "state": State(row["state"]), "first_at": row["first_at"] or 0.0},
        usage=usage,
    )


def _size(body: dict[str, Any]) -> int:
    """About how many bytes a request has."""
    try:
        return len(msgspec.json.encode(body))
    except OverflowError:  # a number of more than 64 bits
        return len(repr(body))


def _parts(waiting: Mapping[str, Kept]) -> list[list[str]]:
    """The ids of what waits, in groups that are written together."""
    parts: list[list[str]] = []
    size = TOGETHER
    for id, kept in waiting.items():
        if size + kept.size > TOGETHER:
            parts.append([])
            size = 0
        parts[-1].append(id)
        size += kept.size
    return parts
