"""The topic port: what every store of topics does.

A topic is a log with many writers: any process that shares the store may append to it, by comparing its tail. It has a
path instead of an id, belongs to an owner, and may expire. A fork goes on from a place in another topic: it reads that
topic's records up to there, and its own from there on.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, Self

from headrace.core.log import Wake
from headrace.errors import RequestError

#: In a topic of this type each record is one JSON value; in others the bytes of an append, or a piece of them.
JSON = "application/json"

_DIGITS = 16


class Offset(NamedTuple):
    """A place in a topic: after so many records, the last of which was written in ``epoch``.

    Where records were lost and others written in their stead, the epoch tells the two apart. Offsets sort as texts.
    """

    epoch: int
    number: int

    @classmethod
    def parse(cls, text: str, param: str = "offset") -> Self:
        """Read the written form. Raises RequestError for anything else."""
        epoch, _, number = text.partition("_")
        if not (_is_number(epoch) and _is_number(number)):
            raise RequestError("An offset is what this server has given as one, or -1, or now.", param=param)
        return cls(int(epoch), int(number))

    def __str__(self) -> str:
        return f"{self.epoch:0{_DIGITS}d}_{self.number:0{_DIGITS}d}"


#: Before the first record, of whatever epoch that is.
START = Offset(0, 0)


def _is_number(text: str) -> bool:
    return len(text) == _DIGITS and text.isascii() and text.isdigit()


def essence(content_type: str) -> str:
    """A content type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


class Fork(NamedTuple):
    """Where a topic comes from: the topic ``source``, which was at ``path``.

    ``inherited`` records are read from there. ``at`` and ``sub`` are the place as it was asked for.
    """

    source: int
    path: str
    inherited: int
    at: Offset
    sub: int = 0


class Topic(NamedTuple):
    """What never changes about a topic. Times in Unix seconds; ``ttl`` in seconds from when it was last touched."""

    owner: str
    path: str
    content_type: str
    created: float
    ttl: int | None = None
    expires: float | None = None
    fork: Fork | None = None

    @property
    def kind(self) -> str:
        """The content type without its parameters, by which types are compared."""
        return essence(self.content_type)

    @property
    def is_json(self) -> bool:
        """Whether each record is one JSON value."""
        return self.kind == JSON


class Note(NamedTuple):
    """What is remembered of a topic's writers: each producer's epoch and last sequence, and the last ``Stream-Seq``."""

    producers: Mapping[str, tuple[int, int]] = {}
    sequence: str = ""


class TopicHead(NamedTuple):
    """A topic without its records.

    ``id`` is of this topic and of no later one at its path. ``offset`` is that of its tail, ``size`` the bytes of its
    own records. ``gone`` is one that is deleted, and kept only because a fork reads from it. ``depth`` is over how
    many others it reads.
    """

    id: int
    topic: Topic
    tail: int
    offset: Offset
    closed: bool
    size: int
    touched: float
    note: Note = Note()
    gone: bool = False
    depth: int = 0

    @property
    def due(self) -> float | None:
        """When it expires, as things are now."""
        topic = self.topic
        return self.touched + topic.ttl if topic.ttl is not None else topic.expires


class TopicAppended(NamedTuple):
    """What an append did. Where ``ok`` is false nothing was written; ``head`` says how the topic stands."""

    ok: bool
    head: TopicHead


class TopicBatch(NamedTuple):
    """Committed records; ``offset`` is the place after the last of them, ``tail`` the number of all at that moment."""

    records: Sequence[bytes]
    offset: Offset
    tail: int
    closed: bool

    @property
    def reached(self) -> bool:
        """Nothing comes after this batch yet."""
        return self.offset.number == self.tail

    @property
    def ended(self) -> bool:
        """Nothing ever comes after this batch."""
        return self.closed and self.reached


class TopicLog(Protocol):
    """A store of topics. One instance serves one process, on one event loop; several processes may share what it keeps.

    Every method may raise :class:`~headrace.errors.StoreError`; those that take an ``id`` raise NotFound where there is
    no such topic any more, and StreamGone where only forks may read it.
    """

    async def create(
        self, topic: Topic, records: Sequence[bytes] = (), *, closed: bool = False
    ) -> tuple[TopicHead, bool]:
        """Start a topic with its first records, or leave what stands at its path (gone or not) as it is.

        Returns what stands there then, and whether this call has started it. A fork's source is referred to by the same
        step; raises StreamGone where that is not there any more.
        """

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
        """Add records to an open topic whose tail is ``expected_tail``, and replace its note; all or nothing.

        ``closed`` makes these the last. Where another writer was first nothing is written. Touches the topic ``now``.
        """

    async def read(self, id: int, after: Offset, *, max_bytes: int = 65536, wake: Wake | None = None) -> TopicBatch:
        """Records after a place: at least one if there are any, at most about ``max_bytes``.

        Where the batch reaches the tail of an open topic, ``wake`` is kept and called once when there may be more;
        looking and registering are one step. Raises OffsetAhead where the place is not in this topic.
        """

    def forget(self, id: int, wake: Wake) -> None:
        """Drop a ``wake`` that has not been called."""

    async def head(self, owner: str, path: str) -> TopicHead | None:
        """What stands at a path, gone or not."""

    async def list(self, owner: str, *, after: str = "", limit: int = 100) -> Sequence[TopicHead]:
        """An owner's topics that are not gone, by path, those that come after the path ``after``."""

    async def count(self, owner: str) -> int:
        """How many topics an owner has, those that are gone included."""

    async def touch(self, id: int, now: float) -> None:
        """Put off the end of a topic with a ``ttl``. Harmless where it is not there."""

    async def drop(self, id: int) -> bool:
        """Remove a topic, or mark it as gone while a fork reads from it; wake its readers.

        With its last fork goes what is gone. No offset of it is ever valid in a later topic at its path. Returns false
        where it was not there.
        """

    async def expire(self, now: float) -> int:
        """Drop what is due; returns how many."""

    async def close(self) -> None:
        """Let go of everything, and wake those who wait."""
