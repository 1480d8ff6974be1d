"""An upstream of a simulation: each call gets a script that is drawn, and what came of it is written down."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from headrace.core.asked import STREAM
from headrace.core.routing import Call, ModelCard
from headrace.errors import UpstreamFault, UpstreamRefused, UpstreamTruncated
from headrace.model.outcome import Usage
from headrace.model.record import Record
from headrace.testing.fake_upstream import chunk, finish

#: Pauses between two records, in seconds; the longest are beyond the deadline of the generations.
PAUSES = (0.0, 0.0, 0.001, 0.01, 0.1, 0.5, 1.0)
STALL = 10_000.0


@dataclass
class Played:
    """One call that was accepted: what it was to say, and how far it came."""

    stream: str
    key: str
    records: list[Record] = field(default_factory=list)
    ended: bool = False
    closed: bool = False


class SimulatedUpstream:
    """An :class:`~headrace.core.routing.Upstream`. The calls' bodies have a ``key``, by which they are told apart."""

    name = "simulated"

    def __init__(self, chance: random.Random) -> None:
        self.played: list[Played] = []
        self._chance = chance

    def prepare(self, call: Call) -> Call:
        """It speaks everything."""
        return call

    async def open(self, call: Call) -> "SimulatedAnswer":
        """Accept most calls, after a while."""
        await asyncio.sleep(self._chance.choice(PAUSES))
        fate = self._chance.random()
        if fate < 0.05:
            raise UpstreamRefused(accepted=False, status=503, code="overloaded")
        if fate < 0.08:
            await asyncio.sleep(STALL)
        played = Played(STREAM.get(), str(call.body["key"]))
        self.played.append(played)
        return SimulatedAnswer(self._chance, played, f"chatcmpl-{len(self.played)}")

    async def models(self) -> Sequence[ModelCard]:
        """None that would matter."""
        return ()

    async def close(self) -> None:
        """Nothing."""


class SimulatedAnswer:
    """An :class:`~headrace.core.routing.Answer` that is made up as it goes."""

    format = "openai.chat"
    model = "simulated"
    usage: Usage | None = None
    ignored = 0

    def __init__(self, chance: random.Random, played: Played, upstream_id: str) -> None:
        self.upstream_id = upstream_id
        self.finish_reason = ""
        self.ended = False
        self._chance = chance
        self._played = played
        self._left = chance.choice((0, 1, 5, 20, 60))

    async def read(self) -> Sequence[Record]:
        """Some records, a sign of life, the end, or a failure."""
        chance = self._chance
        if self._played.closed or self.ended:
            raise AssertionError
        await asyncio.sleep(chance.choice(PAUSES))
        await self._fail()
        if self._left <= 0:
            self.ended = self._played.ended = True
            self.finish_reason, self.usage = "stop", Usage(input=1, output=len(self._played.records))
            return self._say([finish()])
        if chance.random() < 0.05:
            return []
        count = min(self._left, chance.choice((1, 1, 1, 3)))
        self._left -= count
        said = len(self._played.records)
        return self._say([chunk(f"{self.upstream_id}:{said + n} ") for n in range(count)])

    def _say(self, records: Sequence[Record]) -> Sequence[Record]:
        self._played.records += records
        return records

    async def _fail(self) -> None:
        fate = self._chance.random()
        if fate < 0.01:
            raise UpstreamTruncated
        if fate < 0.015:
            raise UpstreamFault(code="overloaded", status=503)
        if fate < 0.02:
            self._left = 1 << 30  # it never comes to its end
        elif fate < 0.025:
            await asyncio.sleep(STALL)

    def close(self) -> None:
        """The connection is closed."""
        self._played.closed = True
