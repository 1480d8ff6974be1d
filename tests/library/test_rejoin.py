"""What the router adds: rejoin, watch, look, cancel, delete; whose streams they are; and what never happens twice."""

import asyncio
import json

import pytest
from fastapi import FastAPI
from starlette.responses import Response
from tests.library.app import frames, serving, told

from headrace.errors import ConfigError
from headrace.fastapi import Event, Limits, Streams
from headrace.fastapi.errors import Cut
from headrace.testing.asgi import AppDriver
from headrace.testing.clock import FakeClock, settle

CLOSE = ("close", b"{}")


class Steps:
    """A generator that a test leads from item to item; ``runs`` counts how often it was begun."""

    def __init__(self) -> None:
        self.runs = 0
        self._go = asyncio.Queue()

    def step(self, *items):
        for item in items:
            self._go.put_nowait(item)

    async def __call__(self):
        self.runs += 1
        while (item := await self._go.get()) is not None:
            yield item


async def begun(driver, **options):
    """Start the stream and leave it; returns its id."""
    async with driver.open("POST", "/go", **options) as exchange:
        return (await exchange.head()).headers["headrace-stream-id"]


async def test_stream_is_rejoined_after_any_item():
    """By the number of the last item, or the id of the last event in either form; nothing comes twice."""
    steps = Steps()
    steps.step("a", "b", "c", None)
    async with serving(lambda streams: streams.sse(steps())) as driver:
        first = await driver.ask("GET", "/go")
        id, where = first.headers["headrace-stream-id"], first.headers["location"]
        assert where == f"/streams/{id}"
        events = told(first.body)
        for seen, frame in enumerate(frames(first.body), 1):
            rest = events[seen:]
            by_id = await driver.ask("GET", where, headers={"last-event-id": frame.id})
            by_number = await driver.ask("GET", f"{where}?after={seen}")
            same_url = await driver.ask("GET", "/go", headers={"last-event-id": frame.id})
            assert told(by_id.body) == told(by_number.body) == told(same_url.body) == rest
            assert by_id.status == (200 if rest else 204)
    assert steps.runs == 1


async def test_stream_without_close_is_over_after_its_last_item():
    """An ``EventSource`` that comes back then is told to stay away."""
    steps = Steps()
    steps.step("a", None)
    async with serving(lambda streams: streams.sse(steps(), close=False)) as driver:
        first = await driver.ask("GET", "/go")
        (frame,) = frames(first.body)
        assert (await driver.ask("GET", "/go", headers={"last-event-id": frame.id})).status == 204


@pytest.mark.parametrize(
    ("make", "rows", "rest"),
    [
        (lambda streams, items: streams.ndjson(items, filename="a.txt"), [{"a": 1}, {"a": 2}], b'{"a":2}\n'),
        (lambda streams, items: streams.csv(items, filename="a.txt"), [{"a": 1}, {"a": 2}], b"2\r\n"),
        (lambda streams, items: streams.text(items, filename="a.txt"), ["x", "y"], b"y"),
        (lambda streams, items: streams.bytes(items, filename="a.txt"), [b"x", b"\0"], b"\0"),
    ],
    ids=["ndjson", "csv", "text", "bytes"],
)
async def test_every_form_is_rejoined_as_it_was_begun(make, rows, rest):
    """With its type and name; the rest of a body is exactly that."""
    async with serving(lambda streams: make(streams, iter(rows))) as driver:
        first = await driver.ask("GET", "/go")
        again = await driver.ask("GET", first.headers["location"])
        after = await driver.ask("GET", first.headers["location"] + "?after=1")

    assert first.body == again.body
    assert first.body.endswith(rest)
    assert after.body == rest
    for name in ("content-type", "content-disposition"):
        assert again.headers[name] == after.headers[name] == first.headers[name]


async def test_generator_goes_on_without_its_client():
    """Who comes back finds what was made meanwhile; the generator ran once."""
    steps = Steps()
    async with serving(lambda streams: streams.sse(steps(), on_leave="keep")) as driver:
        id = await begun(driver)
        steps.step("a", "b")
        await settle()
        async with driver.open("GET", f"/streams/{id}") as exchange:
            assert told(await exchange.piece()) == [("", b"a"), ("", b"b")]
            steps.step("c", None)
            assert told(await exchange.rest()) == [("", b"c"), CLOSE]
    assert steps.runs == 1


async def test_nobody_left_ends_it_after_the_linger():
    """Watching does not count as being there; rejoining does."""
    clock, steps = FakeClock(), Steps()
    async with serving(lambda streams: streams.sse(steps()), clock=clock, on_leave="linger=5") as driver:
        steps.step("a")
        id = await begun(driver)
        async with driver.open("GET", f"/streams/{id}") as exchange:
            await exchange.piece()
            await clock.advance(20)
            assert (await driver.ask("HEAD", f"/streams/{id}")).headers["headrace-state"] == "open"
        async with driver.open("GET", f"/streams/{id}?watch=true") as exchange:
            await clock.advance(6)
            *_, (name, data), close = told(await exchange.rest())
            assert (name, close) == ("cancelled", CLOSE)
            assert json.loads(data)["message"].endswith("nobody was reading it any more.")


