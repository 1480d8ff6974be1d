"""The rules of the log port itself, which every store keeps."""

import asyncio

from headrace.core.log import Appended, Batch, Bound, Name
from headrace.errors import NotFound, OffsetAhead, StoreError, StreamGone
from headrace.model.record import Record
from headrace.testing.clock import settle
from headrace.testing.contract import CUT, DONE, Bell, Stage, fails, meta, numbered, put, read, read_all, rule, same

# --- appending


@rule()
async def what_was_appended_is_read_back(stage: Stage) -> None:
    """Records come back as they were, with the log's tail, its format and its end."""
    log = await stage.open()
    records = [Record("", b"{}"), Record("delta", b'{"a":"b"}'), Record("", b"")]
    same(await log.create("s", meta()), Bound("s"))
    same(await log.append("s", 0, records, format="openai.chat"), Appended(True, 3))
    same(await read(log, "s", 0), Batch(1, records, 3))
    same(await log.append("s", 3, [Record("", b"x")], DONE), Appended(True, 4, DONE))
    same(await read(log, "s", 0), Batch(1, [*records, Record("", b"x")], 4, DONE))
    head = await log.head("s")
    size = sum(len(r.event) + len(r.data) for r in records) + 1
    same(head, ("s", meta(), "openai.chat", 4, DONE, size, ""))


@rule()
async def data_is_untouched(stage: Stage) -> None:
    """Unicode, line ends, NUL and bytes that are no text pass through; so do records far over a read's bound."""
    log = await stage.open()
    records = [
        Record("é", "grün 🌊 \u2028\x85".encode()),
        Record("", b"a\nb\r\nc\x00d\xff\xfe"),
        Record("", b"z" * 300_000),
        Record("end", b"\x00"),
    ]
    await log.create("s", meta())
    same((await log.append("s", 0, records)).tail, 4)
    same(await read_all(log, "s"), (records, None))
    same((await read(log, "s", 2, 10)).records, [records[2]])


@rule()
async def of_two_appenders_one_wins(stage: Stage) -> None:
    """Two appends at one tail: one is done, the other is told how the log stands, and nothing of it is written."""
    log = await stage.open()
    await put(log, "s", 2)
    first = log.append("s", 2, [Record("", b"a")])
    second = log.append("s", 2, [Record("", b"b"), Record("", b"c")], DONE)
    same(await asyncio.gather(first, second), [Appended(True, 3), Appended(False, 3)])
    same(await read_all(log, "s"), ([*numbered(1, 2), Record("", b"a")], None))


@rule()
async def appends_follow_their_calls(stage: Stage) -> None:
    """An append may be called before the one ahead of it is done; it stands on that one's tail."""
    log = await stage.open()
    await log.create("s", meta())
    futures = [log.append("s", n, numbered(n + 1, n + 1)) for n in range(20)]
    same([done.tail for done in await asyncio.gather(*futures)], [*range(1, 21)])
    same(await read_all(log, "s"), (numbered(1, 20), None))


@rule()
async def nothing_follows_the_end(stage: Stage) -> None:
    """A closed log takes nothing, not even another end, and says how it ended."""
    log = await stage.open()
    await put(log, "s", 1, DONE)
    same(await log.append("s", 1, numbered(2, 2)), Appended(False, 1, DONE))
    same(await log.append("s", 1, (), CUT), Appended(False, 1, DONE))
    same(await read_all(log, "s"), (numbered(1, 1), DONE))


@rule()
async def a_log_may_end_without_records(stage: Stage) -> None:
    """An answer that failed before its first record is a log with an end and nothing else."""
    log = await stage.open()
    await log.create("s", meta())
    same(await log.append("s", 0, (), CUT), Appended(True, 0, CUT))
    same(await read(log, "s", 0), Batch(1, [], 0, CUT))


