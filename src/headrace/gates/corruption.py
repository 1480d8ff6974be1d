"""Corruption: bits flip in the files of a filled data folder; never is a wrong byte served, nor anything deleted.

SQLite's indexes are under no checksum: where one is hit, something may not be found any more by its name. That is
counted, and must be rare.
"""

import asyncio
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from headrace.core.log import Name
from headrace.core.topic_log import START, Fork, Note, Offset, Topic, TopicHead
from headrace.errors import NotFound, RequestError, StoreError
from headrace.gates.gate import Run
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.model.request import Meta
from headrace.stores.sqlite.log import SqliteLog
from headrace.stores.sqlite.topics import SqliteTopics
from headrace.testing.contract import CUT, DONE, meta, read_all
from headrace.testing.power_cut import Disk

#: Of the whole experiment; a third of them in what a client has written, the others anywhere.
FLIPS = 1_000
STREAMS = 12
TOPICS = 4
PAGE = 4096
#: Of the damaged folders, how many may have something that is not found any more.
UNFOUND = 0.02
_OWNER = "ann"
_LEFT_OUT = (".lock", "-shm")


@dataclass
class Kept:
    """What is in a folder: streams and topics by name."""

    streams: dict[str, tuple[list[Record], Outcome | None]]
    topics: dict[str, list[bytes]]
    #: The folder as its processes left it: closed in order, or killed.
    image: Path
    killed: bool

    def meta(self) -> Meta:
        """Of each stream."""
        return meta(_OWNER)


@dataclass
class Tally:
    """What was counted."""

    damaged: int = 0
    refused: int = 0
    exact: int = 0
    errors: int = 0
    lost: int = 0
    wrong: int = 0
    vanished: int = 0
    dragged: int = 0
    misled: int = 0
    noticed: int = 0
    deleted: int = 0
    worse: int = 0
    crashes: int = 0


async def gate(run: Run) -> None:
    """Fill a folder, damage copies of it, and read all of each."""
    tally = Tally()
    with Disk("headrace-corruption", run.random) as disk:
        kept = [await _fill(run, disk.name, killed) for killed in (False, True)]
        for number in range(run.of(FLIPS, least=20)):
            chance = random.Random(run.random.getrandbits(64))  # noqa: S311 - to be repeated
            await _damage(run.folder / f"{number}", disk.name, kept[number % 2], chance, tally)
    run.figure("damaged folders", tally.damaged, least=run.of(FLIPS))
    run.figure("of them refused as a whole", tally.refused)
    run.figure("streams and topics read exactly", tally.exact, least=1)
    run.figure("streams and topics that say that they are damaged", tally.errors, least=1)
    run.figure("streams and topics whose end was lost with the write-ahead log", tally.lost)
    run.zero("streams and topics with a wrong byte", tally.wrong)
    run.zero("names that lead to somebody else's stream", tally.misled)
    most = max(1, UNFOUND * tally.damaged)
    run.figure("streams, topics and names that are not found any more", tally.vanished, most=most)
    run.figure("damaged records that were noticed", tally.noticed, least=1)
    run.zero("sound ones that cannot be read beside a damaged record", tally.dragged)
    run.zero("files that were deleted", tally.deleted)
    run.zero("streams and topics that are worse after housekeeping", tally.worse)
    run.zero("errors that are none of ours", tally.crashes)


# -- before ----------------------------------------------------------------------------------------------------------


async def _fill(run: Run, vfs: str, killed: bool) -> Kept:
    """A folder with the files of two workers and topics, part of it moved out of the write-ahead logs."""
    place, image = run.folder / f"filled-{killed}", run.folder / f"image-{killed}"
    kept = Kept({}, {}, image, killed)
    logs = [await SqliteLog(place, vfs=vfs).open() for _ in range(2)]
    topics = await SqliteTopics.open(place, vfs=vfs)
    for number in range(STREAMS):
        await _stream(run.random, logs[number % 2], f"stream{number:02}", kept)
        if number == STREAMS // 2:
            for log in logs:
                await log.upkeep.tidy()
                await log.upkeep.checkpoint(reset=True)
    for number in range(TOPICS):
        await _topic(run.random, topics, f"topic{number:02}", kept)
    if killed:
        _copy(place, image)
    await topics.close()
    for log in logs:
        await log.close()
    if not killed:
        _copy(place, image)
    return kept