async def test_cancel_stops_the_generator_where_it_stands():
    """Idempotent; and readers are told."""
    ended = asyncio.Event()

    async def endless():
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with serving(lambda streams: streams.sse(endless())) as driver:
        async with driver.open("POST", "/go") as exchange:
            id = (await exchange.head()).headers["headrace-stream-id"]
            await exchange.piece()
            reply = await driver.ask("POST", f"/streams/{id}/cancel")
            again = await driver.ask("POST", f"/streams/{id}/cancel")
            assert json.loads(reply.body) == {"cancelled": True, "state": "cancelled"}
            assert json.loads(again.body) == {"cancelled": False, "state": "cancelled"}
            async with asyncio.timeout(5):
                await ended.wait()
            assert [name for name, _ in told(await exchange.rest())] == ["cancelled", "close"]


async def test_cancel_cuts_a_form_that_has_no_words_for_it():
    """No client takes what it has for whole."""
    steps = Steps()
    steps.step("a")
    async with serving(lambda streams: streams.text(steps())) as driver:
        with pytest.raises(Cut):  # noqa: PT012
            async with driver.open("POST", "/go") as exchange:
                id = (await exchange.head()).headers["headrace-stream-id"]
                assert await exchange.piece() == b"a"
                await driver.ask("POST", f"/streams/{id}/cancel")
                await exchange.rest()
        assert not exchange.complete


async def test_delete_leaves_a_tombstone():
    """Gone is not the same as never there."""
    async with serving(lambda streams: streams.sse(iter("ab"))) as driver:
        id = (await driver.ask("GET", "/go")).headers["headrace-stream-id"]
        assert json.loads((await driver.ask("DELETE", f"/streams/{id}")).body) == {"id": id, "deleted": True}
        gone = await driver.ask("GET", f"/streams/{id}")

    assert gone.status == 410
    assert json.loads(gone.body)["detail"]["code"] == "gone"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "?watch=true"), ("HEAD", ""), ("POST", "/cancel"), ("DELETE", "")],
)
async def test_for_others_it_does_not_exist(method, path):
    """On every verb the same as for an id that never was, and it runs on."""
    steps = Steps()
    async with serving(lambda streams: streams.sse(steps(), on_leave="keep")) as driver:
        id = await begun(driver, headers={"x-user": "alice"})
        foreign = await driver.ask(method, f"/streams/{id}{path}", headers={"x-user": "bob"})
        unknown = await driver.ask(method, f"/streams/st_{'a' * 26}{path}", headers={"x-user": "bob"})
        own = await driver.ask("HEAD", f"/streams/{id}", headers={"x-user": "alice"})

    assert (foreign.status, foreign.body) == (unknown.status, unknown.body)
    assert foreign.status == 404
    assert own.headers["headrace-state"] == "open"


async def test_who_is_nobody_is_refused():
    """Before anything is begun."""
    steps = Steps()
    async with serving(lambda streams: streams.sse(steps())) as driver:
        for method, path in (("GET", "/go"), ("GET", f"/streams/st_{'a' * 26}")):
            reply = await driver.ask(method, path, headers={"x-user": ""})
            assert reply.status == 401
    assert steps.runs == 0


async def test_owner_may_be_looked_up():
    """``owner`` may be a coroutine function."""

    async def owner(request):
        await asyncio.sleep(0)
        return request.headers["x-user"]

    streams = Streams("memory:", owner=owner, grace=0.0)
    app = FastAPI()
    app.include_router(streams.router, prefix="/api")

    @app.get("/go")
    async def go() -> Response:
        return streams.sse(iter("ab"))

    async with AppDriver(app) as driver:
        first = await driver.ask("GET", "/go", headers={"x-user": "alice"})
        where = first.headers["location"]
        assert where.startswith("/api/streams/")
        assert (await driver.ask("GET", where, headers={"x-user": "bob"})).status == 404
        assert (await driver.ask("GET", where, headers={"x-user": "alice"})).status == 200


async def test_retry_under_an_idempotency_key_gets_the_same_stream():
    """The generator runs once; another request under the key is refused, and another owner's key is his own."""
    steps = Steps()
    steps.step("a", None)
    body = {"n": 1}
    async with serving(lambda streams: streams.sse(steps(), fingerprint=body)) as driver:
        first = await driver.ask("POST", "/go", headers={"idempotency-key": "k"})
        again = await driver.ask("POST", "/go", headers={"idempotency-key": "k"})
        assert told(first.body) == told(again.body)
        assert (await driver.ask("GET", "/streams/k?after=1")).status == 200
        for change in ({"n": 2}, None):
            body = change
            refused = await driver.ask("POST", "/go", headers={"idempotency-key": "k"})
            assert refused.status == 422
            assert json.loads(refused.body)["detail"]["code"] == "idempotency_mismatch"
        body = {"n": 1}
        assert (await driver.ask("POST", "/go?x=1", headers={"idempotency-key": "k"})).status == 422
        assert (await driver.ask("POST", "/go", headers={"idempotency-key": "é"})).status == 400
        assert steps.runs == 1
        await begun(driver, headers={"idempotency-key": "k", "x-user": "other"})
        assert steps.runs == 2