@rule()
async def a_cancelled_future_takes_nothing_back(stage: Stage) -> None:
    """The caller may go away; what it appended is committed, and the next append stands on it."""
    log = await stage.open()
    await put(log, "s", 1)
    log.append("s", 1, numbered(2, 2)).cancel()
    same(await log.append("s", 2, numbered(3, 3)), Appended(True, 3))
    same(await read_all(log, "s"), (numbered(1, 3), None))


@rule()
async def an_append_to_nothing_fails(stage: Stage) -> None:
    """A stream that was never created takes no records, and one that was dropped tells that."""
    log = await stage.open()
    await fails(NotFound, log.append("nobody", 0, numbered(1, 1)))
    await put(log, "s", 1)
    await log.drop("s")
    await fails(StreamGone, log.append("s", 1, numbered(2, 2)))


# --- reading


@rule()
async def every_cursor_finds_its_place(stage: Stage) -> None:
    """From each record on, with each bound, the rest comes without gap or duplicate, whatever the batches were."""
    log = await stage.open()
    await log.create("s", meta())
    tail = 0
    for count in (1, 7, 2, 30, 1):
        tail = (await log.append("s", tail, numbered(tail + 1, tail + count, size=10))).tail
    for outcome in (None, DONE):
        if outcome is not None:
            await log.append("s", tail, (), outcome)
        for after in range(tail + 1):
            for max_bytes in (1, 25, 100, 65536):
                same(
                    await read_all(log, "s", after, max_bytes=max_bytes), (numbered(after + 1, tail, size=10), outcome)
                )


@rule()
async def a_read_is_bounded(stage: Stage) -> None:
    """A read gives about ``max_bytes``, and its end only where it reaches the end."""
    log = await stage.open()
    await log.create("s", meta())
    await log.append("s", 0, numbered(1, 100, size=100), DONE)
    batch = await log.read("s", 10, max_bytes=1000)
    same((batch.first, len(batch.records), batch.tail, batch.outcome), (11, 10, 100, None))
    same((await log.read("s", 95, max_bytes=1000)).outcome, DONE)


@rule()
async def a_cursor_beyond_the_tail_is_refused(stage: Stage) -> None:
    """Nothing is there yet, and nothing may be made up for it."""
    log = await stage.open()
    await put(log, "s", 2)
    await fails(OffsetAhead, log.read("s", 3))
    await fails(NotFound, log.read("nobody", 0))
    same(await log.head("nobody"), None)


@rule()
async def a_reader_is_woken_once(stage: Stage) -> None:
    """A wake that was left at the tail is called by the next commit, and not by the one after it."""
    log = await stage.open()
    await put(log, "s", 1)
    bell = Bell()
    same(await read(log, "s", 1, wake=bell), Batch(2, [], 1))
    await log.append("s", 1, numbered(2, 2))
    await bell.wait()
    same(await read(log, "s", 1), Batch(2, numbered(2, 2), 2))
    await log.append("s", 2, numbered(3, 3))
    await settle()
    same(bell.rung, 1)


@rule()
async def no_wake_is_lost_between_look_and_wait(stage: Stage) -> None:
    """A reader that races the writer sees every record, however their steps fall."""
    log = await stage.open()
    await log.create("s", meta())
    seen: list[Record] = []

    async def follow() -> None:
        outcome = None
        while outcome is None:
            bell = Bell()
            batch = await log.read("s", len(seen), wake=bell)
            seen.extend(batch.records)
            outcome = batch.outcome
            if batch.waits:
                await bell.wait()

    readers = [asyncio.create_task(follow())]
    for n in range(200):
        future = log.append("s", n, numbered(n + 1, n + 1), DONE if n == 199 else None)
        for _ in range(n % 4):
            await asyncio.sleep(0)
        await future
    await asyncio.gather(*readers)
    same(seen, numbered(1, 200))


