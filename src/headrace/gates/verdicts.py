"""Verdicts on broken answers: what their streams say of them, and what their clients are told."""

import asyncio
import random
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

from headrace.core.clock import SystemClock
from headrace.core.deadlines import Deadlines
from headrace.core.log import Head
from headrace.core.registry import Registry
from headrace.core.routing import Attempt
from headrace.core.stream import NOTHING_SEEN, parse_event_id
from headrace.faces.dialects import DIALECTS, EVENT_STREAM, view
from headrace.gates.gate import Run
from headrace.model.dialect import CHAT, MESSAGES, NAMED, RESPONSES, UI, UNNAMED
from headrace.model.leave import KEEP
from headrace.model.outcome import Outcome, State
from headrace.model.request import Meta
from headrace.stores.memory.log import MemoryLog
from headrace.wire.sse import Decoder, Frame

#: How many are under way at once, and the seconds that they may take together.
AT_ONCE = 50
PATIENCE = 60.0

#: What a body must have in blocks that are finished where the answer is to be whole; found without our decoders.
_ENDS = {
    CHAT: (re.compile(rb"^data:\s*\[DONE\]", re.MULTILINE), re.compile(rb'"finish_reason"\s*:\s*"[^"]')),
    RESPONSES: (re.compile(rb"response\.(?:completed|incomplete)"),),
    MESSAGES: (re.compile(rb"message_stop"), re.compile(rb'"stop_reason"\s*:\s*"[^"]')),
}
#: The same for a frame that a client reads.
_CLIENT_ENDS: dict[str, Callable[[Frame], bool]] = {
    CHAT: lambda frame: frame.data == b"[DONE]",
    RESPONSES: lambda frame: frame.event in {"response.completed", "response.incomplete"},
    MESSAGES: lambda frame: frame.event == "message_stop",
    UI: lambda frame: frame.data == b"[DONE]",
    NAMED: lambda frame: frame.event == "done",
    UNNAMED: lambda frame: b'"done":true' in frame.data,
}


def has_end(dialect: str, body: bytes) -> bool:
    """Whether a body has its dialect's own end, and why it ended, in blocks that are finished."""
    blocks = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n")[:-1]
    return all(any(map(end.search, blocks)) for end in _ENDS[dialect])


@dataclass
class Tally:
    """What was counted."""

    bodies: int = 0
    completed: int = 0
    crashes: int = 0
    hangs: int = 0
    false: int = 0
    different: int = 0
    told_wrong: int = 0
    forged: int = 0


async def in_batches(
    run: Run, count: int, tally: Tally, one: Callable[[Registry, random.Random], Coroutine[Any, Any, None]]
) -> None:
    """So many of them, some at once; what raises or does not end is counted."""
    while tally.bodies < count:
        registry = Registry(MemoryLog(), SystemClock(), deadlines=Deadlines(first=10.0, idle=10.0))
        drawn = [random.Random(run.random.getrandbits(64)) for _ in range(min(AT_ONCE, count - tally.bodies))]  # noqa: S311
        tasks = [asyncio.create_task(one(registry, chance)) for chance in drawn]
        tally.bodies += len(tasks)
        done, hanging = await asyncio.wait(tasks, timeout=PATIENCE)
        tally.crashes += sum(task.exception() is not None for task in done)
        tally.hangs += len(hanging)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        await registry.close()


async def ended(registry: Registry, meta: Meta, attempt: Attempt) -> Head:
    """The stream of an attempt, once it has ended."""
    started = await registry.start(meta, [attempt], KEEP)
    await registry.finished(started.head.id)
    head = await registry.log.head(started.head.id)
    if head is None or head.outcome is None:
        raise AssertionError
    return head


async def judge(registry: Registry, chance: random.Random, head: Head, dialect: str, body: bytes, tally: Tally) -> None:
    """Look at the outcome, and at what clients of the dialect itself and of another are shown."""
    outcome = cast("Outcome", head.outcome)
    completed = outcome.state is State.COMPLETED
    tally.completed += completed
    tally.crashes += outcome.reason == "internal"
    tally.false += completed and not has_end(dialect, body)
    for shown in {dialect, chance.choice(sorted(DIALECTS))}:
        await _show(registry, head, shown, completed, tally)
    await registry.delete(head)


async def _show(registry: Registry, head: Head, shown: str, completed: bool, tally: Tally) -> None:
    reader = registry.read(head, view(shown), NOTHING_SEEN, participant=False)
    read = bytearray()
    while data := await reader.read():
        read += data
    reader.close()
    if DIALECTS[shown].media_type != EVENT_STREAM:
        return
    decoder = Decoder(max_event_size=1 << 30)
    frames = decoder.feed(bytes(read))
    decoder.close()
    tally.told_wrong += completed != any(map(_CLIENT_ENDS[shown], frames))
    cursors = [parse_event_id(frame.id)[1] for frame in frames]
    tally.forged += decoder.discarded or cursors != sorted(set(cursors))
