"""Simulations: processes, upstreams, clients and a store on a clock of their own, in a thousand orders (P1 to P4, P8).

Everything fails in there: upstreams are cut and stall, commits are lost or late, processes die, clients leave and come
back elsewhere. In the end every stream must have ended once, and every client have read exactly what the log has.
"""

import asyncio
import hashlib
import logging
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from headrace.gates.gate import Run
from headrace.gates.simulated_world import World
from headrace.testing.simulated_loop import Deadlock, SimulatedLoop

#: Of the whole experiment.
SEEDS = 1_000
#: Of them are played twice.
TWICE = 20
#: What happens in each, at least.
OPERATIONS = 200
#: Seconds of the world's own time in which everything must have come to its end, once nothing fails any more.
REST = 400.0


@dataclass
class Played:
    """What came of one world."""

    operations: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    streams: Counter[str] = field(default_factory=Counter)
    trace: str = ""


async def gate(run: Run) -> None:
    """Play worlds, each with a loop of its own in a thread."""
    seeds = [run.random.getrandbits(64) for _ in range(run.of(SEEDS))]
    again = seeds[: run.of(TWICE)]
    operations, violations, streams = Counter[str](), Counter[str](), Counter[str]()
    traces = []
    with _silence():
        for seed in seeds:
            played = await asyncio.to_thread(play, seed)
            operations += played.operations
            violations += played.violations
            streams += played.streams
            traces.append(played.trace)
        for seed, trace in zip(again, traces, strict=False):
            violations["other traces of the same seed"] += (await asyncio.to_thread(play, seed)).trace != trace
    run.figure("worlds", len(seeds), least=run.of(SEEDS))
    run.figure("operations", operations.total(), least=len(seeds) * OPERATIONS)
    for what, counts in (("operation", operations), ("streams", streams)):
        for name, count in sorted(counts.items()):
            run.figure(f"{what}: {name}", count)
    run.figure("worlds played twice", len(again), least=1)
    digest = hashlib.sha256("".join(traces).encode()).digest()
    run.figure("hash of all traces", int.from_bytes(digest[:6]))
    for name in VIOLATIONS:
        run.zero(name, violations[name])


@contextmanager
def _silence() -> Iterator[None]:
    """A store that fails is no news here, thousands of times."""
    logger = logging.getLogger("headrace")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


#: What must not be found.
VIOLATIONS = (
    "records shown before they were committed",
    "clients who read something else than the log has",
    "clients who were refused their own place",
    "clients left waiting",
    "streams without an end",
    "streams that ended more than once",
    "completed without the upstream's end",
    "logs that are not what the upstream said",
    "second upstream calls",
    "upstreams asked on after a cancel",
    "operations that failed in a way nobody foresaw",
    "tasks left",
    "alarms left",
    "deadlocks",
    "other traces of the same seed",
)


def play(seed: int) -> Played:
    """One world from its beginning to its end."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated
    loop = SimulatedLoop(chance)
    played = Played()
    try:
        loop.run_until_complete(_life(World(loop, chance), played))
    except Deadlock:
        played.violations["deadlocks"] += 1
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    return played


async def _life(world: World, played: Played) -> None:
    for _ in range(OPERATIONS):
        await world.step()
    await world.rest(REST)
    world.judge()
    await world.close()
    played.operations, played.violations, played.streams = world.operations, world.violations, world.ends()
    played.trace = hashlib.sha256("\n".join(world.trace).encode()).hexdigest()
