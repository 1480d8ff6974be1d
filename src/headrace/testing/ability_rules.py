"""The rules of what some stores can do beyond the log port: health, ownership, signals, retention."""

import asyncio

from headrace.core.log import Bound, Health, Kept, Log, Name, Newest, Overview, Ownership, Retention, Signals
from headrace.errors import NotFound, OffsetAhead, StoreError, StreamGone
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.testing.clock import settle
from headrace.testing.contract import CUT, DONE, Bell, Stage, fails, meta, numbered, put, read, read_all, rule, same

#: Seconds after which something that another worker should have told is missing for good.
PATIENCE = 5.0


def ownership(log: Log) -> Ownership:
    """The log as what it was found to be able to do."""
    if not isinstance(log, Ownership):
        raise TypeError("this store says that it has Ownership")
    return log


def signals(log: Log) -> Signals:
    """The log as what it was found to be able to do."""
    if not isinstance(log, Signals):
        raise TypeError("this store says that it has Signals")
    return log


def retention(log: Log) -> Retention:
    """The log as what it was found to be able to do."""
    if not isinstance(log, Retention):
        raise TypeError("this store says that it has Retention")
    return log


def newest(log: Log) -> Newest:
    """The log as what it was found to be able to do."""
    if not isinstance(log, Newest):
        raise TypeError("this store says that it has Newest")
    return log


@rule(Health)
async def a_healthy_store_says_so(stage: Stage) -> None:
    """A probe can be written and read, again and again."""
    log = await stage.open()
    if not isinstance(log, Health):
        raise TypeError("this store says that it has Health")
    await log.check()
    await log.check()


# --- what was committed just now


@rule(Newest)
async def the_newest_is_what_a_read_gives(stage: Stage) -> None:
    """Where it gives something; at the tail it does. A wake is kept exactly where the batch waits."""
    log = await stage.open()
    await log.create("s", meta())
    tail = 0
    for count, size, outcome in ((1, 10, None), (7, 10, None), (3, 100_000, None), (2, 10, None), (1, 10, DONE)):
        left = {bell: await _look(log, after, bound, bell) for after, bound, bell in _everywhere(tail)}
        tail = (await log.append("s", tail, numbered(tail + 1, tail + count, size=size), outcome)).tail
        for bell, waits in left.items():
            if waits:
                await bell.wait()
        await settle()
        same([bell.rung for bell in left], [int(waits) for waits in left.values()])
        found = newest(log).newest("s", tail - count, max_bytes=1 << 20, wake=Bell())
        same(found and [*found.records], (await read(log, "s", tail - count, 1 << 20)).records)
    same({await _look(log, after, bound, bell) for after, bound, bell in _everywhere(tail)}, {False})


def _everywhere(tail: int) -> list[tuple[int, int, Bell]]:
    return [(after, bound, Bell()) for after in range(tail + 1) for bound in (1, 25, 1_000, 1 << 20)]


async def _look(log: Log, after: int, max_bytes: int, bell: Bell) -> bool:
    """Whether what it gives waits; it must be what a read gives."""
    batch = newest(log).newest("s", after, max_bytes=max_bytes, wake=bell)
    if batch is None:
        return False
    same(batch._replace(records=[*batch.records]), await read(log, "s", after, max_bytes))
    return batch.waits


@rule(Newest)
async def the_newest_of_what_is_not_there(stage: Stage) -> None:
    """It gives nothing, or fails as a read does; and nothing is kept."""
    log = await stage.open()
    await put(log, "s", 2)
    await put(log, "gone", 2)
    await log.drop("gone")
    bell = Bell()
    for id, after, error in (("s", 3, OffsetAhead), ("nobody", 0, NotFound), ("gone", 2, StreamGone)):
        await fails(error, _newest_or_read(log, id, after, bell))
    await log.append("s", 2, numbered(3, 3))
    await settle()
    same(bell.rung, 0)
    await log.close()
    await fails(StoreError, _newest_or_read(log, "s", 3, bell))


async def _newest_or_read(log: Log, id: str, after: int, bell: Bell) -> object:
    return newest(log).newest(id, after, max_bytes=100, wake=bell) or await log.read(id, after)


@rule(Newest, workers=True)
async def the_newest_of_another_worker(stage: Stage) -> None:
    """What another process writes is read, or shown as it is."""
    one, two = await stage.open(), await stage.open()
    await put(one, "s", 3)
    await read(two, "s", 0)
    bell = Bell()
    await _look(two, 0, 100, bell)
    await one.append("s", 3, numbered(4, 4), DONE)
    await read(two, "s", 0)
    await _look(two, 0, 100, bell)
    same(await read_all(two, "s"), (numbered(1, 4), DONE))


# --- ownership