async def _stream(chance: random.Random, log: SqliteLog, name: str, kept: Kept) -> None:
    records = [_record(chance, name, n) for n in range(chance.choice((3, 30, 100)))]
    outcome = DONE if chance.random() < 0.7 else None
    await log.create(name, meta(_OWNER), [Name("idempotency", name)])
    half = len(records) // 2
    await log.append(name, 0, records[:half], format="openai.chat")
    await log.append(name, half, records[half:], outcome)
    kept.streams[name] = (records, outcome)


async def _topic(chance: random.Random, topics: SqliteTopics, name: str, kept: Kept) -> None:
    records = [_record(chance, name, n).data for n in range(chance.choice((3, 40)))]
    source = await topics.head(_OWNER, "topic00")
    fork = Fork(source.id, "topic00", 2, _place(source)) if source is not None and name.endswith("1") else None
    inherited = kept.topics["topic00"][:2] if fork else []
    head, _ = await topics.create(Topic(_OWNER, name, "text/plain", 1.0, fork=fork), records)
    await topics.append(head.id, head.tail, [b"last"], note=Note({"p": (1, 2)}), now=1.0, closed=True)
    kept.topics[name] = [*inherited, *records, b"last"]


def _record(chance: random.Random, name: str, number: int) -> Record:
    filling = chance.randbytes(chance.choice((20, 200, 3000))).hex()
    return Record("", f"<{name}.{number}>{filling}".encode())


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for path in source.iterdir():
        if not path.name.endswith(_LEFT_OUT):
            shutil.copyfile(path, target / path.name)


# -- the damage ------------------------------------------------------------------------------------------------------


async def _damage(folder: Path, vfs: str, kept: Kept, chance: random.Random, tally: Tally) -> None:
    """One folder: damaged, read, cleaned up by its own housekeeping, and read again."""
    _copy(kept.image, folder)
    hit = _hit_record(folder, kept, chance) if chance.random() < 0.33 else ""
    stale = False
    if not hit:
        stale = _hit_anything(folder, chance)
    tally.damaged += 1
    names = _names(folder)
    first = await _looked(folder, vfs, kept, stale, tally)
    second = Tally()
    again = await _looked(folder, vfs, kept, stale, second)
    tally.wrong += second.wrong
    tally.misled += second.misled
    tally.crashes += second.crashes
    tally.deleted += len(names - _names(folder))
    tally.worse += sum(_worse(found, again.get(name)) for name, found in first.items())
    if hit and first and first.pop(hit) == "errors":
        tally.noticed += 1
        tally.dragged += sum(found != "exact" for found in first.values())
    # What was refused may be let go of just now, and SQLite removes its write-ahead log.
    shutil.rmtree(folder, ignore_errors=True)


def _worse(before: str, after: str | None) -> bool:
    """Whether what was found is not found again, or whether one that said that it is damaged has gone since."""
    return after != "exact" if before == "exact" else (before, after) == ("errors", "vanished")


def _names(folder: Path) -> set[str]:
    """The files, but for write-ahead logs, which go when what is in them has been moved."""
    return {path.name for path in folder.iterdir() if not path.name.endswith("-wal")}


def _hit_record(folder: Path, kept: Kept, chance: random.Random) -> str:
    """Flip a bit in the first record of a stream or topic, where it is found in a database; whose it was."""
    name = chance.choice([*kept.streams, *kept.topics])
    if name == "topic00":
        return ""  # another one reads it too
    mark = b"<%b.0>" % name.encode()
    for path in sorted(folder.glob("*.db")):
        data = bytearray(path.read_bytes())
        if data.count(mark) == 1:
            at = data.index(mark) + chance.randrange(len(mark) + 20)
            data[at] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
            return name
    return ""


