"""The delivery: whatever happens on its way, a wire is written what a reader reads, and nothing stays behind."""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.house import House, house, read_all
from tests.core.views import COUNTING, VERBATIM

from headrace.core.reader import Reader
from headrace.core.registry import Registry
from headrace.core.rendering import PIECE, View
from headrace.core.stream import NOTHING_SEEN, Cursor
from headrace.errors import StoreUnavailable, StreamGone
from headrace.faces.delivery import Delivery
from headrace.model.outcome import Outcome, State
from headrace.model.record import Record
from headrace.testing.clock import settle

DONE = Outcome(state=State.COMPLETED, reason="stop", ended_at=1.0)
FAILED = Outcome(state=State.FAILED, reason="limit", ended_at=1.0)

ID = "st_filled"
SEND = 10.0
PING = b"ping\n"


class FakeWire:
    """A connection that takes everything, or has room for so many more writes and is full then."""

    def __init__(self, room: float = float("inf")) -> None:
        self.room = room
        self.sent: list[bytes] = []
        #: ``end`` or ``cut``, once each.
        self.over: list[str] = []
        self.ready: Callable[[], None] = lambda: None
        self.lost: Callable[[], None] = lambda: None

    def detach(self, ready: Callable[[], None], lost: Callable[[], None]) -> "FakeWire":
        self.ready, self.lost = ready, lost
        return self

    @property
    def full(self) -> bool:
        return self.room <= 0

    @property
    def body(self) -> bytes:
        return b"".join(self.sent)

    @property
    def told(self) -> bytes:
        """The body without its keep-alives."""
        return b"".join(data for data in self.sent if data != PING)

    def write(self, data: bytes) -> None:
        assert not self.over
        assert not self.full
        self.room -= 1
        self.sent.append(data)

    def end(self) -> None:
        assert not self.over
        self.over.append("end")

    def cut(self) -> None:
        assert not self.over
        self.over.append("cut")

    def take(self, room: float = float("inf")) -> None:
        """Have room for so many more writes."""
        self.room = room
        self.ready()


class Counted:
    """How often each reader was closed."""

    def __init__(self, it: House) -> None:
        self.closed: dict[Reader, int] = {}
        for name in ("_quit", "_leave"):
            setattr(it.registry, name, self._counting(getattr(it.registry, name)))

    def _counting(self, close: Callable[[Reader], None]) -> Callable[[Reader], None]:
        def closed(reader: Reader) -> None:
            # Who leaves as a participant quits too, within that.
            if reader not in self.closed or close.__name__ != "_quit":
                self.closed[reader] = self.closed.get(reader, 0) + 1
            close(reader)

        return closed


class Unready:
    """A log that cannot show its news without waiting, as Redis is one."""

    def __init__(self, log) -> None:
        self._log = log
        self.epoch = log.epoch
        #: While set, reads wait for it.
        self.held: asyncio.Event | None = None

    def __getattr__(self, name: str):
        if name == "newest":
            raise AttributeError
        return getattr(self._log, name)

    async def read(self, *given, **more):
        await asyncio.sleep(0)
        if self.held is not None:
            await self.held.wait()
        return await self._log.read(*given, **more)


def unready(it: House) -> Unready:
    """From here on the house's log is such a one."""
    log = Unready(it.log)
    it.log = log  # type: ignore[assignment]
    it.registry.log = log  # type: ignore[assignment]
    it.registry._newest = None
    return log


def records(count: int, size: int = 1) -> list[Record]:
    return [Record("", b"%d" % number * size) for number in range(1, count + 1)]


def deliver(it: House, reader: Reader, wire: FakeWire | None = None, *, retry=None) -> FakeWire:
    wire = wire or FakeWire()
    delivery = Delivery(it.registry, reader, send_timeout=SEND, pace=None, retry=retry)
    assert delivery.begin(wire.detach)
    return wire


async def read(it: House, view: View = VERBATIM, cursor: Cursor = NOTHING_SEEN) -> bytes:
    """What a plain loop over a reader gives of the stream, which has ended."""
    return await read_all(it.reader(await it.head(ID), view, cursor))


