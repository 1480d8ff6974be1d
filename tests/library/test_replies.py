"""Replies: every form, kept and not kept, from generators of both kinds; how each begins and ends."""

import asyncio
import csv
import io
import json
import threading
import tracemalloc
from collections import namedtuple
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass

import pytest
from fastapi import BackgroundTasks, FastAPI
from pydantic import BaseModel
from starlette.responses import Response
from tests.library.app import frames, serving, told

from headrace.errors import RequestError
from headrace.fastapi import Event, JsonLines, StreamError, Streams
from headrace.fastapi.errors import Cut
from headrace.testing.asgi import AppDriver
from headrace.testing.clock import FakeClock, settle

URLS = pytest.mark.parametrize("url", ["memory:", None], ids=["kept", "not kept"])

CLOSE = ("close", b"{}")


class Row(BaseModel):
    name: str
    size: int


@dataclass
class Point:
    x: int
    y: int


Pair = namedtuple("Pair", "left right")  # noqa: PYI024


async def slowly(*items):
    """An asynchronous generator that lets others run between its items."""
    for item in items:
        yield item
        await asyncio.sleep(0)


def plainly(*items):
    """An ordinary one."""
    yield from items


async def failing(error, *items):
    for item in items:
        yield item
    raise error


KINDS = pytest.mark.parametrize("kind", [slowly, plainly, lambda *items: list(items)], ids=["async", "plain", "list"])


# -- what items become -----------------------------------------------------------------------------------------------


@URLS
@KINDS
async def test_items_become_events(url, kind):
    """Text and bytes as they are, the rest as JSON, an Event with its name; then ``close``."""
    items = (
        {"a": [1, None]},
        "two\nlines",
        "",
        b"raw",
        Event({"b": 1}, event="named"),
        Row(name="x", size=2),
        Point(1, 2),
        3.5,
        None,
    )
    async with serving(lambda streams: streams.sse(kind(*items)), url) as driver:
        reply = await driver.ask("GET", "/go")

    assert reply.complete
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache, no-transform"
    assert told(reply.body) == [
        ("", b'{"a":[1,null]}'),
        ("", b"two\nlines"),
        ("", b""),
        ("", b"raw"),
        ("named", b'{"b":1}'),
        ("", b'{"name":"x","size":2}'),
        ("", b'{"x":1,"y":2}'),
        ("", b"3.5"),
        ("", b"null"),
        CLOSE,
    ]


@URLS
@KINDS
async def test_rows_become_lines(url, kind):
    """Whatever has JSON is a line; bytes are taken for JSON, and stay on theirs."""
    rows = ({"a": "x\ny"}, Row(name="n", size=1), Pair(1, 2), [1], b'{"b":\n1}', "text")
    async with serving(lambda streams: streams.ndjson(kind(*rows), filename="rows.ndjson"), url) as driver:
        reply = await driver.ask("GET", "/go")

    assert reply.complete
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert reply.headers["content-disposition"] == 'attachment; filename="rows.ndjson"'
    assert [json.loads(line) for line in reply.body.splitlines()] == [
        {"a": "x\ny"},
        {"name": "n", "size": 1},
        {"left": 1, "right": 2},
        [1],
        {"b": 1},
        "text",
    ]


@URLS
@KINDS
@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        ([{"a": 1, "b": "=1"}, {"b": -2, "a": None}], None, [["a", "b"], ["1", "'=1"], ["", "-2"]]),
        ([{"a": 1, "b": 2}, {"a": 3}], ["b", "a"], [["b", "a"], ["2", "1"], ["", "3"]]),
        ([(1, "x,y"), [2, 'q"']], None, [["1", "x,y"], ["2", 'q"']]),
        ([(1, 2)], ["=a", "b"], [["'=a", "b"], ["1", "2"]]),
        ([Row(name="n", size=1), Row(name="m", size=2)], None, [["name", "size"], ["n", "1"], ["m", "2"]]),
        ([Point(1, 2)], None, [["x", "y"], ["1", "2"]]),
        ([Pair(1, 2)], None, [["left", "right"], ["1", "2"]]),
        ([], ["a", "b"], [["a", "b"]]),
        ([], None, []),
    ],
)
async def test_rows_become_csv(url, kind, rows, columns, expected):
    """The names of the columns once, then the rows; no cell is a formula."""
    async with serving(lambda streams: streams.csv(kind(*rows), columns), url) as driver:
        reply = await driver.ask("GET", "/go")

    assert reply.complete
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert list(csv.reader(io.StringIO(reply.body.decode(), newline=""))) == expected