def _hit_anything(folder: Path, chance: random.Random) -> bool:
    """Flip bits, lose a page or the end, anywhere in any file; whether it was a write-ahead log."""
    path = chance.choice(sorted(path for path in folder.iterdir() if path.stat().st_size))
    data = bytearray(path.read_bytes())
    kind = chance.random()
    if kind < 0.7:
        for _ in range(chance.choice((1, 1, 1, 4))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind < 0.8:
        at = chance.randrange(len(data)) // PAGE * PAGE
        data[at : at + PAGE] = bytes(len(data[at : at + PAGE]))
    elif kind < 0.9:
        at = chance.randrange(len(data))
        data[at : at + 64] = chance.randbytes(len(data[at : at + 64]))
    else:
        del data[chance.randrange(len(data)) :]
    path.write_bytes(data)
    return path.name.endswith("-wal")


# -- after -----------------------------------------------------------------------------------------------------------


async def _looked(folder: Path, vfs: str, kept: Kept, stale: bool, tally: Tally) -> dict[str, str]:
    """What is found of each stream and topic; nothing where the folder is refused."""
    looking = asyncio.ensure_future(_look(folder, vfs, kept, stale, tally))
    await asyncio.wait([looking])
    error = looking.exception()
    if error is None:
        return looking.result()
    tally.refused += isinstance(error, StoreError)
    tally.crashes += not isinstance(error, StoreError)
    return {}


async def _look(folder: Path, vfs: str, kept: Kept, stale: bool, tally: Tally) -> dict[str, str]:
    log = await SqliteLog(folder, vfs=vfs).open()
    try:
        topics = await SqliteTopics.open(folder, vfs=vfs)
        try:
            found = {name: await _stream_found(log, kept, name, stale) for name in kept.streams}
            found |= {name: await _topic_found(topics, kept, name, stale) for name in kept.topics}
            for name in kept.streams:
                await _lookup(log, kept, name, stale, tally)
            await _keep_house(log)
        finally:
            await topics.close()
    finally:
        await log.close()
    for state in found.values():
        setattr(tally, state, getattr(tally, state) + 1)
    return found


async def _keep_house(log: SqliteLog) -> None:
    """What is done to the files every second; damage may keep it from that."""
    for work in (log.reap(lambda _: CUT), log.upkeep.tidy()):
        try:
            await work
        except StoreError:
            continue


async def _stream_found(log: SqliteLog, kept: Kept, name: str, stale: bool) -> str:
    records, outcome = kept.streams[name]
    try:
        head = await log.head(name)
        found, end = await read_all(log, name)
    except NotFound:
        return "lost" if stale else "vanished"
    except (StoreError, RequestError):
        return "errors"
    whole = found == records and (end == outcome or (outcome is None and end == CUT))
    if whole and head is not None and head.meta == kept.meta() and head.format == "openai.chat":
        return "exact"
    prefix = found == records[: len(found)] and end in (None, CUT)
    return "lost" if stale and prefix else "wrong"


async def _lookup(log: SqliteLog, kept: Kept, name: str, stale: bool, tally: Tally) -> None:
    """Where a stream's name leads."""
    try:
        bound = await log.resolve(_OWNER, name, ["idempotency"])
    except StoreError:
        return
    tally.vanished += not stale and (bound is None or bound.id not in kept.streams)
    tally.misled += bound is not None and bound.id in kept.streams and bound.id != name


def _place(head: TopicHead) -> Offset:
    return head.offset._replace(number=2)


async def _topic_found(topics: SqliteTopics, kept: Kept, name: str, stale: bool) -> str:
    records = kept.topics[name]
    try:
        head = await topics.head(_OWNER, name)
        if head is None:
            return "lost" if stale else "vanished"
        batch = await topics.read(head.id, START, max_bytes=1 << 24)
    except (StoreError, RequestError):
        return "errors"
    found = list(batch.records)
    whole = found == records and batch.closed and head.topic.content_type == "text/plain"
    if whole:
        return "exact"
    return "lost" if stale and found == records[: len(found)] else "wrong"