@rule(Ownership)
async def an_open_stream_is_owned_until_its_end(stage: Stage) -> None:
    """Who started a stream writes it; what is closed, dropped or unknown is nobody's to write."""
    log = await stage.open()
    await put(log, "s", 1)
    await put(log, "dropped", 1)
    same([ownership(log).owns(key) for key in ("s", "nobody")], [True, False])
    await log.append("s", 1, (), DONE)
    await log.drop("dropped")
    same([ownership(log).owns(key) for key in ("s", "dropped")], [False, False])


@rule(Ownership)
async def the_living_are_not_reaped(stage: Stage) -> None:
    """A stream of a living process stays open, however often others look."""
    log, other = await stage.open(), await stage.open()
    await put(log, "s", 1)
    same([*await ownership(log).reap(lambda _: CUT)], [])
    same([*await ownership(other).reap(lambda _: CUT)], [])
    same((await log.append("s", 1, numbered(2, 2))).ok, True)


@rule(Ownership, workers=True)
async def the_dead_ones_streams_are_closed_once(stage: Stage) -> None:
    """Only the dead process's open streams get the outcome, by one of those who look; readers elsewhere are woken."""
    dead, living, third = await stage.open(), await stage.open(), await stage.open()
    await put(dead, "open", 3)
    await put(dead, "done", 2, DONE)
    await put(living, "mine", 1)
    bell = Bell()
    same((await living.read("open", 3, wake=bell)).tail, 3)
    await stage.kill(dead)
    asked: list[str] = []

    def close(head: object) -> Outcome:
        asked.append(getattr(head, "id", ""))
        return CUT

    reaped = [*await ownership(living).reap(close), *await ownership(third).reap(close)]
    same(reaped, ["open"])
    same(asked, ["open"])
    await bell.wait()
    for log in (living, third):
        same(await read_all(log, "open"), (numbered(1, 3), CUT))
        same(await read_all(log, "done"), (numbered(1, 2), DONE))
    same((await living.append("mine", 1, numbered(2, 2))).ok, True)


@rule(Ownership, workers=True)
async def a_restart_finds_its_own_open_streams(stage: Stage) -> None:
    """After a crash of the only process, the next one closes what was left open; everything acknowledged is there."""
    log = await stage.open()
    await put(log, "s", 50)
    await stage.kill(log)
    log = await stage.open()
    same(await read_all(log, "s"), (numbered(1, 50), None))
    same([*await ownership(log).reap(lambda _: CUT)], ["s"])
    same([*await ownership(log).reap(lambda _: CUT)], [])
    same(await read_all(log, "s"), (numbered(1, 50), CUT))


# --- several workers


@rule(Ownership, workers=True)
async def a_reader_elsewhere_follows(stage: Stage) -> None:
    """A reader on another worker is woken by each commit, sees every record in order, and the end."""
    writer, reader = await stage.open(), await stage.open()
    await writer.create("s", meta())
    seen: list[Record] = []
    for n in range(1, 11):
        bell = Bell()
        batch = await reader.read("s", len(seen), wake=bell)
        await writer.append("s", n - 1, numbered(n, n), DONE if n == 10 else None)
        if not batch.records:
            await bell.wait()
        batch = await reader.read("s", len(seen))
        seen.extend(batch.records)
    same(seen, numbered(1, 10))
    same(batch.outcome, DONE)


@rule(Ownership, workers=True)
async def names_are_shared(stage: Stage) -> None:
    """Workers race for a first-come name and one wins; the latest wins a chat, whichever worker it is on."""
    one, two = await stage.open(), await stage.open()
    name = Name("idempotency", "k", "f")
    first, second = await asyncio.gather(one.create("a", meta(), [name]), two.create("b", meta(), [name]))
    same(first.id, second.id)
    same([head.id for head in await one.list("ann")], [first.id])
    await one.create("c1", meta(), [Name("chat", "c")])
    await two.create("c2", meta(), [Name("chat", "c")])
    same(await one.resolve("ann", "c", ["chat"]), Bound("c2"))


@rule(Ownership, workers=True)
async def a_drop_reaches_readers_on_all_workers(stage: Stage) -> None:
    """Whichever worker drops a stream, its owner and the readers of both are told."""
    one, two = await stage.open(), await stage.open()
    await put(one, "s", 1)
    here, there = Bell(), Bell()
    await one.read("s", 1, wake=here)
    await two.read("s", 1, wake=there)
    same(await two.drop("s"), True)
    await here.wait()
    await there.wait()
    await fails(StreamGone, one.read("s", 1))
    await fails(StreamGone, two.read("s", 1))
    await fails(StreamGone, one.append("s", 1, numbered(2, 2)))


# --- signals


