"""Which relays meet which scenarios."""

from dataclasses import dataclass

from dialects import CLIENTS, MODELS
from durable import Readers, Replay
from peers import NAMES as PEERS
from processes import streams_that_fit
from scenarios import FirstByte, Idle, Pair, Saturation, Scenario, Short, Steady


@dataclass(frozen=True)
class Task:
    """A scenario and those who meet it, by name.

    ``rounds`` is how often at most, ``retried`` whether a disturbed run is repeated: neither for what takes minutes.
    """

    scenario: Scenario
    relays: tuple[str, ...]
    rounds: int = 5
    retried: bool = True


def plan(*, quick: bool) -> list[Task]:
    """All that is measured in a round; the plain 200 streams come first."""
    both = ("nginx", "headrace")
    stores = ("headrace-memory", "headrace-power", "headrace-redis")
    more = () if quick else stores
    idle = (1000,) if quick else (1000, streams_that_fit(10_000))
    steady = 4.0 if quick else 6.0
    first = {1: 10, 50: 4} if quick else {1: 30, 50: 10}
    return [
        Task(Steady(200, 50, steady), ("direct", *both, *stores, *PEERS)),
        *(Task(Steady(streams, 50, steady), ("direct", *both, *more)) for streams in (500, 1000)),
        *(Task(FirstByte(*item), ("direct", *both, *more, *PEERS)) for item in first.items()),
        Task(Short(2.0 if quick else 4.0), ("direct", *both, *more, *PEERS)),
        *(Task(Idle(streams), (*both, "headrace-memory")) for streams in idle),
        Task(Readers(100, steady), ("headrace", "headrace-memory", *more[2:])),
        Task(Replay(1000), ("headrace", "headrace-memory", *more[2:])),
        Task(Saturation(50, 4.0), both if quick else ("direct", *both, *PEERS), rounds=3, retried=False),
        *(Task(pair, ("headrace",)) for pair in pairs(4.0 if quick else 5.0, all_of_them=not quick)),
    ]


def pairs(seconds: float, *, all_of_them: bool) -> list[Pair]:
    """Every client's dialect over every upstream's, at 200 × 50/s; or over chat's alone."""
    return [
        Pair(200, 50, seconds, client, upstream)
        for client in CLIENTS
        for upstream in (MODELS if all_of_them else ["chat"])
        if (client, upstream) != ("chat", "chat")
    ]
