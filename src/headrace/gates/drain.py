"""Draining: a SIGTERM under load ends in time, what can finish does, and nothing else looks finished (S2)."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from headrace.gates.gate import Run
from headrace.gates.vitals import descriptors
from headrace.gates.words import WORDS, chat, configuration
from headrace.testing.client import Client
from headrace.testing.scripted_upstream import Received, ScriptedUpstream, Stall, Step, Trickle, head, sse
from headrace.testing.server import HeadraceServer

#: Of the whole experiment.
SIGNALS = 50
STREAMS = 200
LEAST_STREAMS = 40

#: Seconds that running answers get, and in which the process must be gone after them.
DRAIN = 2.0
OVER = 2.0
#: Of the answers, how many can finish in that time: one in so many.
FINISH = 3

_LAST = "and-that-is-all"
_ENDLESS = sse(*WORDS)
_BEGUN = sse(*WORDS[:20])
_REST = sse(*WORDS[20:60], _LAST, finish_reason="stop", done=True)


class _Dialect(NamedTuple):
    """How to ask in a dialect, and when a reply looks like that of a whole answer."""

    path: str
    body: Callable[[str], object]
    finished: bytes
    headers: Mapping[str, str] = MappingProxyType({})

    def looks_finished(self, client: Client) -> bool:
        """Whether a client takes it for all there is; where no word says so, by the end of the reply alone."""
        return self.finished in client.body if self.finished else client.whole


def _message(text: str) -> object:
    return {"message": text, "model": "m"}


def _turns(text: str) -> object:
    return {"model": "m", "stream": True, "max_tokens": 9999, "messages": [{"role": "user", "content": text}]}


def _parts(text: str) -> object:
    parts = [{"type": "text", "text": text}]
    return {"id": text, "model": "m", "messages": [{"id": "1", "role": "user", "parts": parts}]}


DIALECTS = (
    _Dialect("/v1/chat/completions", chat, b"data: [DONE]"),
    _Dialect("/v1/responses", lambda text: {"model": "m", "stream": True, "input": text}, b"response.completed"),
    _Dialect("/v1/messages", _turns, b"message_stop"),
    _Dialect("/api/chat", _parts, b'"type":"finish"'),
    _Dialect("/chat", _message, b'"done":true'),
    _Dialect("/v1/chat/stream", _message, b"event: done"),
    _Dialect("/infer", _message, b""),
    _Dialect("/chat", _message, b"", {"Accept": "text/plain"}),
)


@dataclass
class _Tally:
    """What was counted over all signals."""

    slowest: float = 0.0
    status: int = 0
    late: int = 0
    finished: int = 0
    unfinished: int = 0
    false: int = 0
    cut_short: int = 0
    wrong_state: int = 0
    unasked: int = 0
    unended: int = 0
    #: Lets the answers that can finish do so.
    go: asyncio.Event = field(default_factory=asyncio.Event, repr=False)


async def gate(run: Run) -> None:
    """Signal a server with running answers in all dialects again and again, and look at how each of them ended."""
    descriptors(4 * STREAMS + 500)
    tally = _Tally()
    streams = run.of(STREAMS, least=LEAST_STREAMS)
    async with ScriptedUpstream(lambda request: _play(tally, request)) as upstream:
        server = run.server("server", configuration(upstream, f"[server]\ndrain = {DRAIN}\n"))
        try:
            for number in range(run.of(SIGNALS)):
                await _signal(run, server, number, streams, tally)
        finally:
            await asyncio.to_thread(server.stop, signal.SIGKILL)
    run.zero("answers that did not begin", tally.unasked)
    run.zero("replies that never ended", tally.unended)
    run.figure("answers that finished while draining", tally.finished, least=1)
    run.figure("answers that could not", tally.unfinished, least=1)
    run.figure("slowest exit", round(tally.slowest, 2), "s", most=DRAIN + OVER)
    run.zero("processes that did not exit by themselves", tally.late)
    run.zero("exits with another status than 0", tally.status)
    run.zero("unfinished answers that looked finished", tally.false)
    run.zero("answers that could have finished and were cut", tally.cut_short)
    run.zero("unfinished answers that are not called interrupted", tally.wrong_state)


def _play(tally: _Tally, request: Received) -> Sequence[Step]:
    if b"can-finish" in request.body:
        return [head(), _BEGUN, tally.go, _REST]
    return [head(), Trickle(_ENDLESS, size=400, pause=0.05), Stall()]


async def _signal(run: Run, server: HeadraceServer, number: int, streams: int, tally: _Tally) -> None:
    """Start answers, signal, let go on what can finish, and read all replies to where they end."""
    await asyncio.to_thread(server.start)
    tally.go.clear()
    asked = [(DIALECTS[one % len(DIALECTS)], one // len(DIALECTS) % FINISH == 0) for one in range(streams)]
    asking = [_ask(server, dialect, f"{number}-{one}", short=short) for one, (dialect, short) in enumerate(asked)]
    begun = [
        (client, *how) for client, how in zip(await asyncio.gather(*asking), asked, strict=True) if client is not None
    ]
    tally.unasked += streams - len(begun)
    await asyncio.sleep(run.random.uniform(0.0, 0.3))
    began = time.monotonic()
    os.kill(server.pid, signal.SIGTERM)
    rests = asyncio.gather(*(_over(client) for client, _, _ in begun))
    await asyncio.sleep(DRAIN / 8)
    tally.go.set()
    await _exit(server, tally)
    tally.slowest = max(tally.slowest, time.monotonic() - began)
    tally.unended += (await rests).count(False)
    for client, dialect, short in begun:
        _look(client, dialect, short=short, tally=tally)
    await _states(server, [client for client, _, short in begun if not short], tally)


async def _ask(server: HeadraceServer, dialect: _Dialect, name: str, *, short: bool) -> Client | None:
    """A client who has been shown something; None where there was nothing to be shown."""
    text = f"can-finish {name}" if short else name
    headers = {**dialect.headers, "Headrace-On-Leave": "keep"}
    try:
        client = await Client(server.port).open("POST", dialect.path, dialect.body(text), headers)
        await client.until(lambda client: len(client.body) > 20, 20)
    except (OSError, TimeoutError):
        return None
    return client if client.status == 200 else None


async def _over(client: Client) -> bool:
    """Whether a reply ends, clean or not, in the time in which the process must have."""
    try:
        await client.rest(DRAIN + OVER + 5)
    except TimeoutError:
        return False
    return True


async def _exit(server: HeadraceServer, tally: _Tally) -> None:
    process = server.process
    if process is None:
        raise RuntimeError("the server was not started")
    try:
        tally.status += await asyncio.to_thread(process.wait, DRAIN + OVER + 5) != 0
    except subprocess.TimeoutExpired:
        tally.late += 1
        await asyncio.to_thread(server.kill)


def _look(client: Client, dialect: _Dialect, *, short: bool, tally: _Tally) -> None:
    whole = dialect.looks_finished(client)
    if short:
        tally.finished += whole
        tally.cut_short += not whole or _LAST.encode() not in client.body
    else:
        tally.unfinished += 1
        tally.false += whole


async def _states(server: HeadraceServer, unfinished: Sequence[Client], tally: _Tally) -> None:
    """What the next start says of those that could not finish."""
    await asyncio.to_thread(server.start)
    try:
        listed = (await asyncio.to_thread(server.json, "GET", "/v1/streams?limit=1000"))["data"]
        states = {stream["id"]: stream["state"] for stream in listed}
        tally.wrong_state += sum(states.get(client.stream) != "interrupted" for client in unfinished)
    finally:
        await asyncio.to_thread(server.kill)
