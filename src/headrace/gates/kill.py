"""Kills: ``kill -9`` in the middle of answers, again and again; every reader goes on exactly (P1, P2, P3, P8)."""

import asyncio
import time
from dataclasses import dataclass

from headrace.gates.gate import Run
from headrace.gates.viewer import Viewer, two
from headrace.gates.words import configuration, endless, is_beginning, second_calls
from headrace.testing.scripted_upstream import ScriptedUpstream
from headrace.testing.server import HeadraceServer

#: Of the whole experiment.
KILLS = 300
STREAMS = 20
#: Seconds from a server's readiness in which every stream must have ended.
TERMINAL = 5.0


@dataclass
class Tally:
    """What was counted over all kills."""

    resumes: int = 0
    seen: int = 0
    committed: int = 0
    altered: int = 0
    different: int = 0
    called_complete: int = 0
    unended: int = 0
    slowest: float = 0.0


async def gate(run: Run) -> None:
    """Kill a server in the middle of answers, start it again, and compare what each reader is shown over both lives."""
    tally = Tally()
    async with ScriptedUpstream(endless) as upstream:
        server = run.server("server", configuration(upstream))
        try:
            await asyncio.to_thread(server.start)
            for number in range(run.of(KILLS)):
                await _kill(run, server, f"kill {number}", tally)
        finally:
            await asyncio.to_thread(server.stop)
    _tell(run, tally)
    run.zero("second upstream calls", second_calls(upstream.requests))


async def _kill(run: Run, server: HeadraceServer, name: str, tally: Tally) -> None:
    """Some answers with two readers each, one kill, and what is there after it."""
    pairs = await asyncio.gather(*(two(server.port, f"{name}-{number}", number) for number in range(STREAMS)))
    viewers = [viewer for pair in pairs for viewer in pair]
    watching = [asyncio.create_task(viewer.watch()) for viewer in viewers]
    await asyncio.sleep(run.random.uniform(0.0, 0.5))
    await asyncio.to_thread(server.kill)
    await asyncio.gather(*watching)
    tally.called_complete += sum(viewer.done or bool(viewer.errors) for viewer in viewers)
    before = [len(viewer.text.split()) for viewer in viewers]
    await asyncio.to_thread(server.start)
    ready = time.monotonic()
    await asyncio.gather(*(_again(server, viewer, tally) for viewer in viewers))
    tally.slowest = max(tally.slowest, time.monotonic() - ready)
    for seen, viewer in zip(before, viewers, strict=True):
        tally.seen += seen
        tally.committed += len(viewer.text.split()) - seen
    tally.different += sum(one.text != other.text for one, other in pairs)


async def _again(server: HeadraceServer, viewer: Viewer, tally: Tally) -> None:
    try:
        await (await viewer.come(server.port)).watch(TERMINAL + 5)
    except (OSError, TimeoutError):
        tally.unended += 1
        return
    tally.resumes += viewer.rejoined
    tally.altered += not is_beginning(viewer.text)
    tally.called_complete += viewer.done
    tally.unended += viewer.errors != ["interrupted"]


def _tell(run: Run, tally: Tally) -> None:
    # Half of them: some are killed before their first word, and have nothing to go on after.
    run.figure("resumes", tally.resumes, least=STREAMS * run.of(KILLS))
    run.figure("words seen before a kill", tally.seen, least=1)
    run.figure("words committed and seen after it", tally.committed)
    run.zero("readers with a word lost, doubled, moved or altered", tally.altered)
    run.zero("readers of one stream who saw different texts", tally.different)
    run.zero("unfinished answers that looked finished", tally.called_complete)
    run.zero("streams without their one end", tally.unended)
    run.figure("slowest end after readiness", round(tally.slowest, 2), "s", most=TERMINAL)