@rule()
async def a_read_keeps_a_wake_where_it_reaches_the_tail(stage: Stage) -> None:
    """With records too; not where more is to be read, and not at the end of a closed log."""
    log = await stage.open()
    await put(log, "s", 2)
    last, middle, after_end = Bell(), Bell(), Bell()
    same((await log.read("s", 0, wake=last)).waits, True)
    same((await log.read("s", 0, max_bytes=1, wake=middle)).waits, False)
    await log.append("s", 2, numbered(3, 3), DONE)
    await last.wait()
    same((await log.read("s", 3, wake=after_end)).waits, False)
    await settle()
    same((middle.rung, after_end.rung), (0, 0))


@rule()
async def a_forgotten_reader_is_not_called(stage: Stage) -> None:
    """A reader that left is let go of; forgetting twice, or what never was, is harmless."""
    log = await stage.open()
    await put(log, "s", 1)
    gone, stays = Bell(), Bell()
    await log.read("s", 1, wake=gone)
    await log.read("s", 1, wake=stays)
    log.forget("s", gone)
    log.forget("s", gone)
    log.forget("nobody", gone)
    # A wake says that there may be news: one about an earlier append may have come before it was forgotten.
    rung = gone.rung
    await log.append("s", 1, numbered(2, 2))
    await stays.wait()
    same(gone.rung, rung)


@rule()
async def the_end_wakes_readers(stage: Stage) -> None:
    """An end without records is news too."""
    log = await stage.open()
    await put(log, "s", 1)
    bell = Bell()
    await log.read("s", 1, wake=bell)
    await log.append("s", 1, (), DONE)
    await bell.wait()
    same(await read(log, "s", 1), Batch(2, [], 1, DONE))


# --- names


@rule()
async def the_first_to_come_keeps_a_name(stage: Stage) -> None:
    """A second request under one idempotency key gets the first one's stream, and the fingerprint to compare."""
    log = await stage.open()
    name = Name("idempotency", "k", "f1")
    same(await log.create("a", meta(), [name]), Bound("a", "f1"))
    same(await log.create("b", meta(), [name._replace(fingerprint="f2")]), Bound("a", "f1"))
    same(await log.head("b"), None)
    same(await log.create("c", meta("bob"), [name]), Bound("c", "f1"))
    same(await log.resolve("ann", "k", ["chat", "idempotency"]), Bound("a", "f1"))
    same(await log.resolve("eve", "k", ["idempotency"]), None)


@rule()
async def of_many_creates_under_one_name_one_wins(stage: Stage) -> None:
    """Retries that race each other start one stream."""
    log = await stage.open()
    creates = [log.create(f"s{n}", meta(), [Name("idempotency", "k")]) for n in range(10)]
    winners = {bound.id for bound in await asyncio.gather(*creates)}
    same(len(winners), 1)
    same([head.id for head in await log.list("ann")], [*winners])


@rule()
async def the_latest_gets_a_chat(stage: Stage) -> None:
    """Chat and upstream ids lead to the newest stream; kinds are asked in their order."""
    log = await stage.open()
    for stream in ("a", "b"):
        await log.create(stream, meta(), [Name("chat", "c")])
    same(await log.append("a", 0, numbered(1, 1), names=[Name("upstream-id", "c")]), Appended(True, 1))
    same(await log.resolve("ann", "c", ["chat"]), Bound("b"))
    same(await log.resolve("ann", "c", ["upstream-id", "chat"]), Bound("a"))
    same(await log.resolve("ann", "c", ["client"]), None)


@rule()
async def a_freed_name_can_be_taken_again(stage: Stage) -> None:
    """A refused request frees its key in the same commit as its end; only the stream that holds a name frees it."""
    log = await stage.open()
    name = Name("idempotency", "k", "f")
    await log.create("a", meta(), [name])
    await log.create("b", meta())
    await log.append("b", 0, (), DONE, freed=[name])
    same(await log.resolve("ann", "k", ["idempotency"]), Bound("a", "f"))
    await log.append("a", 0, (), CUT, freed=[name])
    same(await log.resolve("ann", "k", ["idempotency"]), None)
    same(await log.create("c", meta(), [name]), Bound("c", "f"))


