"""Malformed upstreams: answers broken in a hundred thousand ways; none crashes, hangs or is taken for whole (P3).

Each is read in three ways of being cut into pieces, which must make no difference, and is shown to clients of two
dialects.
"""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from headrace.core.log import Head
from headrace.core.registry import Registry
from headrace.core.routing import Answer, Attempt, Call, ModelCard, Upstream
from headrace.errors import HeadraceError
from headrace.gates import wires
from headrace.gates.answers import INTAKES
from headrace.gates.gate import Run
from headrace.gates.mutations import mutated, pieces, seed
from headrace.gates.verdicts import Tally, ended, in_batches, judge
from headrace.model.outcome import State, Usage
from headrace.model.record import Record
from headrace.model.request import Meta
from headrace.testing.spoken import UPSTREAMS
from headrace.upstreams.answers import StreamedAnswer
from headrace.upstreams.http import Exchange

#: Of the whole experiment, each read in three ways.
BODIES = 100_000
OVER_SOCKETS = 10_000


class Read(NamedTuple):
    """What was read of a body."""

    records: Sequence[Record]
    error: str
    finish_reason: str
    usage: Usage | None
    upstream_id: str
    model: str


class _Pieces:
    """An :class:`~headrace.upstreams.http.Exchange` whose body is there already."""

    def __init__(self, body: Sequence[bytes]) -> None:
        self._left = list(reversed(body))

    def take(self) -> bytes:
        return self._left.pop() if self._left else b""

    def listen(self, news: Callable[[], None] | None) -> None:
        """Nothing comes later: all is there already."""

    def release(self, patience: float = 0.0) -> None:
        pass


class _Broken:
    """An upstream that answers with a body."""

    name = "broken"

    def __init__(self, dialect: str, body: Sequence[bytes]) -> None:
        self._dialect = dialect
        self._body = body

    def prepare(self, call: Call) -> Call:
        return call

    async def open(self, _: Call) -> Answer:
        return _answer(self._dialect, self._body)

    async def models(self) -> Sequence[ModelCard]:
        return ()

    async def close(self) -> None:
        pass


def _answer(dialect: str, body: Sequence[bytes]) -> StreamedAnswer:
    return StreamedAnswer(cast("Exchange", _Pieces(body)), INTAKES[dialect]())


async def gate(run: Run) -> None:
    """Break answers and read them: in process, then over sockets."""
    within, between = Tally(), Tally()
    await in_batches(run, run.of(BODIES), within, lambda registry, chance: _body(registry, chance, within))
    await wires.examine(run, run.of(OVER_SOCKETS), between)
    for tally, where in ((within, ""), (between, ", over sockets")):
        run.figure(f"broken answers{where}", tally.bodies, least=1)
        run.figure(f"of them complete all the same{where}", tally.completed, least=1)
        run.zero(f"crashes{where}", tally.crashes)
        run.zero(f"hangs{where}", tally.hangs)
        run.zero(f"answers without their end called complete{where}", tally.false)
        run.zero(f"clients told another end{where}", tally.told_wrong)
        run.zero(f"clients with frames that are not ours{where}", tally.forged)
    run.zero("answers that depend on how they are cut into pieces", within.different)


async def _body(registry: Registry, chance: random.Random, tally: Tally) -> None:
    """One body in process."""
    dialect = chance.choice(UPSTREAMS)
    body = mutated(chance, seed(chance, dialect), seed(chance, chance.choice(UPSTREAMS)))
    cuttings = ([body] if body else [], pieces(chance, body), pieces(chance, body))
    reads = [await _read(dialect, cutting) for cutting in cuttings]
    tally.different += any(read != reads[0] for read in reads)
    head = await _started(registry, _Broken(dialect, chance.choice(cuttings)), dialect)
    tally.different += [head.outcome and head.outcome.state is State.COMPLETED] != [not reads[0].error]
    await judge(registry, chance, head, dialect, body, tally)


async def _read(dialect: str, cutting: Sequence[bytes]) -> Read:
    """A body, read to its end or its failure."""
    answer, records, error = _answer(dialect, cutting), list[Record](), ""
    try:
        while not answer.ended:
            records += await answer.read()
    except HeadraceError as failure:
        error = f"{type(failure).__name__} {failure.code}"
    return Read(records, error, answer.finish_reason, answer.usage, answer.upstream_id, answer.model)


async def _started(registry: Registry, upstream: Upstream, dialect: str) -> Head:
    """A stream of an upstream's answer that has ended."""
    meta = Meta(owner="local", dialect=dialect, created=1.0, model="m")
    return await ended(registry, meta, Attempt(upstream, Call(dialect=dialect, body={}, model="m", stream=True)))
