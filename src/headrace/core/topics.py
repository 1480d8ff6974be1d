"""The rules of topics: what may be created, who may append, and what a place means.

Topics have many writers. What an append may do is judged by the topic's head, and written only where the topic still
stands like that; otherwise it is judged again. Writers in one process take turns, so that they need not.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple
from weakref import WeakValueDictionary

from headrace.core.clock import Clock
from headrace.core.log import Wake
from headrace.core.topic_append import Append, Appended, judge
from headrace.core.topic_log import START, Fork, Offset, Topic, TopicBatch, TopicHead, TopicLog, essence
from headrace.errors import (
    BodyTooLarge,
    LimitExceeded,
    NotFound,
    OffsetAhead,
    RequestError,
    StreamGone,
    TooManyStreams,
    TopicConflict,
)

#: What a topic holds where nobody says.
BYTES = "application/octet-stream"
#: Over how many topics a fork may read.
_DEEPEST = 64
#: A read puts the end of a topic off only where this share of its time has gone by.
_TOUCH_SHARE = 0.05
#: Bytes or messages beyond its offset at which a fork may begin.
_MOST_BEYOND = 64 << 20


class TopicLimits(NamedTuple):
    """How large topics may grow: bytes of a record and of a topic, and topics of an owner."""

    record: int = 1 << 20
    topic: int = 1 << 30
    per_owner: int = 10_000


class ForkPlace(NamedTuple):
    """Where a topic shall go on from: another's path, a place in it (its tail where none is given), and beyond that."""

    path: str
    at: Offset | None = None
    sub: int = 0


class Create(NamedTuple):
    """A topic as it is asked for. What is None is by default, or as in the topic that is forked."""

    owner: str
    path: str
    content_type: str | None = None
    ttl: int | None = None
    expires: float | None = None
    closed: bool = False
    fork: ForkPlace | None = None


