"""What the rules of the store contract are made of: a stage, a registry, and the values that they play with."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from headrace.core.log import Appended, Batch, Bound, Log, Wake
from headrace.errors import HeadraceError
from headrace.model.outcome import Outcome, State
from headrace.model.record import Record
from headrace.model.request import Meta

DONE = Outcome(state=State.COMPLETED, reason="stop", ended_at=1_800_000_100.0)
CUT = Outcome(state=State.INTERRUPTED, reason="worker_died", ended_at=1_800_000_200.0)


class Stage(Protocol):
    """Where the rules play: one store's data, opened as often as a rule wants."""

    async def open(self) -> Log:
        """Open the data once more, as another worker does. A store for one process gives the same log again."""

    async def kill(self, log: Log) -> None:
        """End a log as ``kill -9`` does, and let whatever proves its death (a lease) run out."""


class Rule(NamedTuple):
    """One thing that holds. ``needs`` is the ability it is about; ``workers`` tells that it opens the data twice."""

    check: Callable[[Stage], Awaitable[None]]
    needs: type | None = None
    workers: bool = False


RULES: list[Rule] = []


def rule(needs: type | None = None, *, workers: bool = False) -> Callable[..., Callable[[Stage], Awaitable[None]]]:
    """Add a function to the rules."""

    def add(check: Callable[[Stage], Awaitable[None]]) -> Callable[[Stage], Awaitable[None]]:
        RULES.append(Rule(check, needs, workers))
        return check

    return add


def rule_name(found: Rule) -> str:
    """The rule's name, for a test's id."""
    return found.check.__name__


def same(actual: object, expected: object) -> None:
    """Fail with both values."""
    if actual != expected:
        raise AssertionError(f"expected {expected!r}, got {actual!r}")


async def fails(error: type[HeadraceError], call: Awaitable[object]) -> None:
    """Fail unless the call raises exactly this error."""
    try:
        result = await call
    except HeadraceError as raised:
        same(type(raised), error)
    else:
        raise AssertionError(f"expected {error.__name__}, got {result!r}")


def meta(owner: str = "ann", *, created: float = 1_800_000_000.0, stored: bool = False) -> Meta:
    """A stream's meta with something in every place that a store may lose."""
    return Meta(
        owner=owner, dialect="openai.chat", created=created, model="m-ä", stored=stored, echo={"tools": [{"a": None}]}
    )


def numbered(first: int, last: int, size: int = 0) -> list[Record]:
    """Records whose data is their own number, padded to ``size`` bytes."""
    return [Record("", str(n).encode().ljust(size, b".")) for n in range(first, last + 1)]


async def read_all(log: Log, id: str, after: int = 0, max_bytes: int = 65536) -> tuple[list[Record], Outcome | None]:
    """Everything above ``after`` by as many reads as it takes; no number may be missing or come twice."""
    records: list[Record] = []
    while True:
        batch = await read(log, id, after, max_bytes)
        same(batch.first, after + 1)
        records.extend(batch.records)
        after += len(batch.records)
        if batch.outcome is not None or not batch.records:
            return records, batch.outcome


async def read(log: Log, id: str, after: int, max_bytes: int = 65536, wake: Wake | None = None) -> Batch:
    """One read; whatever sequence the store uses comes as a list, to be compared."""
    batch = await log.read(id, after, max_bytes=max_bytes, wake=wake)
    return batch._replace(records=[*batch.records])


async def put(log: Log, id: str, count: int, outcome: Outcome | None = None) -> None:
    """A stream with ``count`` numbered records."""
    same(await log.create(id, meta()), Bound(id))
    same(await log.append(id, 0, numbered(1, count), outcome, format="f"), Appended(True, count, outcome))


class Bell:
    """A wake that counts."""

    def __init__(self) -> None:
        self.rung = 0
        self._waiting: asyncio.Event = asyncio.Event()

    def __call__(self) -> None:
        """Ring."""
        self.rung += 1
        self._waiting.set()

    async def wait(self) -> None:
        """Until it has rung; a store that never rings is found by the test's own time limit."""
        await asyncio.wait_for(self._waiting.wait(), 5.0)
