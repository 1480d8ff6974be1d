"""Power cuts: the machine stops, and what was not synced is lost, torn and out of order (P1, P2, P7).

Under ``power`` everything acknowledged is there again.
Under ``process`` a suffix may be missing, and the epoch says so.
"""

import random
from dataclasses import dataclass, field, replace
from pathlib import Path

from headrace.core.log import Name
from headrace.core.topic_log import START, Note, Topic
from headrace.errors import NotFound, StoreError
from headrace.gates.gate import Run
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.stores.sqlite.connection import Durability
from headrace.stores.sqlite.log import SqliteLog
from headrace.stores.sqlite.topics import SqliteTopics
from headrace.testing.contract import DONE, meta, numbered, read_all
from headrace.testing.power_cut import Disk

#: Of the whole experiment, half of them under each durability.
CUTS = 1000
#: Below this many none may have cost anything.
LEAST = 20
DURABILITIES: tuple[Durability, ...] = ("power", "process")
STREAMS = ("a", "b", "c", "d", "e")
#: The most changes to files after which the power fails while something is written, and not between two steps.
CHANGES = 600
_OWNER = "ann"


@dataclass
class Written:
    """What was handed to the store, and how much of that it has acknowledged."""

    records: dict[str, list[Record]] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    topic: list[bytes] = field(default_factory=list)
    topic_acknowledged: int = 0

    def promised(self) -> "Written":
        """As it is at this moment."""
        return replace(self, acknowledged=dict(self.acknowledged), closed=set(self.closed))


@dataclass
class Tally:
    """What was counted under one durability."""

    acknowledged: int = 0
    lost: int = 0
    unsaid: int = 0
    raised: int = 0
    altered: int = 0
    unreadable: int = 0


async def gate(run: Run) -> None:
    """Write, cut the power somewhere, and open what is left."""
    tallies = {durability: Tally() for durability in DURABILITIES}
    for number in range(run.of(CUTS, least=LEAST)):
        durability = DURABILITIES[number % 2]
        await _cut(run, f"{number}", durability, tallies[durability])
    power, process = tallies["power"], tallies["process"]
    run.figure("acknowledged under power", power.acknowledged, "records", least=1)
    run.zero("lost under power", power.lost, "records")
    run.zero("epochs raised under power", power.raised)
    run.figure("acknowledged under process", process.acknowledged, "records", least=1)
    run.figure("lost under process, all of them at the ends", process.lost, "records", least=1)
    run.zero("cuts that lost something and did not say so", process.unsaid)
    run.zero("streams and topics with a hole or a wrong byte", power.altered + process.altered)
    run.zero("folders that could not be opened and written", power.unreadable + process.unreadable)


async def _cut(run: Run, name: str, durability: Durability, tally: Tally) -> None:
    chance = random.Random(run.random.getrandbits(64))  # noqa: S311 - to be repeated
    written, promised = Written(), [Written()]
    before, after = run.folder / f"{name}-before", run.folder / f"{name}-after"
    at = chance.randrange(1, CHANGES) if chance.random() < 0.7 else 0

    def cut() -> None:
        promised[:] = [written.promised()]

    with Disk(f"headrace-power-cut-{name}", chance, at=at, on_cut=cut) as disk:
        log = await SqliteLog(before, durability=durability, boot="first", vfs=disk.name).open()
        topics = await SqliteTopics.open(before, durability=durability, boot="first", vfs=disk.name)
        await _write(log, topics, chance, written)
        disk.write_to(after)
        await log.close()
        await topics.close()
    with Disk(f"headrace-power-again-{name}", chance) as disk:
        await _look(after, durability, disk.name, promised[0], tally)


async def _write(log: SqliteLog, topics: SqliteTopics, chance: random.Random, written: Written) -> None:
    """Random appends, ends, checkpoints and compactions, on streams and one topic."""
    topic, _ = await topics.create(Topic(_OWNER, "t", "text/plain", 1.0))
    for _ in range(chance.randrange(2, 60)):
        step = chance.random()
        if step < 0.06:
            await log.upkeep.checkpoint(reset=chance.random() < 0.5)
        elif step < 0.12:
            await log.upkeep.tidy()
        elif step < 0.3:
            data = [b"%d" % (len(written.topic) + 1) * chance.randrange(1, 500)]
            written.topic += data
            done = await topics.append(topic.id, written.topic_acknowledged, data, note=Note(), now=1.0)
            written.topic_acknowledged = done.head.tail
        else:
            await _append(log, chance, written)


async def _append(log: SqliteLog, chance: random.Random, written: Written) -> None:
    name = chance.choice(STREAMS)
    if name in written.closed:
        return
    if name not in written.acknowledged:
        written.records[name] = []
        await log.create(name, meta(_OWNER), [Name("idempotency", name)])
        written.acknowledged[name] = 0
    tail = written.acknowledged[name]
    records = numbered(tail + 1, tail + chance.randrange(1, 6), size=chance.choice([10, 3000]))
    end = DONE if chance.random() < 0.08 else None
    written.records[name] += records
    appended = await log.append(name, tail, records, end, format="f")
    written.acknowledged[name] = appended.tail
    if end is not None:
        written.closed.add(name)


async def _look(folder: Path, durability: Durability, vfs: str, promised: Written, tally: Tally) -> None:
    """What is there when the machine is on again."""
    try:
        log = await SqliteLog(folder, durability=durability, boot="second", vfs=vfs).open()
        topics = await SqliteTopics.open(folder, durability=durability, boot="second", vfs=vfs)
        try:
            lost = await _missing(log, promised, tally) + await _missing_of_topic(topics, promised, tally)
            await log.check()
        finally:
            await topics.close()
            await log.close()
    except StoreError:
        tally.unreadable += 1
        return
    tally.acknowledged += sum(promised.acknowledged.values()) + promised.topic_acknowledged
    tally.lost += lost
    tally.raised += log.epoch > 1
    tally.unsaid += bool(lost) and log.epoch == 1


async def _missing(log: SqliteLog, promised: Written, tally: Tally) -> int:
    """How much of what was acknowledged is not there, a name or an end counted as a record."""
    missing = 0
    for name, tail in promised.acknowledged.items():
        found, outcome = await _found(log, name)
        tally.altered += not _is_prefix(found, promised.records[name], outcome)
        missing += max(0, tail - len(found))
        missing += name in promised.closed and outcome is None
        missing += await log.resolve(_OWNER, name, ["idempotency"]) is None
    return missing


async def _found(log: SqliteLog, name: str) -> tuple[list[Record], Outcome | None]:
    try:
        return await read_all(log, name)
    except NotFound:
        return [], None


def _is_prefix(found: list[Record], written: list[Record], outcome: Outcome | None) -> bool:
    """Without a hole, to the byte; and an end only where it was written, after all that came before it."""
    whole = len(found) == len(written)
    return found == written[: len(found)] and (outcome is None or (outcome == DONE and whole))


async def _missing_of_topic(topics: SqliteTopics, promised: Written, tally: Tally) -> int:
    head = await topics.head(_OWNER, "t")
    records = list((await topics.read(head.id, START, max_bytes=1 << 24)).records) if head else []
    tally.altered += records != promised.topic[: len(records)]
    return max(0, promised.topic_acknowledged - len(records))