class Topics:
    """What the faces, exports and the command line do with topics. One instance serves one process."""

    def __init__(self, log: TopicLog, clock: Clock, limits: TopicLimits | None = None) -> None:
        self.log = log
        self.clock = clock
        self._limits = limits or TopicLimits()
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        #: Set by :meth:`drain`: those who follow a topic shall come back, to another process.
        self.draining = False
        #: What wakes those who follow topics.
        self.following: set[Wake] = set()

    async def find(self, owner: str, path: str) -> TopicHead:
        """The topic at a path. Raises NotFound, and StreamGone where only forks read it."""
        head = await self._look(owner, path)
        if head is None:
            raise NotFound("There is no such topic.")
        if head.gone:
            raise StreamGone("The topic is deleted; only its forks are left.")
        return head

    async def list(self, owner: str, *, after: str = "", limit: int = 100) -> Sequence[TopicHead]:
        """An owner's topics by path, those that come after the path ``after``."""
        now = self.clock.time()
        heads = await self.log.list(owner, after=after, limit=limit)
        return [head for head in heads if not _is_due(head, now)]

    async def delete(self, owner: str, path: str) -> None:
        """Remove a topic; its forks keep what they read of it. Raises NotFound and StreamGone."""
        await self.log.drop((await self.find(owner, path)).id)

    # -- creating

    async def create(
        self, asked: Create, records: Callable[[str], Sequence[bytes]] = lambda _: ()
    ) -> tuple[TopicHead, bool]:
        """Start a topic, or find the one that is as asked; whether it was started.

        ``records`` are the first ones, made for the content type that it turns out to have. Raises TopicConflict where
        another topic stands at the path, RequestError for a place that cannot be forked at.
        """
        found = await self._look(asked.owner, asked.path)
        if found is not None:
            return _same(found, asked), False
        if await self.log.count(asked.owner) >= self._limits.per_owner:
            raise TooManyStreams("There are too many topics under this key.")
        topic, prefix = await self._topic(asked)
        first = [*prefix, *records(topic.content_type)]
        self._check_size(0, first)
        try:
            head, made = await self.log.create(topic, first, closed=asked.closed)
        except StreamGone:
            raise _source_gone() from None
        return (head, True) if made else (_same(head, asked), False)

    async def _topic(self, asked: Create) -> tuple[Topic, Sequence[bytes]]:
        """The topic to make, and the piece of a record with which it begins."""
        now = self.clock.time()
        if asked.fork is None:
            kind = asked.content_type or BYTES
            return Topic(asked.owner, asked.path, kind, now, asked.ttl, asked.expires), ()
        source = await self._source(asked)
        place, inherited, prefix = await self._place(source, asked.fork)
        ttl, expires = asked.ttl, asked.expires
        if ttl is None and expires is None:
            ttl, expires = source.topic.ttl, source.topic.expires
        fork = Fork(source.id, source.topic.path, inherited, place, asked.fork.sub)
        return Topic(asked.owner, asked.path, source.topic.content_type, now, ttl, expires, fork), prefix

    async def _source(self, asked: Create) -> TopicHead:
        path = asked.fork.path if asked.fork else ""
        source = await self._look(asked.owner, path)
        if source is None:
            raise NotFound("There is no such topic to fork.")
        if source.gone:
            raise _source_gone()
        if asked.content_type is not None and essence(asked.content_type) != source.topic.kind:
            raise TopicConflict("A fork has the content type of its source.", param="Content-Type")
        if source.depth >= _DEEPEST:
            raise RequestError(f"A fork reads over at most {_DEEPEST} topics.", param="Stream-Forked-From")
        return source

    async def _place(self, source: TopicHead, fork: ForkPlace) -> tuple[Offset, int, Sequence[bytes]]:
        """Where a fork begins: the offset, how many whole records come before it, and a piece of the next one."""
        at = source.offset if fork.at is None else fork.at
        beyond = RequestError("The topic has no such place to fork at.", param="Stream-Fork-Offset")
        if fork.sub > _MOST_BEYOND:
            raise beyond
        try:
            await self.log.read(source.id, at, max_bytes=1)
            if not fork.sub:
                return at, at.number, ()
            if source.topic.is_json:
                if at.number + fork.sub > source.tail:
                    raise beyond
                return at, at.number + fork.sub, ()
            return at, *await self._within(source, at, fork.sub)
        except OffsetAhead:
            raise beyond from None

    async def _within(self, source: TopicHead, at: Offset, left: int) -> tuple[int, Sequence[bytes]]:
        """The place so many bytes after an offset: whole records before it, and the piece of the next one."""
        number = at.number
        while True:
            batch = await self.log.read(source.id, at, max_bytes=left)
            for record in batch.records:
                if left < len(record):
                    return number, (record[:left],) if left else ()
                number, left = number + 1, left - len(record)
            if not left:
                return number, ()
            if batch.reached:
                raise OffsetAhead
            at = batch.offset

    # -- appending

    async def append(self, head: TopicHead, asked: Append) -> Appended:
        """Append to a topic, once: a producer's repetition is told from news.

        Raises NotFound, StreamGone, TopicClosed, TopicConflict, SequenceConflict, ProducerFenced, BodyTooLarge, and
        LimitExceeded where the topic is full.
        """
        turn = self._turns.setdefault(head.id, asyncio.Lock())
        async with turn:
            while True:
                current = await self.find(head.topic.owner, head.topic.path)
                if current.id != head.id:
                    raise NotFound("There is no such topic.")
                note = judge(current, asked)
                if isinstance(note, Appended):
                    return note
                self._check_size(current.size, asked.records)
                done = await self.log.append(
                    head.id, current.tail, asked.records, note=note, now=self.clock.time(), closed=asked.closed
                )
                if done.ok:
                    return Appended(done.head, asked.producer)

    def _check_size(self, size: int, records: Sequence[bytes]) -> None:
        if max(map(len, records), default=0) > self._limits.record:
            raise BodyTooLarge(f"A message is larger than {self._limits.record} bytes.")
        if size + sum(map(len, records)) > self._limits.topic:
            raise LimitExceeded("The topic has grown to its limit.")

    # -- reading

    async def place(self, head: TopicHead, text: str) -> Offset:
        """What an offset means that a client shows: ``-1`` is the start, ``now`` the tail. Raises RequestError."""
        if text == "-1":
            return START
        return head.offset if text == "now" else Offset.parse(text)

    async def read(self, head: TopicHead, after: Offset, max_bytes: int = 65536) -> TopicBatch:
        """Records after a place, and nothing where there are none yet. Raises OffsetAhead."""
        await self.touch(head)
        return await self.log.read(head.id, after, max_bytes=max_bytes)

    async def touch(self, head: TopicHead) -> TopicHead:
        """Put off the end of a topic, because somebody reads it; the head as it is then."""
        now, ttl = self.clock.time(), head.topic.ttl
        if ttl is None or now - head.touched <= ttl * _TOUCH_SHARE:
            return head
        await self.log.touch(head.id, now)
        return head._replace(touched=now)

    def drain(self) -> None:
        """Send away those who follow topics; they come back by themselves."""
        self.draining = True
        for wake in tuple(self.following):
            wake()

    async def expire(self) -> int:
        """Drop what is due; returns how many."""
        return await self.log.expire(self.clock.time())

    async def _look(self, owner: str, path: str) -> TopicHead | None:
        """What stands at a path now; what is due falls when it is looked at."""
        head = await self.log.head(owner, path)
        if head is not None and not head.gone and _is_due(head, self.clock.time()):
            await self.log.drop(head.id)
            head = await self.log.head(owner, path)
        return head


def _is_due(head: TopicHead, now: float) -> bool:
    return head.due is not None and head.due <= now


def _source_gone() -> TopicConflict:
    return TopicConflict("The topic to fork is deleted.", param="Stream-Forked-From")


def _same(head: TopicHead, asked: Create) -> TopicHead:
    """The topic, where it is as asked. Raises TopicConflict."""
    if head.gone:
        raise TopicConflict("A deleted topic, from which forks still read, stands at this path.")
    if head.closed != asked.closed or not _same_config(head.topic, asked):
        raise TopicConflict("Another topic stands at this path.")
    return head


def _same_config(topic: Topic, asked: Create) -> bool:
    if (topic.fork is None) != (asked.fork is None):
        return False
    times = (asked.ttl, asked.expires)
    if topic.fork is not None and asked.fork is not None:
        kind = asked.content_type or topic.content_type
        wanted = asked.fork.path, topic.fork.at if asked.fork.at is None else asked.fork.at, asked.fork.sub
        if wanted != (topic.fork.path, topic.fork.at, topic.fork.sub):
            return False
        if times == (None, None):
            return essence(kind) == topic.kind
    else:
        kind = asked.content_type or BYTES
    return essence(kind) == topic.kind and times == (topic.ttl, topic.expires)
