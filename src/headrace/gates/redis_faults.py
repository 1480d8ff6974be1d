"""What a Redis does to its servers: it dies, takes no writes, is full, forgets everything, stands still (S8)."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

from headrace.gates.cluster import LEASE, Cluster
from headrace.gates.gate import Run
from headrace.gates.viewer import Viewer, two
from headrace.gates.words import chat, is_beginning, second_calls
from headrace.testing.client import Client
from headrace.testing.redis_server import RedisServer
from headrace.testing.scripted_upstream import ScriptedUpstream

#: Of the whole experiment, for each fault.
ROUNDS = 60
STREAMS = 10
#: Seconds after a fault's end in which a new answer must begin, and in which each reader must know what came of his.
RECOVERED = 5.0
TOLD = 12.0

#: Seconds in which no lease can lapse, though it cannot be renewed: two thirds of one are left when that is due.
SHORT = LEASE / 2

#: What a reader may be told of an answer: it went on (and was stopped by us), Redis has lost the end of it, or where he
#: stands is beyond what Redis has kept.
WENT_ON = "cancelled"
LOST = frozenset({"storage", "interrupted", "410"})


#: Bytes of what Redis wrote last, which a machine that stops may lose under ``appendfsync everysec``.
LAST_MOMENTS = 256 << 10


class Fault(NamedTuple):
    """How it is made, and ended ``seconds`` later; and what answers under way may come to."""

    make: Callable[[RedisServer], object]
    end: Callable[[RedisServer], object]
    seconds: float
    fates: frozenset[str]


def _lose_the_end(redis: RedisServer) -> None:
    """As a power cut does: the death of Redis alone loses nothing, for the kernel has what it wrote."""
    redis.stop(signal.SIGKILL)
    log = max((redis.folder / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)
    os.truncate(log, max(0, log.stat().st_size - LAST_MOMENTS))


#: A server waits for up to eight seconds with what it has to write, so what is shorter costs no answer.
FAULTS = {
    "killed and started again": Fault(
        lambda redis: redis.stop(signal.SIGKILL), lambda redis: redis.start(), 1.0, frozenset({WENT_ON}) | LOST
    ),
    # 404 where it had the beginning of an answer no longer, too, until the answer's own node has noticed.
    "started again without its last moments": Fault(
        _lose_the_end, lambda redis: redis.start(), 0.5, frozenset({WENT_ON, "404"}) | LOST
    ),
    "read-only": Fault(
        lambda redis: redis.tell("REPLICAOF 127.0.0.1 1"),
        lambda redis: redis.tell("REPLICAOF NO ONE"),
        SHORT,
        frozenset({WENT_ON}),
    ),
    "out of memory": Fault(
        lambda redis: redis.tell("CONFIG SET maxmemory 1"),
        lambda redis: redis.tell("CONFIG SET maxmemory 0"),
        SHORT,
        frozenset({WENT_ON}),
    ),
    # 404 on the other node, until the answer's own has put it there again so that its end can be told.
    "flushed": Fault(lambda redis: redis.tell("FLUSHALL"), lambda _: None, 0.0, LOST | {"404"}),
    "paused": Fault(lambda redis: redis.pause(), lambda redis: redis.resume(), 5.0, frozenset({WENT_ON})),
}


async def examine(run: Run, cluster: Cluster, upstream: ScriptedUpstream) -> None:
    """Each fault some times, under answers on both nodes."""
    for name, fault in FAULTS.items():
        before = second_calls(upstream.requests)
        rounds = [await _round(cluster, fault, f"{name} {number}") for number in range(run.of(ROUNDS))]
        _tell(run, name, fault, rounds)
        run.zero(f"{name}: second upstream calls", second_calls(upstream.requests) - before)


class Round(NamedTuple):
    """What came of one fault: what readers were told, and the seconds until a new answer began."""

    fates: Counter[str]
    altered: int
    recovered: float


async def _round(cluster: Cluster, fault: Fault, name: str) -> Round:
    pairs = await asyncio.gather(*(two(cluster.port, f"{name}-{number}", number) for number in range(STREAMS)))
    viewers = [await viewer.begun() for pair in pairs for viewer in pair]
    staying = [asyncio.create_task(viewer.stay(cluster.port)) for viewer in viewers]
    await asyncio.to_thread(fault.make, cluster.redis)
    await asyncio.sleep(fault.seconds)
    await asyncio.to_thread(fault.end, cluster.redis)
    recovered = await _recover(cluster, name)
    await _settled(cluster, [starter for starter, _ in pairs], staying)
    results = await asyncio.gather(*staying, return_exceptions=True)
    fates = Counter(
        "nothing" if isinstance(result, BaseException) else _fate(viewer)
        for viewer, result in zip(viewers, results, strict=True)
    )
    altered = sum(not is_beginning(viewer.text) for viewer in viewers)
    return Round(fates, altered, recovered)


async def _recover(cluster: Cluster, name: str) -> float:
    """The seconds until a new answer begins on each node. One that is asked for again is another one."""
    ended = time.monotonic()
    tries = count()
    for node in cluster.nodes:
        while time.monotonic() < ended + 2 * RECOVERED:
            client = Client(node.port)
            try:
                await client.open("POST", "/v1/chat/completions", chat(f"new {name}-{next(tries)}"))
                if client.status == 200:
                    await client.until(lambda client: bool(client.last_id))
                    break
            except (OSError, TimeoutError):
                pass
            finally:
                client.close()
            await asyncio.sleep(0.05)
    return time.monotonic() - ended


async def _settled(cluster: Cluster, starters: Sequence[Viewer], staying: Sequence["asyncio.Task[Viewer]"]) -> None:
    """Stop what goes on, and wait until everybody has been told how it ended."""
    await asyncio.sleep(0.5)
    await asyncio.gather(*(cluster.cancel(starter.stream, cluster.port) for starter in starters))
    _, late = await asyncio.wait(staying, timeout=TOLD)
    for task in late:
        task.cancel()


def _fate(viewer: Viewer) -> str:
    return "complete" if viewer.done else viewer.errors[-1]


def _tell(run: Run, name: str, fault: Fault, rounds: Sequence[Round]) -> None:
    fates = sum((each.fates for each in rounds), Counter[str]())
    for fate, readers in sorted(fates.items()):
        run.figure(f"{name}: readers who were told {fate}", readers, most=None if fate in fault.fates else 0)
    run.zero(f"{name}: readers with a word lost, doubled, moved or altered", sum(each.altered for each in rounds))
    slowest = max(each.recovered for each in rounds)
    run.figure(f"{name}: slowest new answer after it", round(slowest, 2), "s", most=RECOVERED)