def nothing_left(registry: Registry) -> None:
    statistics = registry.statistics()
    assert (statistics.readers, statistics.renderings) == (0, 0)
    assert not registry._readers
    assert not registry.sweep._watched
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("reading", "rendering"))]


async def append(it: House, tail: int, more: list[Record], outcome: Outcome | None = None) -> None:
    assert (await it.log.append(ID, tail, more, outcome, format="test")).ok


BOTH = pytest.mark.parametrize("wrap", [lambda _: None, unready], ids=["newest", "pumped"])
VIEWS = pytest.mark.parametrize("view", [VERBATIM, COUNTING], ids=lambda view: view.name)


@pytest.fixture
async def failures():
    """What nobody has caught, as the event loop is told of it."""
    loop = asyncio.get_running_loop()
    found: list[dict] = []
    loop.set_exception_handler(lambda _, context: found.append(context))
    yield found
    loop.set_exception_handler(None)


# -- every record, once and in order ---------------------------------------------------------------------------------


@BOTH
@VIEWS
async def test_a_live_reader_is_sent_each_record_as_it_comes(wrap, view) -> None:
    """One write for each commit, and the end."""
    async with house() as it:
        wrap(it)
        head = await it.filled([])
        wire = deliver(it, it.reader(head, view))
        made = records(20)
        for number, record in enumerate(made):
            await append(it, number, [record])
            await settle()
            assert wire.body.endswith(record.data + b"\n") or view is COUNTING
        await append(it, 20, [], DONE)
        await settle()
        assert wire.over == ["end"]
        assert wire.body == await read(it, view)
        nothing_left(it.registry)


@BOTH
@VIEWS
@pytest.mark.parametrize("outcome", [DONE, FAILED], ids=["completed", "failed"])
async def test_whoever_comes_with_a_cursor_is_sent_the_rest(wrap, view, outcome) -> None:
    """At every step, and at every part of one: what a plain loop reads, late and live."""
    async with house() as it:
        await it.filled(records(12))
        wrap(it)
        cursors = [Cursor(step, part) for step in range(-1, 12) for part in ((0, 1) if step >= 0 else (0,))]
        head = await it.head(ID)
        live = [deliver(it, it.reader(head, view, cursor)) for cursor in cursors]
        await settle()
        await append(it, 12, records(3), outcome)
        await settle()
        head = await it.head(ID)
        late = [deliver(it, it.reader(head, view, cursor)) for cursor in cursors]
        await settle()
        for cursor, one, other in zip(cursors, live, late, strict=True):
            assert one.body == other.body == await read(it, view, cursor), cursor
            assert one.over == other.over == ["end" if outcome is DONE or view is VERBATIM else "cut"]
        nothing_left(it.registry)


@BOTH
async def test_who_is_far_behind_catches_up(wrap) -> None:
    """A wire that was full while more went by than is remembered reads the log by itself, and joins the others."""
    async with house() as it:
        head = await it.filled([])
        wrap(it)
        slow, live = deliver(it, it.reader(head), FakeWire(room=1)), deliver(it, it.reader(head))
        for number, record in enumerate(records(40, size=10_000)):
            await append(it, number, [record])
            await settle()
        assert len(slow.sent) == 1
        slow.take()
        await settle()
        await append(it, 40, records(1), DONE)
        await settle()
        assert slow.over == live.over == ["end"]
        assert slow.body == live.body == await read(it)
        assert max(map(len, slow.sent)) <= PIECE + 20_100
        nothing_left(it.registry)


@BOTH
@settings(deadline=None)
@given(data=st.data())
def test_however_things_fall_the_same_is_written(wrap, data: st.DataObject) -> None:
    """Appends, wires that are full and ready again, ticks, failures and losses in any order: byte for byte the same."""
    asyncio.run(interleaved(wrap, data))


async def interleaved(wrap, data: st.DataObject) -> None:
    async with house() as it:
        await it.filled([])
        wrap(it)
        run = Interleaving(it, data)
        try:
            await run.join()
            for step in data.draw(st.lists(st.sampled_from(Interleaving.STEPS), max_size=25)):
                await step(run)
            await run.end()
            await run.check()
            nothing_left(it.registry)
        finally:
            for wire in run.cursors:  # an example may be given up in the middle
                wire.lost()
            await settle()


