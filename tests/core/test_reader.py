"""Readers see the same frames, whenever they come and however slow they are."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.house import House, house, read_all
from tests.core.views import COUNTING, VERBATIM

from headrace.core.deadlines import Limits
from headrace.core.log import Batch, Head
from headrace.core.rendering import RING, View
from headrace.core.stream import Cursor, past_end
from headrace.errors import StoreError, StreamGone, TooManyStreams
from headrace.model.outcome import Outcome, State
from headrace.model.record import Record
from headrace.model.request import Meta
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import End, FakeUpstream, chunk

DONE = Outcome(state=State.COMPLETED, reason="stop", ended_at=1.0)
FAILED = Outcome(state=State.FAILED, reason="limit", ended_at=1.0)


def records(count: int, size: int = 1) -> list[Record]:
    return [Record("", b"%d" % number * size) for number in range(1, count + 1)]


def after(whole: bytes, cursor: str, prefix: str = "") -> bytes:
    """What comes after the frame that carries the cursor."""
    lines = whole.splitlines(keepends=True)
    place = [line.split(b"|")[0].decode() for line in lines].index(prefix + cursor)
    return b"".join(lines[place + 1 :])


@pytest.mark.parametrize("view", [VERBATIM, COUNTING], ids=lambda view: view.name)
@pytest.mark.parametrize("outcome", [DONE, FAILED], ids=["completed", "failed"])
async def test_resuming_at_every_frame_gives_what_comes_after_it(view: View, outcome: Outcome) -> None:
    """For every cursor that a reader was shown, a reader that comes with it is sent the rest and nothing else."""
    async with house() as it:
        head = await it.filled(records(40), outcome)
        whole = await read_all(it.reader(head, view))
        cursors = [line.split(b"|")[0].decode().removeprefix(view.prefix) for line in whole.splitlines()]
        if outcome is DONE or view is VERBATIM:
            assert past_end(head, Cursor.parse(cursors.pop()))
        for cursor in cursors:
            rest = await read_all(it.reader(head, view, Cursor.parse(cursor)))
            assert rest == after(whole, cursor, view.prefix), cursor


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_live_readers_and_late_ones_see_the_same(data: st.DataObject) -> None:
    """However appends and readers of all speeds are interleaved, each sees exactly what follows its cursor."""
    asyncio.run(interleaved(data))


async def interleaved(data: st.DataObject) -> None:
    view = data.draw(st.sampled_from([VERBATIM, COUNTING]))
    sizes = data.draw(st.lists(st.integers(1, RING), min_size=1, max_size=12))
    async with house() as it:
        written = [Record("", b"x" * size) for size in sizes]
        reference = House()
        whole = await read_all(reference.reader(await reference.filled(written, DONE), view))
        await it.log.create("st_filled", (await reference.head("st_filled")).meta)
        seen: dict[int, bytearray] = {}
        tasks: list[asyncio.Task[None]] = []
        starts: dict[int, bytes] = {}

        async def follow(number: int, cursor: Cursor, pace: int) -> None:
            reader = it.reader(await it.head("st_filled"), view, cursor)
            while piece := await reader.read():
                seen[number] += piece
                for _ in range(pace):
                    await asyncio.sleep(0)
            reader.close()

        def begin(tail: int) -> None:
            number = len(tasks)
            lines = whole.splitlines(keepends=True)
            shown = [line.split(b"|")[0].decode().removeprefix(view.prefix) for line in lines]
            known = [Cursor(-1)] + [c for text in shown if (c := Cursor.parse(text)) and c <= (tail, 0)]
            cursor = data.draw(st.sampled_from(known))
            starts[number] = whole if cursor.step < 0 else after(whole, str(cursor), view.prefix)
            seen[number] = bytearray()
            tasks.append(asyncio.create_task(follow(number, cursor, data.draw(st.integers(0, 5)))))

        for tail, record in enumerate(written):
            if data.draw(st.booleans()):
                begin(tail)
            await it.log.append("st_filled", tail, [record], format="test")
            for _ in range(data.draw(st.integers(0, 6))):
                await asyncio.sleep(0)
        begin(len(written))
        await it.log.append("st_filled", len(written), (), DONE)
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
        assert {number: bytes(got) for number, got in seen.items()} == starts
        assert it.registry.statistics().renderings == 0


async def test_a_stalled_reader_holds_up_nobody_and_no_memory() -> None:
    """While one reader stands still, another reads everything, and the ring stays within its bound."""
    async with house() as it:
        upstream = FakeUpstream([[chunk("x" * 50_000)] for _ in range(40)] + [End()])
        head = await it.start(upstream)
        stalled, live = it.reader(head), it.reader(head)
        first = await stalled.read()
        whole = await read_all(live)
        assert whole.count(b"\n") == 41
        assert sum(len(step) for step in stalled.rendering._ring) <= RING + 70_000
        assert first + await read_all(stalled) == whole


async def test_twenty_readers_share_one_rendering() -> None:
    """Each record is encoded once for all readers of one view."""
    async with house() as it:
        go = asyncio.Event()
        head = await it.start(FakeUpstream([go, *(chunk(str(n)) for n in range(50)), End()]))
        made: list[str] = []

        def frame(record: Record, cursor: str) -> bytes:
            made.append(cursor)
            return VERBATIM.frame(record, cursor)

        view = VERBATIM._replace(frame=frame)
        tasks = [asyncio.create_task(read_all(it.reader(head, view))) for _ in range(20)]
        await settle()
        go.set()
        results = await asyncio.gather(*tasks)
        assert len(set(results)) == 1
        assert made == [str(number) for number in range(1, 52)]


async def test_a_silent_stream_sends_keep_alives() -> None:
    """After fifteen seconds without news a waiting reader gets a ping, before the first record too."""
    async with house() as it:
        head = await it.start(FakeUpstream([asyncio.Event()]))
        reader = it.reader(head)
        task = asyncio.create_task(reader.read())
        await it.clock.advance(14)
        assert not task.done()
        await it.clock.advance(2)
        assert await task == b"ping\n"
        reader.close()


async def test_a_reader_of_a_deleted_stream_is_told() -> None:
    """The end comes without an id, since it has no place in the log."""
    async with house() as it:
        head = await it.filled(records(2))
        reader = it.reader(head, participant=False)
        assert await reader.read() == b"1|1\n2|2\n"
        task = asyncio.create_task(reader.read())
        await settle()
        await it.log.drop(head.id)
        assert await task == b"|END failed\n"
        assert await reader.read() == b""
        assert reader.outcome is not None
        assert reader.outcome.reason == "gone"
        reader.close()


async def dropped_once_read(it: House, monkeypatch: pytest.MonkeyPatch) -> Head:
    """A stream whose readers came before its first record, and that is dropped as soon as its records are read."""
    await it.log.create("st_dropped", Meta(owner="local", dialect="test", created=1.0, model="m"))
    head = await it.head("st_dropped")
    await it.log.append(head.id, 0, records(2), DONE, format="test")
    read = it.log.read

    async def read_and_drop(id: str, after: int, **options: Any) -> Batch:
        batch = await read(id, after, **options)
        await it.log.drop(id)
        return batch

    monkeypatch.setattr(it.log, "read", read_and_drop)
    return head


async def test_records_whose_format_is_gone_are_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream is dropped between its records and their format: readers are told so, not the end of an empty answer."""
    async with house() as it:
        reader = it.reader(await dropped_once_read(it, monkeypatch), participant=False)
        assert await reader.read() == b"|END failed\n"
        assert await reader.read() == b""
        assert reader.outcome is not None
        assert reader.outcome.reason == "gone"
        reader.close()