@rule()
async def a_name_is_bound_by_the_append_that_is_done(stage: Stage) -> None:
    """A refused append binds nothing; a taken first-come name stays where it is."""
    log = await stage.open()
    await put(log, "a", 1)
    await log.create("b", meta(), [Name("client", "x", "f")])
    await log.append("a", 7, (), names=[Name("chat", "y")])
    same(await log.resolve("ann", "y", ["chat"]), None)
    same((await log.append("a", 1, numbered(2, 2), names=[Name("client", "x"), Name("client", "z")])).ok, True)
    same(await log.resolve("ann", "x", ["client"]), Bound("b", "f"))
    same(await log.resolve("ann", "z", ["client"]), Bound("a"))


# --- dropping and listing


@rule()
async def a_dropped_stream_leaves_owner_and_reason(stage: Stage) -> None:
    """Readers are woken and told; records, names and what was asked are gone; who owned it stays."""
    log = await stage.open()
    bell = Bell()
    await log.create("s", meta(), [Name("idempotency", "k"), Name("chat", "c")])
    await log.append("s", 0, numbered(1, 1), format="f")
    await log.read("s", 1, wake=bell)
    same(await log.drop("s", "deleted"), True)
    await bell.wait()
    await fails(StreamGone, log.read("s", 1))
    head = await log.head("s")
    if head is None:
        raise AssertionError("a tombstone must be left")
    same((head.gone, head.meta.owner, head.meta.echo, head.meta.model, head.size), ("deleted", "ann", {}, "", 0))
    same(await log.resolve("ann", "k", ["idempotency"]), None)
    same(await log.resolve("ann", "c", ["chat"]), None)
    same([*await log.list("ann")], [])
    same(await log.drop("s"), False)
    same(await log.drop("nobody"), False)


@rule()
async def a_list_goes_by_pages_from_the_newest(stage: Stage) -> None:
    """Pages join without gap or duplicate, show one owner only, and may end at what has since been dropped."""
    log = await stage.open()
    for n in range(7):
        await log.create(f"s{n}", meta(created=1_800_000_000.0 + n // 2))
    await log.create("other", meta("bob"))
    await log.drop("s3")
    pages = []
    before = ""
    while page := await log.list("ann", before=before, limit=2):
        pages.append([head.id for head in page])
        before = page[-1].id
    same(pages, [["s6", "s5"], ["s4", "s2"], ["s1", "s0"]])
    await log.drop("s4")
    same([head.id for head in await log.list("ann", before="s4", limit=2)], ["s2", "s1"])


@rule()
async def a_closed_store_says_so(stage: Stage) -> None:
    """What was called before the end is committed; nobody waits for ever, and forgetting is harmless."""
    log = await stage.open()
    await put(log, "s", 1)
    bell = Bell()
    await log.read("s", 1, wake=bell)
    last = log.append("s", 1, numbered(2, 2))
    await log.close()
    same(await last, Appended(True, 2))
    await bell.wait()
    await fails(StoreError, log.append("s", 2, numbered(3, 3)))
    await fails(StoreError, log.read("s", 0))
    log.forget("s", bell)
    await log.close()


@rule(workers=True)
async def what_was_committed_survives_the_process(stage: Stage) -> None:
    """Opened again after an orderly end, the data is as it was."""
    log = await stage.open()
    await put(log, "s", 5, DONE)
    await log.create("named", meta(created=1_800_000_001.0), [Name("idempotency", "k", "f"), Name("chat", "c")])
    await log.append("named", 0, numbered(1, 3), CUT)
    await log.create("gone", meta())
    await log.drop("gone", "expired")
    await log.close()
    log = await stage.open()
    same(await read_all(log, "s", 2), (numbered(3, 5), DONE))
    same(await log.resolve("ann", "k", ["idempotency"]), Bound("named", "f"))
    same(await log.resolve("ann", "c", ["chat"]), Bound("named"))
    same([head.id for head in await log.list("ann")], ["named", "s"])
    await fails(StreamGone, log.read("gone", 0))