class Interleaving:
    """One stream, and wires that come and go, each step drawn."""

    def __init__(self, it: House, data: st.DataObject) -> None:
        self.it = it
        self.draw = data.draw
        self.view = self.draw(st.sampled_from([VERBATIM, COUNTING]))
        self.counted = Counted(it)
        self.cursors: dict[FakeWire, Cursor] = {}
        self.lost: set[FakeWire] = set()
        #: For how many seconds each has taken nothing.
        self.stalled: Counter[FakeWire] = Counter()
        self.tail = 0
        self.failed = False
        self.outcome = self.draw(st.sampled_from([DONE, FAILED]))

    def any(self) -> FakeWire:
        return self.draw(st.sampled_from(list(self.cursors)))

    async def join(self) -> None:
        wire, cursor = FakeWire(self.draw(st.integers(0, 3))), Cursor(self.draw(st.integers(-1, self.tail)))
        self.cursors[wire] = cursor
        deliver(self.it, self.it.reader(await self.it.head(ID), self.view, cursor), wire)

    async def append(self, size: int = 1) -> None:
        more = records(self.draw(st.integers(1, 4)), size)
        await append(self.it, self.tail, more)
        self.tail += len(more)

    async def append_much(self) -> None:
        await self.append(30_000)

    async def squeeze(self) -> None:
        wire = self.any()
        wire.room = min(wire.room, 1)

    async def ready(self) -> None:
        wire = self.any()
        if wire not in self.lost and not wire.over:
            self.stalled[wire] = 0
            wire.take(self.draw(st.integers(1, 4)))

    async def tick(self) -> None:
        seconds = self.draw(st.sampled_from([1, 4, 16]))
        await self.it.clock.advance(seconds)
        self.stalled.update({wire: seconds for wire in self.cursors if wire.full or wire.over})

    async def lose(self) -> None:
        wire = self.any()
        if wire not in self.lost and not wire.over:
            self.lost.add(wire)
            wire.lost()

    async def turn(self) -> None:
        await settle(self.draw(st.integers(1, 3)))

    STEPS = (join, append, append_much, squeeze, ready, tick, lose, turn)

    async def end(self) -> None:
        """Perhaps the store fails; then, in any case, it is there again and the stream ends."""
        if self.draw(st.booleans()):
            self.failed = True
            self.it.registry._lost(ID)
            await settle()
        await append(self.it, self.tail, [], self.outcome)
        for wire in self.cursors.keys() - self.lost:
            wire.take()
        await settle()

    async def check(self) -> None:
        untold = self.outcome is FAILED and self.view is COUNTING
        for wire, cursor in self.cursors.items():
            whole = await read(self.it, self.view, cursor)
            assert whole.startswith(wire.told)
            if wire in self.lost:
                assert not wire.over
            elif wire.over == ["end"]:
                assert wire.told == whole
            else:
                assert wire.over == ["cut"]
                late = self.stalled[wire] >= SEND - 1
                assert late or self.failed or (untold and wire.told == whole)
        assert set(self.counted.closed.values()) == {1}
        assert len(self.counted.closed) == 2 * len(self.cursors)  # those of ``read`` too


# -- how it ends -----------------------------------------------------------------------------------------------------


@VIEWS
@pytest.mark.parametrize("outcome", [DONE, FAILED], ids=["completed", "failed"])
async def test_a_body_ends_cleanly_where_its_end_is_told(view, outcome) -> None:
    """A completed answer, and a failure in a dialect that has a word for it; else the wire is cut."""
    async with house() as it:
        wire = deliver(it, it.reader(await it.filled(records(3), outcome), view))
        await settle()
        assert wire.over == ["cut" if outcome is FAILED and view is COUNTING else "end"]
        assert wire.body == await read(it, view)
        nothing_left(it.registry)