async def test_who_reads_alone_does_not_pass_over_records_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where a reader has a fold of its own, since it has seen a part of a step."""
    async with house() as it:
        head = await dropped_once_read(it, monkeypatch)
        reader = it.reader(head, cursor=Cursor(0, 1), participant=False)
        with pytest.raises(StreamGone):
            await reader.read()
        reader.close()


async def test_a_lost_end_cuts_the_readers() -> None:
    """Where the store cannot keep the end, reading raises: nothing uncommitted is told."""
    async with house() as it:
        head = await it.filled(records(1))
        reader = it.reader(head)
        await reader.read()
        task = asyncio.create_task(reader.read())
        await settle()
        it.registry._lost(head.id)
        with pytest.raises(StoreError):
            await task
        reader.close()


async def test_a_store_that_failed_once_is_asked_again_for_who_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while somebody slow still has what was rendered before."""

    async def failing(*_: object, **__: object) -> Batch:
        raise StoreError

    async with house() as it:
        head = await it.filled(records(1))
        slow, quick = it.reader(head), it.reader(head)
        assert await quick.read() == b"1|1\n"
        with monkeypatch.context() as patched:
            patched.setattr(it.log, "read", failing)
            await it.log.append(head.id, 1, records(1))
            with pytest.raises(StoreError):
                await quick.read()
        quick.close()
        again = it.reader(head)
        assert await again.read() == b"1|1\n2|1\n"
        assert await slow.read() == b"1|1\n"
        with pytest.raises(StoreError):
            await slow.read()
        slow.close()
        await it.log.append(head.id, 2, (), DONE)
        assert await read_all(again) == b"3|END completed\n"
        assert it.registry.statistics().renderings == 0


async def test_readers_per_stream_are_bounded() -> None:
    """One more than allowed is refused, and one less makes room."""
    async with house(limits=Limits(readers_per_stream=2)) as it:
        head = await it.filled(records(1))
        first, second = it.reader(head), it.reader(head)
        with pytest.raises(TooManyStreams):
            it.reader(head)
        first.close()
        it.reader(head).close()
        second.close()


async def test_the_gate_opens_with_the_first_record_or_in_time() -> None:
    """``settle`` returns at the first record, at the end, or when its time is up."""
    async with house() as it:
        go = asyncio.Event()
        head = await it.start(FakeUpstream([go, chunk("x"), asyncio.Event()]))
        reader = it.reader(head)
        late = asyncio.create_task(reader.settle(5))
        await it.clock.advance(4)
        assert not late.done()
        await it.clock.advance(2)
        assert late.done()
        early = asyncio.create_task(reader.settle(5))
        await settle()
        go.set()
        await settle()
        assert early.done()
        reader.close()
