"""Group commit on Redis: what arrived over all streams since the last one is one script, then it is published.

At once where the last group is over a millisecond ago, else at the end of that millisecond; one group is under way at a
time, so a slow Redis makes groups larger, not more of them. A group that may or may not have been carried out is sent
again as it was: the script knows what is there already.
"""

import asyncio
import logging
from collections.abc import Sequence
from itertools import count
from uuid import UUID

from headrace.core.log import FIRST_COMES, Appended, Name
from headrace.core.meters import Meters
from headrace.errors import HeadraceError, NotFound, StoreError, StoreUnavailable, StreamGone
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.stores.packed import encode, outcome_in
from headrace.stores.redis.connection import RedisConnection, Reply, bulk
from headrace.stores.redis.entry import write_entry
from headrace.stores.redis.scripts import Scripts
from headrace.stores.tail import Tail, payload

logger = logging.getLogger(__name__)

#: Seconds between two groups, at least.
PACE = 0.001
#: Seconds between two tries of a group, and until it is given up.
RETRY = 0.1
PATIENCE = 8.0
#: Appends in one group: Redis does nothing else while it carries them out (2 us each).
LARGEST = 500

#: What an append that names, closes and says a format sends; most send nothing.
_NOTHING = bulk(b"")


def flat_names(names: Sequence[Name]) -> list[tuple[str, str, str, bool]]:
    """Names as the scripts take them."""
    return [(name.kind, name.name, name.fingerprint, name.kind in FIRST_COMES) for name in names]


class Append:
    """Records for one stream."""

    __slots__ = ("count", "expected", "format", "future", "id", "outcome", "packed", "records", "size")

    def __init__(self, id: str, expected: int, records: Sequence[Record], outcome: Outcome | None, format: str) -> None:
        self.id = id
        self.expected = expected
        self.records = records
        self.count = len(records)
        self.size = payload(records)
        self.outcome = outcome
        self.format = format
        self.future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self.packed: list[bytes] = []

    def pack(self, writer: UUID, serial: int, stored: bool, names: Sequence[Name], freed: Sequence[Name]) -> None:
        """Write it as the script takes it. ``names``, ``freed`` and an end come with the first append and the last."""
        blob = write_entry(self.expected + 1, writer.bytes, serial, self.records) if self.records else b""
        self.packed = [bulk(self.id), bulk(self.expected), bulk(self.count), bulk(self.size), bulk(blob)]
        if not (self.outcome or names or freed or (self.format and not self.expected)):
            self.packed.append(_NOTHING)
            return
        outcome = encode(self.outcome) if self.outcome else b""
        ended = repr(self.outcome.ended_at) if self.outcome else ""
        rest = encode((ended, int(stored), self.format, flat_names(freed), flat_names(names), str(serial)))
        self.packed.append(bulk(len(outcome).to_bytes(4) + outcome + rest))

    def fail(self, error: HeadraceError) -> None:
        """Tell the caller."""
        if not self.future.done():
            self.future.set_exception(error)

    def tell(self, ok: bool, tail: int, outcome: Outcome | None) -> None:
        """Tell the caller."""
        if not self.future.done():
            self.future.set_result(Appended(ok, tail, outcome))