@URLS
@KINDS
async def test_words_and_chunks_pass_as_they_are(url, kind):
    """Text in UTF-8; bytes of any kind."""
    async with serving(lambda streams: streams.text(kind("é", "", b"x", 1)), url) as driver:
        text = await driver.ask("GET", "/go")
    async with serving(
        lambda streams: streams.bytes(kind(b"\0\xff", bytearray(b"\r\n"), memoryview(b"z"))), url
    ) as driver:
        raw = await driver.ask("GET", "/go")

    assert (text.body, text.complete) == ("éx1".encode(), True)
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert (raw.body, raw.complete) == (b"\0\xff\r\nz", True)
    assert raw.headers["content-type"] == "application/octet-stream"


# -- what a reply says of itself -------------------------------------------------------------------------------------


@URLS
async def test_reply_takes_status_headers_type_and_name(url):
    """They stand in the head, and so do cookies that the endpoint sets; a hostile name is made safe."""

    def make(streams: Streams) -> Response:
        reply = streams.bytes(
            slowly(b"x"),
            status_code=206,
            headers={"X-Own": "1", "Cache-Control": "private"},
            media_type="video/mp4",
            filename='../a"\r\nb\u202e.mp4',
        )
        reply.set_cookie("seen", "yes")
        return reply

    async with serving(make, url) as driver:
        reply = await driver.ask("GET", "/go")

    assert reply.status == 206
    assert reply.headers["content-type"] == "video/mp4"
    assert reply.headers["x-own"] == "1"
    assert reply.headers["cache-control"] == "private"
    assert reply.headers["set-cookie"].startswith("seen=yes")
    assert reply.headers["content-disposition"] == 'attachment; filename="a_b.mp4"'


@URLS
async def test_retry_rides_in_front(url):
    """An ``EventSource`` learns it before anything can be lost; and comes to know it once."""
    async with serving(lambda streams: streams.sse(slowly("a", "b"), retry=1234, close=False), url) as driver:
        reply = await driver.ask("GET", "/go")

    assert told(reply.body) == [("", b"a"), ("", b"b")]
    assert reply.body.count(b"retry: 1234\n") == 1
    assert reply.body.index(b"retry") < reply.body.index(b"data: b")


@URLS
async def test_background_tasks_run_after_the_reply(url):
    """As with every reply of FastAPI."""
    streams = Streams(url, grace=0.0)
    app = FastAPI()
    app.include_router(streams.router)
    ran = []

    @app.get("/go")
    async def go(background: BackgroundTasks) -> Response:
        background.add_task(ran.append, "after")
        return streams.sse(slowly("a"))

    async with AppDriver(app) as driver:
        await driver.ask("GET", "/go")
    assert ran == ["after"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"retry": -1},
        {"retry": 10**12},
        {"keepalive": 0},
        {"keepalive": float("nan")},
        {"keepalive": float("inf")},
        {"on_leave": "whenever"},
    ],
)
def test_argument_without_sense_is_refused(wrong):
    """At once, where the endpoint calls."""
    with pytest.raises((ValueError, RequestError), match=r"retry|keepalive|leaving"):
        Streams(None).sse([], **wrong)


@pytest.mark.parametrize("given", ["text", b"bytes", 1, None, slowly])
def test_what_cannot_be_streamed_is_refused(given):
    """Text would be streamed by the letter; a function has not been called."""
    with pytest.raises(TypeError, match="expected a generator"):
        Streams(None).sse(given)


# -- errors ----------------------------------------------------------------------------------------------------------


class OutOfCredit(StreamError):
    code, message, status = "out_of_credit", "There is no credit left.", 402


INTERNAL = {"code": "internal", "message": "Something went wrong on this server.", "retry": False}