@rule(Signals)
async def a_cancel_reaches_its_owner(stage: Stage) -> None:
    """The owner hears it from wherever it is sent, and hears nothing about what is closed or unknown."""
    log, other = await stage.open(), await stage.open()
    heard: asyncio.Queue[str] = asyncio.Queue()
    signals(log).on_cancel(heard.put_nowait)
    await put(log, "a", 1)
    await put(log, "b", 1)
    await put(log, "done", 1, DONE)
    await signals(log).send_cancel("done")
    await signals(log).send_cancel("nobody")
    await signals(log).send_cancel("a")
    same(await asyncio.wait_for(heard.get(), PATIENCE), "a")
    await signals(other).send_cancel("b")
    same(await asyncio.wait_for(heard.get(), PATIENCE), "b")
    await settle()
    same(heard.qsize(), 0)


@rule(Signals)
async def presence_is_seen_by_all(stage: Stage) -> None:
    """A stream has participants as long as any worker has."""
    one, two = await stage.open(), await stage.open()
    await put(one, "s", 1)
    same(await signals(one).present("s"), False)
    await signals(two).set_presence("s", True)
    same([await signals(log).present("s") for log in (one, two)], [True, True])
    await signals(two).set_presence("s", False)
    same([await signals(log).present("s") for log in (one, two)], [False, False])


@rule(Signals, workers=True)
async def the_dead_are_not_present(stage: Stage) -> None:
    """A killed worker's participants are gone with it."""
    one, two = await stage.open(), await stage.open()
    await put(one, "s", 1)
    await signals(two).set_presence("s", True)
    await stage.kill(two)
    same(await signals(one).present("s"), False)


# --- overview


@rule(Overview)
async def what_is_open_is_seen_at_once(stage: Stage) -> None:
    """All owners' open streams, newest first, whichever worker writes them; nothing that has ended or is gone."""
    one, two = await stage.open(), await stage.open()
    for n, log in enumerate((one, two, one, two, one)):
        await log.create(f"s{n}", meta(f"owner{n}", created=1_800_000_000.0 + n // 2))
    await one.append("s0", 0, numbered(1, 2))
    await one.append("s4", 0, (), DONE)
    await two.drop("s3")
    for log in (one, two):
        if not isinstance(log, Overview):
            raise TypeError("this store says that it has Overview")
        same([(head.id, head.tail) for head in await log.open_streams()], [("s2", 0), ("s1", 0), ("s0", 2)])
        same([head.meta.owner for head in await log.open_streams(limit=1)], ["owner2"])


# --- retention


@rule(Retention)
async def what_is_not_recorded_is_kept(stage: Stage) -> None:
    """Closed streams wait to be recorded, the oldest end first; until then no age makes them go."""
    log = await stage.open()
    await put(log, "late", 1, CUT)
    await put(log, "early", 1, DONE)
    await put(log, "open", 1)
    store = retention(log)
    same([head.id for head in await store.unrecorded()], ["early", "late"])
    same([head.id for head in await store.unrecorded(limit=1)], ["early"])
    same(await store.expire(DONE.ended_at + 1e9, Kept()), 0)
    await store.mark_recorded(["early"])
    await store.mark_recorded(["early", "nobody"])
    same([head.id for head in await store.unrecorded()], ["late"])
    same(await store.expire(DONE.ended_at + 1e9, Kept()), 1)
    same(await read_all(log, "late"), (numbered(1, 1), CUT))


@rule(Retention)
async def old_streams_go_in_stages(stage: Stage) -> None:
    """Frames for a while, longer where they are stored; then a tombstone; then nothing."""
    log = await stage.open()
    store = retention(log)
    kept = Kept(frames=60.0, stored=600.0, tombstone=6000.0)
    end = DONE.ended_at
    for name, stored in (("short", False), ("long", True)):
        await log.create(name, meta(stored=stored), [Name("chat", name)])
        await log.append(name, 0, numbered(1, 3), DONE)
    bell = Bell()
    await log.create("open", meta())
    await log.read("open", 0, wake=bell)
    await store.mark_recorded(["short", "long"])
    same(await store.expire(end + 59.0, kept), 0)
    same(await store.expire(end + 60.0, kept), 1)
    await fails(StreamGone, log.read("short", 0))
    same(await log.resolve("ann", "short", ["chat"]), None)
    head = await log.head("short")
    same(head and (head.gone, head.meta.owner), ("expired", "ann"))
    same(await read_all(log, "long"), (numbered(1, 3), DONE))
    same(await store.expire(end + 600.0, kept), 1)
    same(await store.expire(end + 60.0 + 6000.0, kept), 1)
    same(await log.head("short"), None)
    same(await store.expire(end + 600.0 + 6000.0, kept), 1)
    same(await log.head("long"), None)
    same((await log.append("open", 0, numbered(1, 1))).ok, True)
