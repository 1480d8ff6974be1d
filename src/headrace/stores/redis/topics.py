"""Topics on Redis, for any number of processes on any number of machines."""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Any

from headrace.core.log import Wake
from headrace.core.topic_log import Note, Offset, Topic, TopicAppended, TopicBatch, TopicHead
from headrace.errors import NotFound, OffsetAhead, StoreCorrupt, StoreError, StoreUnavailable, StreamGone
from headrace.stores.redis import topics_scripts as scripts
from headrace.stores.redis.connection import RedisConnection, Refused, Reply, Script
from headrace.stores.redis.followed import Followed
from headrace.stores.redis.topics_rows import batch_of, entries, fork_bytes, head_of, note_bytes

logger = logging.getLogger(__name__)

#: Seconds until a call that may not have reached Redis is repeated, once.
_AGAIN = 0.1

_FAULTS: dict[bytes, type[Exception]] = {
    b"none": NotFound,
    b"gone": StreamGone,
    b"ahead": OffsetAhead,
    b"lost": StreamGone,
}


class RedisTopics:
    """The topic port on a connection that it does not close.

    It leaves the line of the appends to the streams, which a large body would hold up.
    A write whose reply was lost is repeated with the same token, by which the script knows what it has made already.
    """

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection
        self._followed: Followed[TopicBatch] = Followed(connection)
        self._process = secrets.token_bytes(8)
        self._writes = count(1)
        self._closed = False

    async def create(
        self, topic: Topic, records: Sequence[bytes] = (), *, closed: bool = False
    ) -> tuple[TopicHead, bool]:
        """Start a topic, or leave what stands at its path."""
        inherited = topic.fork.inherited if topic.fork else 0
        due = topic.expires if topic.ttl is None else topic.created + topic.ttl
        verdict, *head = await self._judged(
            scripts.CREATE,
            topic.owner,
            topic.path,
            topic.content_type,
            repr(topic.created),
            _or_nothing(topic.ttl),
            _or_nothing(topic.expires),
            _or_nothing(due),
            fork_bytes(topic.fork),
            topic.fork.source if topic.fork else b"",
            inherited,
            inherited + len(records),
            sum(map(len, records)),
            _flag(closed),
            note_bytes(Note()),
            self._token(),
            *entries(inherited, records),
        )
        return head_of(head), verdict == b"yes"

    async def append(
        self,
        id: int,
        expected_tail: int,
        records: Sequence[bytes],
        *,
        note: Note,
        now: float,
        closed: bool = False,
    ) -> TopicAppended:
        """Add records where the tail is as expected."""
        verdict, *head = await self._judged(
            scripts.APPEND,
            id,
            expected_tail,
            expected_tail + len(records),
            sum(map(len, records)),
            _flag(closed),
            note_bytes(note),
            repr(now),
            self._token(),
            *entries(expected_tail, records),
        )
        return TopicAppended(verdict == b"yes", head_of(head))

    async def read(self, id: int, after: Offset, *, max_bytes: int = 65536, wake: Wake | None = None) -> TopicBatch:
        """Records after a place, or a promise to call ``wake``."""
        self._usable()
        if wake is None:
            return await self._look(id, after, max_bytes)
        # Followed before the look: what comes between the two rings it.
        await self._followed.wait(_name(id), wake)
        waits = False
        try:
            batch = await self._followed.look(_name(id), (after, max_bytes), partial(self._look, id, after, max_bytes))
            waits = batch.reached and not batch.closed
            return batch
        finally:
            if not waits:
                self.forget(id, wake)

    def forget(self, id: int, wake: Wake) -> None:
        """Drop a wake that has not been called."""
        self._followed.forget(_name(id), wake)

    async def head(self, owner: str, path: str) -> TopicHead | None:
        """What stands at a path."""
        head = _rows(await self._run(scripts.HEAD, owner, path))
        return head_of(head) if head else None

    async def list(self, owner: str, *, after: str = "", limit: int = 100) -> Sequence[TopicHead]:
        """An owner's topics by path."""
        return [head_of(head) for head in _rows(await self._run(scripts.LIST, owner, after, limit))]

    async def count(self, owner: str) -> int:
        """How many topics an owner has."""
        return _number(await self._run(scripts.COUNT, owner))

    async def touch(self, id: int, now: float) -> None:
        """Put off the end of a topic."""
        await self._run(scripts.TOUCH, id, repr(now))

    async def drop(self, id: int) -> bool:
        """Remove a topic, or mark it as gone."""
        dropped = _number(await self._run(scripts.DROP, id))
        self._followed.call(_name(id))
        return dropped > 0

    async def expire(self, now: float) -> int:
        """Drop what is due, and subscriptions that nobody uses."""
        dropped, due = 0, scripts.MOST_DUE
        while due == scripts.MOST_DUE:
            due, there = _rows(await self._run(scripts.EXPIRE, repr(now)))
            dropped += there
        self._followed.sweep()
        return dropped

    async def close(self) -> None:
        """Wake those who wait: their next read says why. The connection is its opener's to close."""
        self._closed = True
        await self._followed.close()

    # --- inside

    def _usable(self) -> None:
        if self._closed:
            raise StoreError("The store is closed.")

    def _token(self) -> bytes:
        return b"%b%x" % (self._process, next(self._writes))

    async def _look(self, id: int, after: Offset, max_bytes: int) -> TopicBatch:
        _, *found = await self._judged(scripts.READ, id, after.number, after.epoch, max_bytes)
        return batch_of(after, found, max_bytes)

    async def _judged(self, script: Script, *args: bytes | str | int) -> Sequence[Any]:
        """What a script tells, where its verdict is no fault; after a flush the epoch is set first."""
        verdict, *rest = _rows(await self._run(script, *args))
        if verdict == b"flushed":
            await self._connection.learn_epoch()
            verdict, *rest = _rows(await self._run(script, *args))
        if verdict == b"lost":
            logger.error("redis has lost records of a topic")
        if verdict in _FAULTS:
            raise _FAULTS[verdict]
        return [verdict, *rest]

    async def _run(self, script: Script, *args: bytes | str | int) -> Reply:
        """Run a script, again where it is not known whether it was run."""
        self._usable()
        try:
            return await self._connection.run(script, self._connection.prefix, *args)
        except Refused:
            raise
        except StoreUnavailable:
            await asyncio.sleep(_AGAIN)
            self._usable()
            return await self._connection.run(script, self._connection.prefix, *args)


def _rows(reply: Reply) -> Sequence[Any]:
    if not isinstance(reply, list):
        raise StoreCorrupt
    return reply


def _number(reply: Reply) -> int:
    if not isinstance(reply, int):
        raise StoreCorrupt
    return reply


def _name(id: int) -> str:
    """What a topic is called among all that is followed."""
    return f"topic:{id}"


def _or_nothing(value: float | None) -> str:
    return "" if value is None else repr(value)


def _flag(value: bool) -> bytes:
    return b"1" if value else b""