@BOTH
async def test_the_reader_of_a_deleted_stream_is_told(wrap) -> None:
    """Without an id, since that end has no place in the log; then the body ends."""
    async with house() as it:
        head = await it.filled(records(2))
        wrap(it)
        wires = [deliver(it, it.reader(head, participant=False)) for _ in range(3)]
        await settle()
        await it.log.drop(ID)
        await settle()
        assert [wire.body for wire in wires] == [b"1|1\n2|2\n|END failed\n"] * 3
        assert [wire.over for wire in wires] == [["end"]] * 3
        nothing_left(it.registry)


@BOTH
async def test_a_store_that_fails_cuts(wrap) -> None:
    """What cannot be read is told to nobody, nor that it ended."""
    async with house() as it:
        head = await it.filled(records(2))
        wrap(it)
        wires = [deliver(it, it.reader(head)), deliver(it, it.reader(head, cursor=Cursor(1)))]
        await settle()
        it.registry._lost(ID)
        await settle()
        assert [(wire.body, wire.over) for wire in wires] == [(b"1|1\n2|2\n", ["cut"]), (b"2|2\n", ["cut"])]
        nothing_left(it.registry)


@BOTH
async def test_a_read_that_fails_cuts(wrap) -> None:
    """Of whoever follows, and of whoever catches up by itself."""
    async with house() as it:
        head = await it.filled(records(2))
        memory = it.log
        wrap(it)
        following = deliver(it, it.reader(head))
        await settle()
        memory._read = _broken  # type: ignore[method-assign]
        late = deliver(it, it.reader(head, COUNTING, Cursor(0, 1)))
        await append(it, 2, records(1))
        await settle()
        assert following.over == late.over == ["cut"]
        assert following.body == b"1|1\n2|2\n"
        nothing_left(it.registry)


def _broken(*_, **__):
    raise StoreUnavailable


# -- deadlines and what is said of it --------------------------------------------------------------------------------


async def test_who_takes_nothing_is_let_go_after_the_send_deadline() -> None:
    """And not before; it holds one write, and the others go on."""
    async with house() as it:
        head = await it.filled(records(3))
        stalled, other = deliver(it, it.reader(head), FakeWire(room=1)), deliver(it, it.reader(head))
        await settle()
        await it.clock.advance(SEND - 1)
        assert not stalled.over
        await it.clock.advance(3)
        assert (stalled.over, other.over) == (["cut"], [])
        await append(it, 3, [], DONE)
        await settle()
        assert other.over == ["end"]
        nothing_left(it.registry)


@pytest.mark.parametrize("count", [12, 40], ids=["remembered", "read again"])
async def test_who_takes_something_now_and_then_is_kept(count) -> None:
    """The deadline is for one send and not for all of them."""
    async with house() as it:
        head = await it.filled([])
        wire, other = deliver(it, it.reader(head), FakeWire(room=1)), deliver(it, it.reader(head))
        for number, record in enumerate(records(count, size=PIECE)):
            await append(it, number, [record])
            await settle()
        for _ in range(10):
            await it.clock.advance(SEND - 3)
            assert not wire.over
            wire.take(1)
        await settle()
        assert len(wire.sent) == 11
        await it.clock.advance(SEND + 2)
        assert wire.over == ["cut"]
        other.lost()
        nothing_left(it.registry)


async def test_a_wire_that_is_idle_has_no_deadline() -> None:
    """It is sent keep-alives, each once."""
    async with house() as it:
        wire = deliver(it, it.reader(await it.filled([])))
        await it.clock.advance(47)
        assert wire.sent == [PING] * 3
        wire.lost()
        nothing_left(it.registry)


async def test_retry_rides_in_the_first_event_only() -> None:
    """Not in a comment, and not a second time."""
    view = VERBATIM._replace(frame=lambda record, _: b"data: %b\n\n" % record.data, ping=b": ping\n\n")
    async with house() as it:
        wire = deliver(it, it.reader(await it.filled([]), view), retry=(7, 7))
        await it.clock.advance(16)
        for tail in range(2):
            await append(it, tail, records(1))
            await settle()
        assert wire.sent == [b": ping\n\n", b"data: 1\nretry: 7\n\n", b"data: 1\n\n"]
        wire.lost()