class Appends:
    """All appends of this process. ``own`` are the streams that it writes, as it knows them."""

    def __init__(
        self, connection: RedisConnection, scripts: Scripts, writer: UUID, own: dict[str, Tail], meters: Meters
    ) -> None:
        self._connection = connection
        self._scripts = scripts
        self._writer = writer
        self._own = own
        self._meters = meters
        self._serials = count(1)
        self._pending: list[Append] = []
        self._under_way: list[Append] = []
        self._idle: asyncio.Future[None] | None = None
        self._task = asyncio.create_task(self._work(), name="redis appends")

    def submit(self, append: Append, stored: bool, names: Sequence[Name], freed: Sequence[Name]) -> None:
        """Send it with the next group. It is packed now: what the caller does with it later changes nothing."""
        append.pack(self._writer, next(self._serials), stored, names, freed)
        self._pending.append(append)
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def close(self) -> None:
        """Carry out what was submitted, then stop."""
        left = [append.future for append in (*self._under_way, *self._pending) if not append.future.done()]
        if left:
            await asyncio.wait(left)
        self.stop()

    def stop(self) -> None:
        """Stop where it is."""
        self._task.cancel()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        last = 0.0
        while True:
            if not self._pending:
                self._idle = loop.create_future()
                await self._idle
            if (early := last + PACE - loop.time()) > 0:
                await asyncio.sleep(early)
            last = loop.time()
            self._under_way = group = self._pending[:LARGEST]
            del self._pending[:LARGEST]
            await self._carry_out(group)
            self._meters.commits.of().observe(loop.time() - last)

    async def _carry_out(self, group: Sequence[Append]) -> None:
        try:
            refused = await self._send(group)
            verdicts = {place: (verdict, int(tail), outcome_in(blob)) for place, verdict, tail, blob in _rows(refused)}
        except StoreError as error:
            self._meters.commit_failures.add()
            for append in group:
                append.fail(type(error)())
            return
        for place, append in enumerate(group):
            if place in verdicts:
                await self._refuse(append, *verdicts[place])
            else:
                self._publish(append)

    async def _send(self, group: Sequence[Append]) -> Reply:
        connection = self._connection
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        packed = [part for append in group for part in append.packed]
        while True:
            head = (bulk(connection.prefix), bulk(self._writer.hex), bulk(connection.epoch))
            try:
                reply = await connection.append(self._scripts.append, [*head, *packed])
                if reply != b"epoch":
                    return reply
                await connection.learn_epoch()
            except StoreUnavailable:
                if loop.time() >= deadline:
                    logger.error("redis has not taken %d appends for %d s", len(group), PATIENCE)  # noqa: TRY400
                    raise
                await asyncio.sleep(RETRY)

    def _publish(self, append: Append) -> None:
        reached = append.expected + append.count
        tail = self._own.get(append.id)
        if tail is not None:
            tail.tail = reached
            tail.size += append.size
            tail.format = tail.format or append.format
            tail.outcome = append.outcome
            if append.count:
                tail.remember(append.expected + 1, append.records, append.size)
            tail.call_wakes()
        append.tell(True, reached, append.outcome)

    async def _refuse(self, append: Append, verdict: bytes, reached: int, outcome: Outcome | None) -> None:
        match verdict:
            case b"none" if (tail := self._own.get(append.id)) is not None:
                await self._restore(append, tail)
            case b"none":
                append.fail(NotFound())
            case b"gone":
                append.fail(StreamGone())
            case b"stale":
                append.fail(StoreError("Another process writes this stream."))
            case _:
                self.correct(append.id, reached, outcome)
                append.tell(False, reached, outcome)

    async def _restore(self, append: Append, tail: Tail) -> None:
        """Redis has lost the stream: begin it again without records, so that its end can be written and told."""
        logger.error("stream %s: redis has lost it", append.id)
        try:
            await self._connection.run(
                self._scripts.create,
                *(self._connection.prefix, tail.id, tail.meta.owner, repr(tail.meta.created)),
                *(encode(tail.meta), self._writer.hex, encode(())),
            )
        except StoreError as error:
            append.fail(error)
        else:
            self.correct(append.id, 0, None)
            append.tell(False, 0, None)

    def correct(self, id: str, reached: int, outcome: Outcome | None) -> None:
        """Take Redis's word for how a stream of this process stands; its readers look again."""
        old = self._own.get(id)
        if old is None or (old.tail == reached and old.outcome == outcome):
            return
        tail = self._own[id] = Tail(0, id, old.meta, old.format)
        tail.tail, tail.outcome = reached, outcome
        old.call_wakes()


def _rows(reply: Reply) -> list[tuple[int, bytes, int, bytes]]:
    flat = reply if isinstance(reply, list) else []
    return list(zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True))
