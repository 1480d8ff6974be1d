"""Topics in memory, for one process: the reference of what every store of topics means."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from headrace.core.clock import Clock, SystemClock
from headrace.core.log import Wake
from headrace.core.topic_log import START, Note, Offset, Topic, TopicAppended, TopicBatch, TopicHead
from headrace.errors import NotFound, OffsetAhead, StoreError, StreamGone


class _Topic:
    """One topic. ``records`` are its own, each with its epoch; those before them are read from ``source``."""

    __slots__ = ("closed", "forks", "gone", "id", "note", "records", "size", "source", "topic", "touched", "wakes")

    def __init__(self, id: int, topic: Topic, source: "_Topic | None") -> None:
        self.id = id
        self.topic = topic
        self.source = source
        self.records: list[tuple[int, bytes]] = []
        self.size = 0
        self.closed = self.gone = False
        self.touched = topic.created
        self.note = Note()
        self.forks = 0
        self.wakes: list[Wake] = []

    @property
    def inherited(self) -> int:
        return self.topic.fork.inherited if self.topic.fork else 0

    @property
    def tail(self) -> int:
        return self.inherited + len(self.records)

    @property
    def depth(self) -> int:
        return 0 if self.source is None else self.source.depth + 1

    def lineage(self) -> Iterator[tuple["_Topic", int]]:
        """The topics that it reads, itself first, each with the number of its last record that counts."""
        topic, last = self, self.tail
        yield topic, last
        while topic.source is not None:
            last = min(last, topic.inherited)
            topic = topic.source
            yield topic, last

    def record(self, number: int) -> tuple[int, bytes]:
        for topic, _ in self.lineage():
            if number > topic.inherited:
                return topic.records[number - topic.inherited - 1]
        raise OffsetAhead

    def offset(self, number: int) -> Offset:
        """The place after a record."""
        if number == 0:
            return START
        if number > self.tail:
            raise OffsetAhead
        return Offset(self.record(number)[0], number)

    def add(self, records: Sequence[bytes], epoch: int) -> None:
        self.records.extend((epoch, data) for data in records)
        self.size += sum(map(len, records))

    def head(self) -> TopicHead:
        return TopicHead(
            self.id,
            self.topic,
            self.tail,
            self.offset(self.tail),
            self.closed,
            self.size,
            self.touched,
            self.note,
            self.gone,
            self.depth,
        )

    def call_wakes(self) -> None:
        wakes, self.wakes = self.wakes, []
        for wake in wakes:
            wake()


class MemoryTopics:
    """The topic port in memory. Nothing survives the process."""

    def __init__(self, clock: Clock | None = None) -> None:
        # No offset of an earlier process is valid in this one.
        self._epoch = max(1, int((clock or SystemClock()).time()))
        self._last_id = 0
        self._by_id: dict[int, _Topic] = {}
        self._by_path: dict[str, dict[str, _Topic]] = {}
        self._closed = False

    async def create(
        self, topic: Topic, records: Sequence[bytes] = (), *, closed: bool = False
    ) -> tuple[TopicHead, bool]:
        """Start a topic, or leave what stands at its path."""
        self._usable()
        found = self._by_path.get(topic.owner, {}).get(topic.path)
        if found is not None:
            return found.head(), False
        source = self._source(topic)
        self._last_id += 1
        made = _Topic(self._last_id, topic, source)
        made.add(records, self._epoch)
        made.closed = closed
        if source is not None:
            source.forks += 1
        self._by_id[made.id] = made
        self._by_path.setdefault(topic.owner, {})[topic.path] = made
        return made.head(), True

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
        topic = self._standing(id)
        if topic.closed or topic.tail != expected_tail:
            return TopicAppended(False, topic.head())
        topic.add(records, self._epoch)
        topic.closed, topic.note, topic.touched = closed, note, now
        if records or closed:
            topic.call_wakes()
        return TopicAppended(True, topic.head())

    async def read(self, id: int, after: Offset, *, max_bytes: int = 65536, wake: Wake | None = None) -> TopicBatch:
        """Records after a place, or a promise to call ``wake``."""
        topic = self._standing(id)
        if topic.offset(after.number) != after:
            raise OffsetAhead
        records: list[bytes] = []
        size, number = 0, after.number
        while number < topic.tail and (not records or size < max_bytes):
            number += 1
            records.append(topic.record(number)[1])
            size += len(records[-1])
        if number == topic.tail and not topic.closed and wake is not None:
            topic.wakes.append(wake)
        return TopicBatch(records, topic.offset(number), topic.tail, topic.closed)

    def forget(self, id: int, wake: Wake) -> None:
        """Drop a wake that has not been called."""
        topic = self._by_id.get(id)
        if topic is not None and wake in topic.wakes:
            topic.wakes.remove(wake)

    async def head(self, owner: str, path: str) -> TopicHead | None:
        """What stands at a path."""
        self._usable()
        found = self._by_path.get(owner, {}).get(path)
        return None if found is None else found.head()

    async def list(self, owner: str, *, after: str = "", limit: int = 100) -> Sequence[TopicHead]:
        """An owner's topics by path."""
        self._usable()
        own = self._by_path.get(owner, {})
        paths = sorted(path for path, topic in own.items() if not topic.gone)
        start = bisect_right(paths, after)
        return [own[path].head() for path in paths[start : start + limit]]

    async def count(self, owner: str) -> int:
        """How many topics an owner has."""
        return len(self._by_path.get(owner, {}))

    async def touch(self, id: int, now: float) -> None:
        """Put off the end of a topic."""
        topic = self._by_id.get(id)
        if topic is not None:
            topic.touched = max(topic.touched, now)

    async def drop(self, id: int) -> bool:
        """Remove a topic, or mark it as gone."""
        self._usable()
        topic = self._by_id.get(id)
        if topic is None or topic.gone:
            return False
        topic.gone = True
        topic.call_wakes()
        self._remove(topic)
        return True

    async def expire(self, now: float) -> int:
        """Drop what is due."""
        due = [topic.id for topic in self._by_id.values() if not topic.gone and _is_due(topic, now)]
        for id in due:
            await self.drop(id)
        return len(due)

    async def close(self) -> None:
        """Nothing works after this; those who wait are woken, and their next read says so."""
        self._closed = True
        for topic in self._by_id.values():
            topic.call_wakes()

    # --- inside

    def _usable(self) -> None:
        if self._closed:
            raise StoreError("The store is closed.")

    def _standing(self, id: int) -> _Topic:
        self._usable()
        topic = self._by_id.get(id)
        if topic is None:
            raise NotFound
        if topic.gone:
            raise StreamGone
        return topic

    def _source(self, topic: Topic) -> _Topic | None:
        if topic.fork is None:
            return None
        source = self._by_id.get(topic.fork.source)
        if source is None or source.gone:
            raise StreamGone
        return source

    def _remove(self, topic: _Topic | None) -> None:
        """Let go of a topic that is gone and that nobody reads from, and of those that it alone read from."""
        while topic is not None and topic.gone and not topic.forks:
            del self._by_id[topic.id]
            del self._by_path[topic.topic.owner][topic.topic.path]
            self._epoch += 1
            topic = topic.source
            if topic is not None:
                topic.forks -= 1


def _is_due(topic: _Topic, now: float) -> bool:
    due = topic.head().due
    return due is not None and due <= now
