"""Which relays meet which scenarios."""

from dataclasses import dataclass

from dialects import CLIENTS, MODELS
from durable import Readers, Replay
from peers import NAMES as PEERS
from processes import streams_that_fit
from scenarios import FirstByte, Idle, Pair, Saturation, Scenario, Short, Steady

TWO_PAIRS = [("messages", "chat"), ("chat", "messages")]
EVERY_PAIR = [(client, upstream) for client in CLIENTS for upstream in MODELS if (client, upstream) != ("chat", "chat")]


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
    """All that is measured in a round."""
    return [*streaming(quick=quick), *around(quick=quick)]


def streaming(*, quick: bool) -> list[Task]:
    """Streams that flow, and streams that begin."""
    memory, stores = ((), ()) if quick else (("headrace-memory",), ("headrace-power", "headrace-redis"))
    bare = () if quick else ("bare", "bare-events")
    seconds = 4.0 if quick else 5.0
    first = {1: 10, 50: 4} if quick else {1: 20, 50: 10}
    most = Saturation(50, 4.0)
    return [
        Task(Steady(20, 50, seconds), ("nginx", "headrace", *PEERS)),
        Task(Steady(200, 50, seconds), ("direct", "nginx", *bare, "headrace", "headrace-memory", *stores, *PEERS)),
        *(
            Task(Steady(streams, 50, seconds), ("direct", "nginx", *bare, "headrace", *memory))
            for streams in (500, 1000)
        ),
        *(Task(FirstByte(*item), ("direct", "nginx", *bare, "headrace", *stores, *PEERS)) for item in first.items()),
        Task(most, ("nginx", "headrace"), rounds=2, retried=False),
        Task(most, () if quick else PEERS, rounds=1, retried=False),
    ]


def around(*, quick: bool) -> list[Task]:
    """Whole answers, idle streams, many readers, replay, and other dialects."""
    durable = ("headrace", "headrace-memory", *(() if quick else ("headrace-redis",)))
    seconds = 4.0 if quick else 5.0
    many = () if quick else (Task(Idle(streams_that_fit(10_000)), ("nginx", "headrace"), rounds=2),)
    return [
        Task(Short(2.0 if quick else 4.0), ("direct", "nginx", *durable, *PEERS)),
        Task(Idle(1000), ("nginx", "headrace", "headrace-memory")),
        *many,
        Task(Readers(100, seconds), durable),
        Task(Replay(1000), durable),
        *(Task(pair, ("headrace",), rounds=2) for pair in pairs(4.0 if quick else 5.0, all_of_them=not quick)),
    ]


def pairs(seconds: float, *, all_of_them: bool) -> list[Pair]:
    """Every client's dialect over every upstream's, at 200 × 50/s; or two of them."""
    return [
        Pair(200, 50, seconds, client=client, upstream=upstream)
        for client in CLIENTS
        for upstream in MODELS
        if (client, upstream) in (EVERY_PAIR if all_of_them else TWO_PAIRS)
    ]
