"""A registry over a memory log, with a clock that stands still."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import zip_longest

from tests.core.views import VERBATIM

from headrace.core.condition import Condition
from headrace.core.deadlines import Deadlines, Limits
from headrace.core.log import Head, Name
from headrace.core.reader import Reader
from headrace.core.registry import Registry
from headrace.core.routing import Call, Target, Upstream, attempts
from headrace.core.stream import NOTHING_SEEN
from headrace.model.leave import KEEP, LeavePolicy
from headrace.model.record import Record
from headrace.model.request import Meta
from headrace.stores.memory.log import MemoryLog
from headrace.testing.clock import FakeClock, settle


class House:
    """What a test of the core needs, in one hand."""

    def __init__(self, deadlines: Deadlines | None = None, limits: Limits | None = None) -> None:
        self.clock = FakeClock()
        self.log = MemoryLog(self.clock)
        self.registry = Registry(self.log, self.clock, deadlines=deadlines, limits=limits, keepalive=15.0)

    async def start(
        self,
        *upstreams: Upstream,
        policy: LeavePolicy = KEEP,
        names: Sequence[Name] = (),
        owner: str = "local",
        conditions: Sequence[Condition | None] = (),
    ) -> Head:
        meta = Meta(owner=owner, dialect="test", created=self.clock.time(), model="m", on_leave=str(policy))
        call = Call(dialect="openai.chat", body={}, model="m", stream=True)
        known = zip_longest(upstreams, conditions)
        targets = [Target(upstream, f"m{number}", condition) for number, (upstream, condition) in enumerate(known)]
        return (await self.registry.start(meta, attempts(targets, call), policy, names)).head

    async def filled(self, records: Sequence[Record], outcome=None) -> Head:
        """A stream that was written before."""
        meta = Meta(owner="local", dialect="test", created=1.0, model="m")
        await self.log.create("st_filled", meta)
        await self.log.append("st_filled", 0, records, outcome, format="test")
        head = await self.log.head("st_filled")
        assert head is not None
        return head

    def reader(self, head: Head, view=VERBATIM, cursor=NOTHING_SEEN, *, participant: bool = True) -> Reader:
        return self.registry.read(head, view, cursor, participant=participant)

    async def head(self, id: str) -> Head:
        head = await self.log.head(id)
        assert head is not None
        return head


@asynccontextmanager
async def house(**settings) -> AsyncIterator[House]:
    """A house that is put in order at the end."""
    made = House(**settings)
    yield made
    await made.registry.close()
    await settle()


async def read_all(reader: Reader) -> bytes:
    """Everything up to the end of the stream."""
    read = bytearray()
    while data := await reader.read():
        read += data
    reader.close()
    return bytes(read)