@pytest.mark.parametrize(
    ("event_id", "status"),
    [
        ("7", 400),
        ("nonsense", 400),
        (f"st_{'a' * 26}:1", 404),
        ("st_x:1", 404),
        (":", 400),
        ("a:-1", 400),
    ],
)
async def test_event_id_that_leads_nowhere_starts_nothing(event_id, status):
    """A repeated request never runs the generator a second time; this one does not know what it repeats."""
    steps = Steps()
    async with serving(lambda streams: streams.sse(steps())) as driver:
        assert (await driver.ask("GET", "/go", headers={"last-event-id": event_id})).status == status
    assert steps.runs == 0


@pytest.mark.parametrize("after", ["-1", "x", "1.0", "", "99", "9" * 40])
async def test_cursor_without_sense_is_refused(after):
    """As a mistake of the client, or as what is not kept."""
    async with serving(lambda streams: streams.sse(iter("ab"))) as driver:
        where = (await driver.ask("GET", "/go")).headers["location"]
        reply = await driver.ask("GET", f"{where}?after={after}")
    assert reply.status == (410 if after == "99" else 400)


async def test_limits_end_a_stream():
    """As ``limit``; memory and disk are bounded whatever the generator does."""

    async def endless():
        while True:
            yield "x" * 100

    async with serving(lambda streams: streams.sse(endless()), limits=Limits(stream_records=100)) as driver:
        events = told((await driver.ask("GET", "/go")).body)
    assert len(events) <= 102
    assert json.loads(events[-2][1])["code"] == "limit"


async def test_stream_may_run_only_so_long():
    """``total`` seconds, whatever it does."""
    clock, steps = FakeClock(), Steps()
    async with serving(lambda streams: streams.sse(steps()), clock=clock, total=60) as driver:
        async with driver.open("GET", "/go") as exchange:
            steps.step("a")
            await exchange.piece()
            await clock.advance(61)
            name, data = told(await exchange.rest())[-2]
            assert (name, json.loads(data)["code"]) == ("error", "timeout")


async def test_ended_stream_is_kept_for_a_while():
    """Then it is told to be gone, and then it never was."""
    clock = FakeClock()
    async with serving(lambda streams: streams.sse(iter("a")), clock=clock, keep=60, tombstone=600) as driver:
        where = (await driver.ask("GET", "/go")).headers["location"]
        for seconds, status in ((31, 200), (60, 410), (660, 404)):
            await clock.advance(seconds)
            assert (await driver.ask("GET", where)).status == status


async def test_too_many_streams_are_refused():
    """With the status that says to come later; FastAPI shows it as all its errors."""
    steps = Steps()
    limits = Limits(open_streams_per_owner=1)
    async with serving(lambda streams: streams.sse(steps(), on_leave="keep"), limits=limits) as driver:
        await begun(driver)
        reply = await driver.ask("POST", "/go")
    assert reply.status == 429
    assert json.loads(reply.body)["detail"] == {
        "code": "rate_limit",
        "message": "Too many answers are being written for this key.",
        "retry": True,
    }


async def test_ids_of_ones_own_are_sent_where_nothing_is_kept():
    """A durable stream has its own."""

    def make(streams):
        return streams.sse(iter([Event("a", id="mine")]))

    async with serving(make, None) as driver:
        assert [frame.id for frame in frames((await driver.ask("GET", "/go")).body)] == ["mine", "mine"]
    async with serving(make) as driver:
        reply = await driver.ask("GET", "/go")
        assert [frame.id.rpartition(":")[2] for frame in frames(reply.body)] == ["1", "2"]


async def test_streams_that_are_not_open_say_what_to_do():
    """Whoever forgets the router learns it from the error."""
    streams = Streams("memory:")
    app = FastAPI()

    @app.get("/go")
    async def go() -> Response:
        return streams.sse(iter("a"))

    async with AppDriver(app) as driver:
        with pytest.raises(RuntimeError, match="include_router"):
            await driver.ask("GET", "/go")


async def test_streams_are_opened_without_their_router():
    """As a context; then there is nowhere to rejoin but the same URL."""
    streams = Streams("memory:", grace=0.0)
    app = FastAPI()

    @app.get("/go")
    async def go() -> Response:
        return streams.sse(iter("a"))

    async with streams, AppDriver(app) as driver:
        reply = await driver.ask("GET", "/go")
        assert told(reply.body) == [("", b"a"), CLOSE]
        assert "location" not in reply.headers


@pytest.mark.parametrize("url", ["", "streams.db", "postgres://x", "sqlite:", "sqlite://x", "sqlite:///", "memory"])
def test_url_that_is_none_is_refused(url):
    """With what was expected."""
    with pytest.raises(ConfigError, match="Expected"):
        Streams(url)


def test_file_is_no_folder(tmp_path):
    """Streams are kept in a folder."""
    (tmp_path / "streams.db").write_text("")
    with pytest.raises(ConfigError, match="folder"):
        Streams(f"sqlite:///{tmp_path}/streams.db")
