"""Rolling restarts: each node in turn is told to stop and started again, under answers that come and go (P3, P8).

Whoever reads gets the whole answer, or is told that it was interrupted; what is unfinished never looks finished.
"""

import asyncio
import random
import signal
import time
from dataclasses import dataclass

from headrace.gates.cluster import DRAIN, Cluster
from headrace.gates.gate import Run
from headrace.gates.viewer import Asking, Viewer
from headrace.gates.words import PACE, WORDS, chat, counted, second_calls
from headrace.testing.scripted_upstream import ScriptedUpstream
from headrace.testing.server import HeadraceServer

#: Of the whole experiment: restarts of both nodes, and answers under way at each moment.
RESTARTS = 20
STREAMS = 200
#: Words of an answer: shorter and longer than a node has to drain.
SHORTEST, LONGEST = 10, 100
#: Seconds that an answer may take beyond the model's own.
LATE = 5.0
#: Seconds in which a node must have ended, beyond its draining.
CLOSING = 6.0


@dataclass
class Tally:
    """What was counted over all answers."""

    answers: int = 0
    whole: int = 0
    untouched: int = 0
    rejoined: int = 0
    interrupted: int = 0
    clean: int = 0
    altered: int = 0
    otherwise: int = 0
    hanging: int = 0
    latest: float = 0.0
    slowest_stop: float = 0.0
    bad_exits: int = 0


async def gate(run: Run) -> None:
    """Restart one node after the other, again and again, while clients ask for one answer after another."""
    tally = Tally()
    over = asyncio.Event()
    async with ScriptedUpstream(counted) as upstream, Cluster(run, upstream) as cluster:
        clients = [
            asyncio.create_task(_ask_on(cluster, number, run.random.randrange(1 << 30), tally, over))
            for number in range(run.of(STREAMS, least=20))
        ]
        for _ in range(run.of(RESTARTS)):
            for node in cluster.nodes:
                await asyncio.sleep(0.5)
                await asyncio.to_thread(_restart, node, tally)
        over.set()
        await asyncio.gather(*clients)
    _tell(run, tally)
    run.zero("second upstream calls", second_calls(upstream.requests))


def _restart(node: HeadraceServer, tally: Tally) -> None:
    told = time.monotonic()
    tally.bad_exits += node.stop(signal.SIGTERM) != 0
    tally.slowest_stop = max(tally.slowest_stop, time.monotonic() - told)
    node.start()


async def _ask_on(cluster: Cluster, number: int, seed: int, tally: Tally, over: asyncio.Event) -> None:
    """One client, who asks for an answer after another until all restarts are over."""
    lengths = random.Random(seed)  # noqa: S311 - an experiment has to be repeatable, not unguessable
    turn = 0
    while not over.is_set():
        turn += 1
        await _answer(cluster, f"{number}-{turn}", lengths.randint(SHORTEST, LONGEST), tally)


async def _answer(cluster: Cluster, name: str, words: int, tally: Tally) -> None:
    viewer = Viewer(
        Asking("POST", "/v1/chat/completions", chat(f"{words} words for {name}"), {"Idempotency-Key": name})
    )
    model = words * PACE
    began = time.monotonic()
    tally.answers += 1
    try:
        await viewer.stay(cluster.port, model + 6 * LATE)
    except TimeoutError:
        tally.hanging += 1
        return
    tally.latest = max(tally.latest, time.monotonic() - began - model)
    _count(tally, viewer, "".join(WORDS[:words]))


def _count(tally: Tally, viewer: Viewer, expected: str) -> None:
    whole = viewer.done and viewer.text == expected
    interrupted = viewer.errors == ["interrupted"] and not viewer.done
    tally.whole += whole
    tally.untouched += whole and viewer.connections == 1
    tally.rejoined += whole and viewer.rejoined > 0
    tally.interrupted += interrupted
    tally.clean += viewer.done and not whole
    tally.altered += not expected.startswith(viewer.text)
    tally.otherwise += not viewer.done and not interrupted


def _tell(run: Run, tally: Tally) -> None:
    run.figure("answers", tally.answers, least=run.of(STREAMS, least=20))
    run.figure("answers read to their end", tally.whole, least=1)
    run.figure("of those, answers that noticed nothing", tally.untouched)
    run.figure("of those, answers that were rejoined", tally.rejoined)
    run.figure("answers told to be interrupted", tally.interrupted, least=1)
    run.zero("unfinished answers that looked finished", tally.clean)
    run.zero("answers with a word lost, doubled, moved or altered", tally.altered)
    run.zero("answers that ended otherwise", tally.otherwise)
    run.zero("answers that never ended", tally.hanging)
    run.figure("longest that an answer took beyond the model's time", round(tally.latest, 2), "s", most=LATE)
    run.figure("slowest stop of a node", round(tally.slowest_stop, 2), "s", most=DRAIN + CLOSING)
    run.zero("nodes that did not exit with 0", tally.bad_exits)