@pytest.mark.parametrize("cursor", [NOTHING_SEEN, Cursor(0, 1)], ids=["at once", "read first"])
async def test_a_write_that_fails_cuts(cursor, failures) -> None:
    """Nothing goes on behind what was not sent."""

    class Failing(FakeWire):
        def write(self, data: bytes) -> None:
            raise RuntimeError

    async with house() as it:
        head = await it.filled(records(3))
        others = deliver(it, it.reader(head))
        wire = Failing(room=0)
        deliver(it, it.reader(head, VERBATIM, cursor), wire)
        with suppress(RuntimeError):
            wire.take()
        await settle()
        assert wire.over == ["cut"]
        others.lost()
        nothing_left(it.registry)


# -- what stays ------------------------------------------------------------------------------------------------------


@BOTH
async def test_who_is_lost_is_let_go_at_once(wrap) -> None:
    """In the middle of a wait, of a full wire and of a read of its own; nothing is written or cut after that."""
    async with house() as it:
        counted = Counted(it)
        head = await it.filled(records(5, size=PIECE))
        log = unready(it)
        log.held = asyncio.Event()
        waiting, full = deliver(it, it.reader(head)), deliver(it, it.reader(head), FakeWire(room=0))
        behind = deliver(it, it.reader(head, COUNTING, Cursor(2, 1)))
        await settle()
        for wire in (waiting, full, behind):
            wire.lost()
        await settle()
        nothing_left(it.registry)
        log.held.set()
        await append(it, 5, [], DONE)
        await settle()
        assert [wire.over for wire in (waiting, full, behind)] == [[], [], []]
        assert sorted(counted.closed.values()) == [1, 1, 1]
        assert not it.log._streams[ID].wakes


async def test_news_are_sent_in_the_turn_in_which_they_are_committed() -> None:
    """Each turn of a busy loop is as long as all that there is to do in it."""
    async with house() as it:
        wire = deliver(it, it.reader(await it.filled(records(1))))
        await settle()
        had = wire.body
        appended = it.log.append(ID, 1, [Record("", b"news")], format="test")
        assert appended.done()
        assert wire.body[len(had) :].count(b"news") == 1
        wire.lost()


async def test_a_connection_that_cannot_be_had_leaves_the_reader_open() -> None:
    """The reply goes on by itself."""
    async with house() as it:
        reader = it.reader(await it.filled(records(1), DONE))
        delivery = Delivery(it.registry, reader, send_timeout=SEND, pace=None, retry=None)
        assert not delivery.begin(lambda *_: None)
        assert not delivery.begun
        assert await read_all(reader) == b"1|1\n2|END completed\n"
        nothing_left(it.registry)


async def test_whoever_leaves_before_the_log_is_looked_at_leaves_no_wake() -> None:
    """An idle stream, joined and left within one turn of the loop, does not gather them."""
    async with house() as it:
        head = await it.filled(records(1))
        for _ in range(5):
            deliver(it, it.reader(head)).lost()
            await settle()
        assert not it.log._streams[ID].wakes
        nothing_left(it.registry)


async def test_the_last_to_leave_ends_the_pump() -> None:
    """It waits for news that nobody wants."""
    async with house() as it:
        head = await it.filled(records(1))
        unready(it)
        wires = [deliver(it, it.reader(head)) for _ in range(3)]
        await settle()
        assert any(task.get_name().startswith("rendering") for task in asyncio.all_tasks())
        for wire in wires:
            wire.lost()
        await settle()
        nothing_left(it.registry)
        assert not it.log._streams[ID].wakes


async def test_who_leaves_in_the_middle_of_reading_for_all_takes_nobody_along() -> None:
    """The log has kept no wake yet: another reader looks again."""
    async with house() as it:
        head = await it.filled([])
        log = unready(it)
        log.held = asyncio.Event()
        first, second = it.reader(head), it.reader(head)
        tasks = [asyncio.create_task(reader.read()) for reader in (first, second)]
        await settle()
        tasks[0].cancel()
        first.close()
        await settle()
        log.held.set()
        await append(it, 0, records(1))
        await settle()
        assert tasks[1].done()
        assert await tasks[1] == b"1|1\n"
        second.close()