ERRORS = pytest.mark.parametrize(
    ("error", "status", "object"),
    [
        (ValueError("secret"), 500, INTERNAL),
        (OutOfCredit(), 402, {"code": "out_of_credit", "message": "There is no credit left.", "retry": False}),
        (
            StreamError("Later.", code="busy", status=503, retry=True),
            503,
            {"code": "busy", "message": "Later.", "retry": True},
        ),
        (asyncio.CancelledError(), 500, INTERNAL),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)


@URLS
@ERRORS
async def test_error_becomes_an_event(url, error, status, object):
    """With a stable code; of an exception's own words only the log hears."""
    async with serving(lambda streams: streams.sse(failing(error, "a")), url) as driver:
        reply = await driver.ask("GET", "/go")

    assert reply.complete
    first, (name, data), close = told(reply.body)
    assert (first, name, close) == (("", b"a"), "error", CLOSE)
    assert json.loads(data) == object
    assert b"secret" not in reply.body


@URLS
async def test_error_becomes_the_last_line(url):
    """NDJSON has words for it."""
    async with serving(lambda streams: streams.ndjson(failing(OutOfCredit(), {"a": 1})), url) as driver:
        reply = await driver.ask("GET", "/go")

    assert reply.complete
    assert [json.loads(line) for line in reply.body.splitlines()] == [
        {"a": 1},
        {"error": {"code": "out_of_credit", "message": "There is no credit left.", "retry": False}},
    ]


@URLS
@pytest.mark.parametrize(
    "make",
    [
        lambda streams: streams.csv(failing(ValueError("secret"), [1])),
        lambda streams: streams.text(failing(ValueError("secret"), "1")),
        lambda streams: streams.bytes(failing(ValueError("secret"), b"1")),
    ],
    ids=["csv", "text", "bytes"],
)
async def test_form_without_words_is_cut(url, make):
    """No client takes it for whole; and the server is told by an error."""
    async with serving(make, url) as driver:
        with pytest.raises(Cut):  # noqa: PT012
            async with driver.open("GET", "/go") as exchange:
                assert (await exchange.head()).status == 200
                assert (await exchange.piece()).startswith(b"1")
                await exchange.rest()
        assert not exchange.complete


@URLS
@ERRORS
async def test_error_before_the_first_item_has_a_status(url, error, status, object):
    """Where nothing was sent the reply is an ordinary error."""
    async with serving(lambda streams: streams.csv(failing(error)), url) as driver:
        reply = await driver.ask("GET", "/go")

    assert reply.status == status
    assert json.loads(reply.body) == {"detail": object}


@URLS
@pytest.mark.parametrize("item", [object(), {1, object()}], ids=["object", "set"])
async def test_item_without_form_is_an_error_of_the_generator(url, item):
    """It ends the stream as one."""
    async with serving(lambda streams: streams.sse(slowly("a", item)), url) as driver:
        reply = await driver.ask("GET", "/go")

    assert [name for name, _ in told(reply.body)] == ["", "error", "close"]


@URLS
@KINDS
async def test_error_of_our_own_parts_keeps_its_code(url, kind):
    """A line without end is a limit, in a thread too; and nobody waits for ever."""
    chunks = kind(b"[1]\n", b"[" * 200)
    async with serving(lambda streams: streams.ndjson(JsonLines(max_line=100).of(chunks)), url) as driver:
        reply = await driver.ask("GET", "/go")

    first, last = [json.loads(line) for line in reply.body.splitlines()]
    assert (first, last["error"]["code"]) == ([1], "limit")


@URLS
async def test_generator_that_wants_to_end_the_process_ends_itself(url):
    """In its thread; its reader is told."""

    def leaving():
        yield "a"
        raise SystemExit

    async with serving(lambda streams: streams.sse(leaving()), url) as driver:
        assert [name for name, _ in told((await driver.ask("GET", "/go")).body)] == ["", "error", "close"]


@URLS
async def test_time_out_around_items_is_the_generators_own(url):
    """It is in one task from its first step to its last."""

    async def limited():
        async with asyncio.timeout(0.05):
            yield "a"
            await asyncio.sleep(0)
            yield "b"
            await asyncio.Event().wait()

    async with serving(lambda streams: streams.sse(limited()), url) as driver:
        events = told((await driver.ask("GET", "/go")).body)
    assert [data for _, data in events[:2]] == [b"a", b"b"]
    assert events[2][0] == "error"


@URLS
async def test_context_of_the_request_is_the_generators(url):
    """Context variables (a tracer's, for instance) are as they were where the reply was sent."""
    variable = ContextVar("variable", default="none")

    async def reading():
        yield variable.get()

    def reading_plainly():
        yield variable.get()

    for generator in (reading, reading_plainly):

        def make(streams: Streams, generator=generator) -> Response:
            variable.set(generator.__name__)
            return streams.text(generator())

        async with serving(make, url) as driver:
            assert (await driver.ask("GET", "/go")).body.decode() == generator.__name__


# -- silence and leaving ---------------------------------------------------------------------------------------------


@URLS
async def test_silence_is_filled_with_comments(url):
    """Each ``keepalive`` seconds, before the first item too."""
    clock = FakeClock()
    go = asyncio.Event()

    async def waiting():
        await go.wait()
        yield "a"

    async with serving(lambda streams: streams.sse(waiting(), keepalive=15), url, clock=clock) as driver:
        async with driver.open("GET", "/go") as exchange:
            await settle()
            await clock.advance(1)
            assert (await exchange.head()).status == 200
            await clock.advance(16)
            assert await exchange.piece() == b": ping\n\n"
            await clock.advance(16)
            assert await exchange.piece() == b": ping\n\n"
            go.set()
            assert told(await exchange.rest()) == [("", b"a"), CLOSE]


@pytest.mark.parametrize("options", [{"url": None}, {"url": "memory:", "on_leave": "cancel"}], ids=["not kept", "kept"])
async def test_leaving_ends_an_asynchronous_generator_where_it_stands(options):
    """Its ``finally`` runs, and may wait."""
    ended = asyncio.Event()

    async def endless():
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    async with serving(lambda streams: streams.sse(endless()), **options) as driver:
        async with driver.open("GET", "/go") as exchange:
            await exchange.piece()
        async with asyncio.timeout(5):
            await ended.wait()


@pytest.mark.parametrize("options", [{"url": None}, {"url": "memory:", "on_leave": "cancel"}], ids=["not kept", "kept"])
async def test_generator_that_ignores_its_cancellation_is_closed_at_its_next_item(options):
    """Nobody takes what it makes after that."""
    ended, made = asyncio.Event(), []

    async def stubborn():
        try:
            yield "a"
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            while True:
                made.append("b")
                yield "b"
        finally:
            ended.set()

    async with serving(lambda streams: streams.sse(stubborn()), **options) as driver:
        async with driver.open("GET", "/go") as exchange:
            await exchange.piece()
        async with asyncio.timeout(5):
            await ended.wait()
    assert made == ["b"]


@pytest.mark.slow
async def test_body_of_any_size_takes_no_memory():
    """What is sent is forgotten: a hundred MiB of chunks, and a hundred thousand rows."""

    def chunks():
        for _ in range(100):
            yield bytes(1 << 20)

    def rows():
        for number in range(100_000):
            yield {"number": number, "text": "x" * 100}

    for make in (lambda s: s.bytes(chunks()), lambda s: s.csv(rows()), lambda s: s.ndjson(slowly(*range(1000)))):
        async with serving(make, None) as driver:
            tracemalloc.start()
            try:
                async with driver.open("GET", "/go") as exchange:
                    while await exchange.piece():
                        pass
                    assert exchange.complete
                assert tracemalloc.get_traced_memory()[1] < 8 << 20
            finally:
                tracemalloc.stop()


@pytest.mark.parametrize("options", [{"url": None}, {"url": "memory:", "on_leave": "cancel"}], ids=["not kept", "kept"])
async def test_leaving_ends_a_plain_generator_at_its_next_item(options):
    """It cannot be stopped within one; its ``finally`` runs in a thread."""
    go, ended = threading.Event(), threading.Event()
    made = []

    def endless():
        try:
            yield "a"
            go.wait(10)
            for number in range(10**9):
                made.append(number)
                yield number
        finally:
            ended.set()

    async with serving(lambda streams: streams.sse(endless()), **options) as driver:
        async with driver.open("GET", "/go") as exchange:
            await exchange.piece()
        go.set()
        assert await asyncio.to_thread(ended.wait, 5)
    assert len(made) == 1


@URLS
async def test_generator_that_sleeps_delays_nobody(url):
    """It runs in a thread; and each of its items goes out when it is there."""
    lock = threading.Lock()
    lock.acquire()

    def blocking():
        yield "a"
        with lock:
            yield "b"

    async with serving(lambda streams: streams.sse(blocking()), url) as driver:
        async with driver.open("GET", "/go") as exchange:
            assert told(await exchange.piece()) == [("", b"a")]
            lock.release()
            assert told(await exchange.rest()) == [("", b"b"), CLOSE]


async def test_generator_is_pulled_as_the_client_takes():
    """Without a store nothing is made ahead of a client that has stopped reading."""
    made = 0

    async def endless():
        nonlocal made
        while True:
            made += 1
            yield b"x" * 1000

    async with serving(lambda streams: streams.bytes(endless()), None) as driver:
        async with driver.open("GET", "/go") as exchange:
            exchange.hold()
            await settle()
            await asyncio.sleep(0)
            assert made <= 2


async def test_tight_generator_lets_others_run():
    """One that never waits does not keep the loop, even where the client takes everything at once."""
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def tight():
        for _ in range(10_000):
            yield "x"

    for url in ("memory:", None):
        turns = 0
        counting = asyncio.create_task(count())
        async with serving(lambda streams: streams.sse(tight()), url) as driver:
            reply = await driver.ask("GET", "/go")
        counting.cancel()
        assert len(frames(reply.body)) == 10_001
        assert turns > 50


async def test_unused_reply_leaves_nothing_behind():
    """An endpoint that makes a reply and returns another one starts nothing."""
    started = []

    async def never():
        started.append(1)
        yield "a"

    def make(streams: Streams) -> Response:
        streams.sse(never())
        return Response("other")

    async with serving(make) as driver:
        assert (await driver.ask("GET", "/go")).body == b"other"
    assert started == []
