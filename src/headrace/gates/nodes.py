"""Nodes: ``kill -9`` one of two again and again, and break their Redis; readers go on elsewhere (P1, P2, P3, P8).

Whose node dies is told ``interrupted`` by the other within the lease; all others notice nothing. What a broken Redis
costs is told too (FAULTS.md S8), and new answers work as soon as it is whole again.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.gates import redis_faults
from headrace.gates.cluster import LEASE, Cluster
from headrace.gates.gate import Run
from headrace.gates.viewer import Viewer, two
from headrace.gates.words import endless, is_beginning, second_calls
from headrace.testing.scripted_upstream import ScriptedUpstream
from headrace.testing.server import HeadraceServer

#: Of the whole experiment.
KILLS = 60
STREAMS = 20
#: Seconds beyond the lease in which every orphan must have been told of: others look around twice a second.
NOTICED = 1.0
#: Seconds until a connection that the kernel closes for a dead process is seen to be closed.
SEEN = 0.3

Pair = tuple[Viewer, Viewer]


@dataclass
class Tally:
    """What was counted over all kills."""

    kills: int = 0
    words: int = 0
    orphans: int = 0
    connections: int = 0
    altered: int = 0
    different: int = 0
    called_complete: int = 0
    unended: int = 0
    disturbed: int = 0
    slowest: float = 0.0


async def gate(run: Run) -> None:
    """Kill one node and the other in turn, under answers on both; then break Redis in each way."""
    tally = Tally()
    async with ScriptedUpstream(endless) as upstream, Cluster(run, upstream) as cluster:
        await asyncio.sleep(LEASE)  # until then nobody is taken for dead: Redis has just begun, and all must renew
        for number in range(run.of(KILLS)):
            await _kill(run, cluster, upstream, number, tally)
        _tell(run, tally)
        run.zero("second upstream calls", second_calls(upstream.requests))
        await redis_faults.examine(run, cluster, upstream)


async def _kill(run: Run, cluster: Cluster, upstream: ScriptedUpstream, number: int, tally: Tally) -> None:
    """Some answers with two readers each, one kill, and what all of them are told."""
    victim = cluster.nodes[number % 2]
    names = [f"kill {number}-{each}" for each in range(STREAMS)]
    pairs = await asyncio.gather(*(two(cluster.port, name, at) for at, name in enumerate(names)))
    staying = [[asyncio.create_task(viewer.stay(cluster.port)) for viewer in pair] for pair in pairs]
    await asyncio.sleep(run.random.uniform(0.0, 0.5))
    await asyncio.to_thread(victim.kill)
    killed = time.monotonic()
    await asyncio.sleep(SEEN)
    dropped = _dropped(upstream, names)
    orphans = [at for at, name in enumerate(names) if name in dropped]
    tally.unended += await _ended([task for at in orphans for task in staying[at]], LEASE + NOTICED + 5)
    tally.slowest = max(tally.slowest, time.monotonic() - killed) if orphans else tally.slowest
    others = [at for at in range(STREAMS) if at not in orphans]
    survivor = cluster.other(victim)
    tally.disturbed += await _stop([pairs[at] for at in others], survivor, cluster)
    tally.unended += await _ended([task for at in others for task in staying[at]], 10)
    await asyncio.to_thread(victim.start)
    _count(tally, pairs, orphans)


def _dropped(upstream: ScriptedUpstream, names: Sequence[str]) -> set[str]:
    """The answers whose call the upstream has lost."""
    lost = [request.body for request in upstream.requests if upstream.connections[request.connection].closed.is_set()]
    return {name for name in names if any(f'"{name}"'.encode() in body for body in lost)}


async def _ended(tasks: Sequence["asyncio.Task[Viewer]"], seconds: float) -> int:
    """How many viewers were not told of an end in this time."""
    if not tasks:
        return 0
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return sum(isinstance(result, BaseException) for result in results)


async def _stop(pairs: Sequence[Pair], node: HeadraceServer, cluster: Cluster) -> int:
    """Stop the answers that nothing has happened to; returns how many had ended by themselves."""
    disturbed = sum(viewer.done or bool(viewer.errors) for pair in pairs for viewer in pair)
    await asyncio.gather(*(cluster.cancel(starter.stream, node.port) for starter, _ in pairs))
    return disturbed


def _count(tally: Tally, pairs: Sequence[Pair], orphans: Sequence[int]) -> None:
    tally.kills += 1
    tally.orphans += len(orphans)
    for at, pair in enumerate(pairs):
        told = ["interrupted"] if at in orphans else ["cancelled"]
        tally.different += pair[0].text != pair[1].text
        for viewer in pair:
            tally.words += len(viewer.text.split())
            tally.connections += viewer.connections - 1
            tally.altered += not is_beginning(viewer.text)
            tally.called_complete += viewer.done
            tally.disturbed += viewer.errors != told


def _tell(run: Run, tally: Tally) -> None:
    run.figure("kills", tally.kills, least=run.of(KILLS))
    run.figure("orphans of killed nodes", tally.orphans, least=tally.kills)
    run.figure("words seen", tally.words, least=1)
    run.figure("times that a reader came again", tally.connections, least=1)
    run.zero("readers with a word lost, doubled, moved or altered", tally.altered)
    run.zero("readers of one stream who saw different texts", tally.different)
    run.zero("unfinished answers that looked finished", tally.called_complete)
    run.zero("readers who were told nothing", tally.unended)
    run.zero("readers who were told something else than what happened", tally.disturbed)
    run.figure("slowest end after a kill", round(tally.slowest, 2), "s", most=LEASE + NOTICED)