@BOTH
async def test_a_thousand_who_follow_do_not_recurse(wrap) -> None:
    """They are told one after the other, of each commit and of the end."""
    async with house() as it:
        head = await it.filled([])
        wrap(it)
        wires = [deliver(it, it.reader(head)) for _ in range(1_000)]
        for tail in range(3):
            await append(it, tail, records(1))
            await settle()
        await append(it, 3, [], DONE)
        await settle()
        assert {wire.body for wire in wires} == {await read(it)}
        assert all(wire.over == ["end"] for wire in wires)
        nothing_left(it.registry)


# -- a fold that fails -----------------------------------------------------------------------------------------------


class Stumbling(VERBATIM.fold):  # type: ignore[name-defined, misc]
    """Fails at a record, or at the end, with words of a client in its error."""

    def record(self, record):
        if record.data == b"stumble":
            raise ValueError("canary")
        return super().record(record)

    def end(self, outcome):
        raise ValueError("canary")


STUMBLING = VERBATIM._replace(name="stumbling", fold=Stumbling)


@BOTH
@pytest.mark.parametrize("cursor", [NOTHING_SEEN, Cursor(1), Cursor(1, 1)], ids=["start", "step", "part"])
async def test_a_fold_that_fails_ends_its_own_readers_only(wrap, cursor, failures, caplog) -> None:
    """They are cut; the commit, the other views of the stream and other streams go on. Its words are not logged."""
    async with house() as it:
        counted = Counted(it)
        head = await it.filled(records(2))
        wrap(it)
        wires = [deliver(it, it.reader(head, STUMBLING, cursor)) for _ in range(3)]
        other = deliver(it, it.reader(head))
        await settle()
        await append(it, 2, [Record("", b"stumble")])
        await settle()
        assert [wire.over for wire in wires] == [["cut"]] * 3
        await append(it, 3, records(1), DONE)
        await settle()
        assert other.over == ["end"]
        assert other.body == await read(it)
        assert set(counted.closed.values()) == {1}
        nothing_left(it.registry)
        del wires
        gc.collect()
        assert len(failures) <= 1
        assert "canary" not in str([context.get("message") for context in failures])
        assert "canary" not in caplog.text


@BOTH
async def test_a_fold_that_fails_at_the_first_look(wrap, failures) -> None:
    """Of what was there before, live or ended."""
    async with house() as it:
        for outcome in (None, DONE):
            if outcome:
                await append(it, 1, [], outcome)
            head = await it.head(ID) if outcome else await it.filled([Record("", b"stumble")])
            if outcome is None:
                wrap(it)
            wires = [deliver(it, it.reader(head, STUMBLING)) for _ in range(2)]
            await settle()
            assert [wire.over for wire in wires] == [["cut"]] * 2
            nothing_left(it.registry)


async def test_a_parting_that_fails_is_kept_from_nobody_else(failures) -> None:
    """Each of those who follow is told, whichever of them fails."""
    async with house() as it:
        counted = Counted(it)
        head = await it.filled(records(1))
        wires = [deliver(it, it.reader(head, STUMBLING, participant=False)) for _ in range(5)]
        await settle()
        await it.log.drop(ID)
        await settle()
        assert [wire.over for wire in wires] == [["cut"]] * 5
        assert list(counted.closed.values()) == [1] * 5
        nothing_left(it.registry)


async def test_a_delivery_that_fails_at_its_beginning_closes_its_reader() -> None:
    """Once, though its caller is told: the reply must not do it again."""
    async with house() as it:
        counted = Counted(it)
        head = await it.filled(records(1))
        others = deliver(it, it.reader(head, STUMBLING, participant=False), FakeWire(room=0))
        reader = it.reader(head, STUMBLING, participant=False)
        reader.rendering.break_off(StreamGone())
        wire = FakeWire()
        delivery = Delivery(it.registry, reader, send_timeout=SEND, pace=None, retry=None)
        with pytest.raises(ValueError, match="canary"):
            delivery.begin(wire.detach)
        assert delivery.begun
        assert wire.over == ["cut"]
        assert counted.closed == {reader: 1}
        others.lost()
        nothing_left(it.registry)
