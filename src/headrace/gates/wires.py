"""Wires: broken answers on real connections, framed in every way that HTTP knows and in some that it does not."""

import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from headrace.core.registry import Registry
from headrace.core.routing import Attempt, Call, Upstream
from headrace.gates.gate import Run
from headrace.gates.mutations import mutated, pieces, seed
from headrace.gates.verdicts import Tally, ended, in_batches, judge
from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.model.request import Meta
from headrace.testing.scripted_upstream import Fin, Next, Received, Reset, ScriptedUpstream, Step, chunked, head
from headrace.testing.spoken import UPSTREAMS
from headrace.upstreams.anthropic import Anthropic
from headrace.upstreams.openai import OpenAI


@dataclass
class Wires:
    """The upstreams, and what is to be answered to each call, by the model that it asks for."""

    upstreams: Mapping[str, Upstream]
    scripts: dict[str, Sequence[Step]] = field(default_factory=dict)


async def examine(run: Run, count: int, tally: Tally) -> None:
    """Break so many answers on their way over real sockets."""
    scripts: dict[str, Sequence[Step]] = {}

    def script_for(received: Received) -> Sequence[Step]:
        asked = received.json()
        return scripts.pop(str(asked["model"]) if isinstance(asked, dict) else "")

    async with ScriptedUpstream(script_for) as upstream, AsyncExitStack() as stack:
        openai = OpenAI(base_url=f"{upstream.url}/v1", models=("m",))
        anthropic = Anthropic(base_url=f"{upstream.url}/v1", models=("m",))
        for made in (openai, anthropic):
            stack.push_async_callback(made.close)
        wires = Wires({CHAT: openai, RESPONSES: openai, MESSAGES: anthropic}, scripts)
        await in_batches(run, count, tally, lambda registry, chance: _answer(registry, chance, wires, tally))


async def _answer(registry: Registry, chance: random.Random, wires: Wires, tally: Tally) -> None:
    """One broken answer."""
    dialect = chance.choice(UPSTREAMS)
    body = seed(chance, dialect)
    if chance.random() < 0.8:
        body = mutated(chance, body, seed(chance, chance.choice(UPSTREAMS)))
    model = f"m-{chance.getrandbits(64):x}"
    wires.scripts[model], seen = chance.choice(_FRAMINGS)(chance, body)
    meta = Meta(owner="local", dialect=dialect, created=1.0, model=model)
    call = Call(dialect=dialect, body={}, model=model, stream=True)
    stream = await ended(registry, meta, Attempt(wires.upstreams[dialect], call))
    await judge(registry, chance, stream, dialect, seen, tally)


#: A script that sends a body, and what of the body a client may come to see.
Framed = tuple[Sequence[Step], bytes]


def _closed(chance: random.Random, body: bytes) -> Framed:
    """It ends with the connection, in good manners or not."""
    end: Step = Reset() if chance.random() < 0.3 else Fin()
    return [head(), *pieces(chance, body), end], body


def _sized(chance: random.Random, body: bytes) -> Framed:
    """It has a length, the right one or another."""
    length = len(body) + chance.choice((0, 0, 0, 1, -1, 1000))
    return [head(body=str(length)), *pieces(chance, body), Next() if length == len(body) else Fin()], body


def _chunked(chance: random.Random, body: bytes) -> Framed:
    """It comes in chunks, with the last one or without, now and then with one that is none."""
    coded = chunked(*pieces(chance, body), end=chance.random() < 0.7)
    if chance.random() < 0.2:
        coded = mutated(chance, coded, body)
    return [head(body="chunked"), coded, Fin()], body + coded


def _squeezed(chance: random.Random, body: bytes) -> Framed:
    """It is compressed, and perhaps broken after that."""
    squeezed = zlib.compress(body, 1, wbits=31)
    if chance.random() < 0.5:
        squeezed = mutated(chance, squeezed, squeezed)
    return [head(200, "Content-Encoding: gzip"), squeezed, Fin()], _inflated(squeezed)


def _headless(chance: random.Random, body: bytes) -> Framed:
    """Its head is broken as well."""
    return [mutated(chance, head(body=str(len(body))), body) + body, Fin()], body + body


_FRAMINGS: Sequence[Callable[[random.Random, bytes], Framed]] = (_closed, _sized, _chunked, _squeezed, _headless)


def _inflated(data: bytes) -> bytes:
    """As much of it as can be read."""
    inflater, read = zlib.decompressobj(wbits=47), b""
    for at in range(len(data)):
        try:
            read += inflater.decompress(data[at : at + 1])
        except zlib.error:
            break
    return read
