"""Leaving and stopping: the upstream is closed at once, whatever was waited for, and nothing stays behind (P4)."""

import asyncio
from collections.abc import Sequence

from headrace.gates.gate import Run
from headrace.gates.vitals import Held, descriptors, percentile, settled
from headrace.gates.words import WORDS, asked, chat, configuration, second_calls
from headrace.testing.client import Client
from headrace.testing.scripted_upstream import Connection, Received, ScriptedUpstream, Stall, Step, Trickle, head, sse
from headrace.testing.server import HeadraceServer

#: Of the whole experiment.
LEAVES = 2_000
CANCELS = 2_000
#: Seconds until the upstream is closed, for 99 of a hundred.
LEFT = 1.0
CANCELLED = 0.5

#: How many at a time, and how many before anything is counted.
AT_ONCE = 20
WARM = 40
LEAST = 40
#: Seconds in which everything must be as it was.
BACK = 5.0
#: Connections that are kept for the next request.
KEPT = 4

#: What the upstream does while it is left: speak, say nothing yet, not even answer, or not even answer with a whole.
MOMENTS = ("words", "silence", "no head", "no head, whole")
PATHS = ("/v1/chat/completions", "/chat", "/infer", "/v1/chat/stream")

_BODY = sse(*WORDS)


class _Upstream:
    """What answers, and which of its connections is whose."""

    def __init__(self) -> None:
        self.server = ScriptedUpstream(self._play)
        self._calls: dict[str, asyncio.Future[Connection]] = {}

    def call(self, name: str) -> "asyncio.Future[Connection]":
        """Done when that answer has been asked for."""
        return self._calls.setdefault(name, asyncio.get_running_loop().create_future())

    def _play(self, request: Received) -> Sequence[Step]:
        name, _, moment = asked(request).partition("|")
        call = self.call(name)
        if not call.done():
            call.set_result(self.server.connections[request.connection])
        if moment.startswith("no head"):
            return [Stall()]
        if moment == "silence":
            return [head(body="close"), Stall()]
        return [head(body="close"), Trickle(_BODY, size=400, pause=0.02), Stall()]


class _Tally:
    """What was counted."""

    def __init__(self) -> None:
        self.left: list[float] = []
        self.cancelled: list[float] = []
        self.open = 0
        self.unbelieved = 0


async def gate(run: Run) -> None:
    """Leave answers and stop them, in every moment of their lives, and look at what the server still holds."""
    descriptors(2_000)
    upstream, tally = _Upstream(), _Tally()
    async with upstream.server:
        server = run.server("server", configuration(upstream.server))
        await asyncio.to_thread(server.start)
        try:
            await _all(run, server, upstream, _Tally(), "warm", WARM)
            before = await _quiet(server, None)
            leaves, cancels = run.of(LEAVES, least=LEAST), run.of(CANCELS, least=LEAST)
            await _all(run, server, upstream, tally, "leave", leaves)
            await _all(run, server, upstream, tally, "cancel", cancels)
            after = await _quiet(server, before)
        finally:
            await asyncio.to_thread(server.kill)
    _tell(run, tally, before, after, leaves, cancels)
    run.zero("second upstream calls", second_calls(upstream.server.requests))


async def _all(run: Run, server: HeadraceServer, up: _Upstream, tally: _Tally, kind: str, count: int) -> None:
    """So many of them, some at a time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        moment, path = run.random.choice(MOMENTS), run.random.choice(PATHS)
        async with room:
            await _one(server, up, tally, f"{kind}-{number}", path, moment, reset=run.random.random() < 0.5)

    await asyncio.gather(*map(one, range(count)))


async def _one(
    server: HeadraceServer, up: _Upstream, tally: _Tally, name: str, path: str, moment: str, *, reset: bool
) -> None:
    """Ask, and leave or stop it when the moment has come; note how long the upstream was still open."""
    headers = {"Headrace-On-Leave": "cancel", "Idempotency-Key": name}
    call = up.call(name)
    client = await Client(server.port).open("POST", path, _body(path, f"{name}|{moment}"), headers, head=False)
    connection = await asyncio.wait_for(asyncio.shield(call), 10)
    if moment == "words":
        await client.read_head()
        await client.until(lambda client: bool(client.body))
    loop = asyncio.get_running_loop()
    began = loop.time()
    if name.startswith("cancel"):
        took = tally.cancelled
        id = client.stream if moment == "words" else name
        reply = await (await Client(server.port).open("POST", f"/v1/streams/{id}/cancel")).rest()
        tally.unbelieved += b'"cancelled":true' not in reply.body
    else:
        took = tally.left
        client.reset() if reset else client.close()
    try:
        await asyncio.wait_for(connection.closed.wait(), 5)
        took.append((connection.closed_at or 0.0) - began)
    except TimeoutError:
        tally.open += 1
        took.append(5.0)
    client.close()


def _body(path: str, text: str) -> dict[str, object]:
    streamed = "whole" not in text
    return {**chat(text), "stream": streamed} if "completions" in path else {"message": text, "stream": streamed}


async def _quiet(server: HeadraceServer, before: Held | None) -> Held:
    """What the server holds when nothing goes on, and no more than before."""

    def enough(found: Held) -> bool:
        idle = not (found.streams or found.readers or found.renderings)
        return idle and (before is None or _more(before, found) <= 0)

    return await settled(server, enough, BACK)


def _more(before: Held, after: Held) -> int:
    return max(
        after.tasks - before.tasks,
        after.connections - before.connections - KEPT,
        after.descriptors - before.descriptors - KEPT,
    )


def _tell(run: Run, tally: _Tally, before: Held, after: Held, leaves: int, cancels: int) -> None:
    run.figure("leaves", len(tally.left), least=leaves)
    run.figure("p99 from a leave to the upstream's end", round(percentile(tally.left, 0.99), 3), "s", most=LEFT)
    run.figure("cancels", len(tally.cancelled), least=cancels)
    p99 = percentile(tally.cancelled, 0.99)
    run.figure("p99 from a cancel to the upstream's end", round(p99, 3), "s", most=CANCELLED)
    run.zero("cancels that were not said to be so", tally.unbelieved)
    run.zero("upstreams that were not closed", tally.open)
    run.zero("answers, readers and renderings that are still there", after.streams + after.readers + after.renderings)
    run.figure("tasks more than before", after.tasks - before.tasks, most=0)
    run.figure("descriptors more than before", after.descriptors - before.descriptors, most=KEPT)
    run.figure("connections more than before", after.connections - before.connections, most=KEPT)
