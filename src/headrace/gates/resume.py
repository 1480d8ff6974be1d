"""Resumptions: at every place of any answer, in every dialect, what follows is to the byte what was missing (P2).

And a cursor that is made up gets an answer, never a failure, and never a byte of somebody else's.
"""

import random
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from headrace.core.clock import SystemClock
from headrace.core.log import Batch, Head
from headrace.core.reader import Reader
from headrace.core.registry import Registry
from headrace.core.rendering import Renderer, View
from headrace.core.stream import NOTHING_SEEN, Cursor, new_id, parse_event_id
from headrace.errors import RequestError
from headrace.faces.dialects import DIALECTS, EVENT_STREAM, all_seen, view
from headrace.gates import strangers
from headrace.gates.answers import META, outcome, records_of, said
from headrace.gates.gate import Run
from headrace.model.dialect import whole
from headrace.model.outcome import State
from headrace.model.record import Record
from headrace.stores.memory.log import MemoryLog
from headrace.testing.spoken import UPSTREAMS, whole_body

#: Of the whole experiment.
CUTS = 100_000
HOSTILE = 10_000

_ID = re.compile(rb"(?:^|\n)id: (\S+)\n\n")
_ENDS = (State.COMPLETED, State.COMPLETED, State.FAILED, State.CANCELLED, State.INTERRUPTED)


@dataclass
class Tally:
    """What was counted."""

    answers: int = 0
    cuts: int = 0
    parts: int = 0
    different: int = 0
    unordered: int = 0
    refused: int = 0


async def gate(run: Run) -> None:
    """Cut answers at each of their places; then show cursors that were made up."""
    tally = Tally()
    while tally.cuts < run.of(CUTS):
        await _answer(random.Random(run.random.getrandbits(64)), tally)  # noqa: S311 - to be repeated
    run.figure("cut points", tally.cuts, least=run.of(CUTS))
    run.figure("of them within a record", tally.parts, least=1)
    run.figure("answers", tally.answers)
    run.zero("resumptions that were not what was missing", tally.different)
    run.zero("resumptions that were refused", tally.refused)
    run.zero("answers whose ids do not grow", tally.unordered)
    await strangers.examine(run, run.of(HOSTILE, least=100))


async def _answer(chance: random.Random, tally: Tally) -> None:
    """One answer, shown in one dialect, cut at every place."""
    tally.answers += 1
    dialect, shown = chance.choice(UPSTREAMS), chance.choice(sorted(DIALECTS))
    log = MemoryLog()
    registry = Registry(log, SystemClock())
    head = await _kept(chance, log, dialect)
    shape = view(shown, head.id if chance.random() < 0.5 else "")
    records = (await log.read(head.id, 0, max_bytes=1 << 30)).records
    steps = _steps(shape, head, records)
    cuts = list(_places(steps, DIALECTS[shown].media_type == EVENT_STREAM))
    tally.unordered += [cursor for cursor, _ in cuts] != sorted({cursor for cursor, _ in cuts})
    body = b"".join(steps)
    # One reader stays, so that others share its rendering or, where they come from before it, catch up by themselves.
    places = [NOTHING_SEEN, *(cursor for cursor, _ in cuts if not all_seen(head, cursor, shown))]
    kept = registry.read(head, shape, chance.choice(places), participant=False)
    await kept.read()
    chance.shuffle(cuts)
    for cursor, end in cuts:
        tally.cuts += 1
        tally.parts += bool(cursor.part)
        await _resume(registry, head, shown, shape, cursor, body[end:], tally)
    kept.close()
    await registry.close()


async def _kept(chance: random.Random, log: MemoryLog, dialect: str) -> Head:
    """An answer in the log: whole or cut off, streamed or in one piece."""
    answer, state = said(chance), chance.choice(_ENDS)
    format, id = dialect, new_id()
    if state is State.COMPLETED and chance.random() < 0.1:
        records, format = [Record("", whole_body(dialect, answer))], whole(dialect)
    else:
        records = list(records_of(dialect, answer))
        records = records if state is State.COMPLETED else records[: chance.randrange(len(records))]
    await log.create(id, META)
    await log.append(id, 0, records, outcome(chance, state), format=format if records else "")
    head = await log.head(id)
    if head is None:
        raise AssertionError
    return head


def _steps(shape: View, head: Head, records: Sequence[Record]) -> list[bytes]:
    """What each step becomes, by a fold from the start."""
    renderer = Renderer(shape, head)
    start = renderer.start()
    return [start, *renderer.render(Batch(1, records, head.tail, head.outcome))]


def _places(steps: list[bytes], with_ids: bool) -> Iterator[tuple[Cursor, int]]:
    """Each cursor that a client may show, and where in the body it is."""
    end = 0
    for step, data in enumerate(steps):
        if with_ids:
            for match in _ID.finditer(data):
                yield parse_event_id(match[1].decode())[1], end + match.end()
        elif step < len(steps) - 1:
            yield Cursor(step), end + len(data)
        end += len(data)


async def _resume(
    registry: Registry, head: Head, shown: str, shape: View, cursor: Cursor, missing: bytes, tally: Tally
) -> None:
    try:
        if all_seen(head, cursor, shown):
            tally.different += missing != b""
            return
        reader = registry.read(head, shape, cursor, participant=False)
    except RequestError:
        tally.refused += 1
        return
    tally.different += await _rest(reader) != missing


async def _rest(reader: Reader) -> bytes:
    """Everything up to the end."""
    try:
        return b"".join([data async for data in _pieces(reader)])
    finally:
        reader.close()


async def _pieces(reader: Reader) -> AsyncIterator[bytes]:
    while data := await reader.read():
        yield data
