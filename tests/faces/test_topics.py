"""Topics over HTTP: whose they are, how they are followed, and what no path, type or content can do."""

import json

import pytest
from tests.faces.front import ALICE, BOB, KEYS, bearer, frames, front

from headrace.config import Cors
from headrace.testing.clock import settle

TEXT = {"content-type": "text/plain"}
JSON = {"content-type": "application/json"}
ZERO = "0000000000000000_0000000000000000"


@pytest.fixture(params=["memory", "sqlite"])
async def at(request, tmp_path):
    async with front(folder=None if request.param == "memory" else tmp_path / "data") as made:
        yield made


def control(body: bytes) -> dict:
    """What the last control event says."""
    return json.loads([frame.data for frame in frames(body) if frame.event == "control"][-1])


async def put(at, path: str, body: bytes = b"", status: int = 201, **headers: str):
    reply = await at.ask("PUT", f"/v1/topics/{path}", body, TEXT | named(headers))
    assert reply.status == status, reply
    return reply


async def post(at, path: str, body: bytes = b"", status: int = 204, **headers: str):
    reply = await at.ask("POST", f"/v1/topics/{path}", body, TEXT | named(headers))
    assert reply.status == status, reply
    return reply


async def get(at, target: str, status: int = 200, **headers: str):
    reply = await at.ask("GET", f"/v1/topics/{target}", b"", named(headers))
    assert reply.status == status, reply
    return reply


def named(headers):
    return {name.replace("_", "-"): value for name, value in headers.items()}


# --- plain use


async def test_what_was_appended_is_read(at):
    """From any offset that was given, as one body; the same read again is not sent again."""
    made = await put(at, "build/log", b"one ")
    assert made.headers["location"] == "http://localhost:8003/v1/topics/build/log"
    middle = made.headers["stream-next-offset"]
    end = (await post(at, "build/log", b"two")).headers["stream-next-offset"]
    whole = await get(at, "build/log")
    assert (whole.body, whole.headers["content-type"]) == (b"one two", "text/plain")
    assert (whole.headers["stream-next-offset"], whole.headers["stream-up-to-date"]) == (end, "true")
    assert (await get(at, f"build/log?offset={middle}")).body == b"two"
    assert (await get(at, f"build/log?offset={end}")).body == b""
    etag = whole.headers["etag"]
    for known in (etag, f'"x", W/{etag}', "*"):
        again = await get(at, "build/log", 304, if_none_match=known)
        assert (again.body, again.headers["etag"]) == (b"", etag)
    await post(at, "build/log", stream_closed="true")
    closed = await get(at, "build/log", if_none_match=etag)
    assert closed.headers["stream-closed"] == "true"
    assert closed.headers["etag"] != etag


async def test_a_large_topic_is_read_page_by_page(at):
    """Each page says where the next begins; only the last says that it is the last, or that the topic is closed."""
    body = b"0123456789abcdef" * 200_000
    await put(at, "big", body, stream_closed="true")
    read, offset, pages = b"", "-1", 0
    while True:
        page = await get(at, f"big?offset={offset}")
        read, offset, pages = read + page.body, page.headers["stream-next-offset"], pages + 1
        assert ("stream-closed" in page.headers) is ("stream-up-to-date" in page.headers)
        if "stream-up-to-date" in page.headers:
            break
    assert (read == body, pages > 2) == (True, True)


async def test_topics_are_listed(at):
    """Page by page; there is nothing to read on the list itself."""
    for path in ("b", "a", "c"):
        await put(at, path, b"xy")
    page = await at.json("GET", "/v1/topics?limit=2")
    assert ([topic["path"] for topic in page["data"]], page["has_more"]) == (["a", "b"], True)
    page = await at.json("GET", "/v1/topics?limit=2&after=b")
    assert ([topic["path"] for topic in page["data"]], page["has_more"]) == (["c"], False)
    assert page["data"][0]["bytes"] == 2


# --- following


async def test_a_reader_follows_as_events(at):
    """What is there, what comes, a sign of life in between, and the end of a closed topic."""
    await put(at, "log", b"one")
    async with at.open("GET", "/v1/topics/log?offset=-1&live=sse") as reader:
        head = await reader.head()
        assert head.headers["content-type"] == "text/event-stream"
        first = await reader.piece()
        assert [frame.data for frame in frames(first) if frame.event == "data"] == [b"one"]
        assert control(first)["upToDate"] is True
        await at.clock.advance(15)
        assert await reader.piece() == b": ping\n\n"
        await post(at, "log", b"two")
        assert b"data:two\n" in await reader.piece()
        await post(at, "log", b"three", stream_closed="true")
        last = await reader.rest()
        assert b"data:three\n" in last
        assert control(last)["streamClosed"] is True
        assert reader.complete
    assert at.clock.pending() <= 5


async def test_a_connection_ends_after_a_minute(at):
    """Cleanly: the client opens another at the offset that it has."""
    await put(at, "log")
    async with at.open("GET", "/v1/topics/log?offset=now&live=sse") as reader:
        assert control(await reader.piece())["streamNextOffset"] == ZERO
        await at.clock.advance(59)
        assert not reader.complete
        await at.clock.advance(1)
        await reader.rest()
        assert reader.complete


@pytest.mark.parametrize("live", ["sse", "long-poll"])
async def test_a_drained_process_sends_its_readers_away(at, live):
    """Cleanly and at once."""
    await put(at, "log")
    async with at.open("GET", f"/v1/topics/log?offset=-1&live={live}") as reader:
        await settle()
        at.service.topics.drain()
        await reader.rest()
        assert reader.complete


async def test_a_draining_process_is_not_asked_over_and_over(at):
    """A poll that comes back has to wait a moment, and then gets what has come meanwhile."""
    tail = (await put(at, "log", b"one")).headers["stream-next-offset"]
    at.service.topics.drain()
    for appended, status in ((b"", 204), (b"two", 200)):
        async with at.open("GET", f"/v1/topics/log?offset={tail}&live=long-poll") as reader:
            await settle()
            assert not reader.complete
            if appended:
                await post(at, "log", appended)
            await at.clock.advance(1)
            assert (await reader.head()).status == status
            assert await reader.rest() == appended


async def test_an_event_source_resumes(at):
    """By its last event id, which is stronger than the query that it repeats; at a closed end it is told to stop."""
    await put(at, "log", b"one")
    events = {"accept": "text/event-stream"}
    async with at.open("GET", "/v1/topics/log", b"", events) as reader:
        seen = control(await reader.piece())["streamNextOffset"]
    await post(at, "log", b"two")
    async with at.open("GET", "/v1/topics/log?offset=-1&live=sse", b"", {**events, "last-event-id": seen}) as reader:
        piece = await reader.piece()
        assert [frame.data for frame in frames(piece) if frame.event == "data"] == [b"two"]
        seen = control(piece)["streamNextOffset"]
    await post(at, "log", stream_closed="true")
    assert (await get(at, "log", 204, **events, last_event_id=seen)).body == b""


async def test_a_long_poll_waits_for_the_next(at):
    """And no longer than a keep-alive; its cursor goes on."""
    tail = (await put(at, "log", b"one")).headers["stream-next-offset"]
    async with at.open("GET", f"/v1/topics/log?offset={tail}&live=long-poll") as reader:
        await at.clock.advance(14)
        await post(at, "log", b"two")
        reply = await reader.response()
        assert (reply.status, reply.body) == (200, b"two")
        tail, cursor = reply.headers["stream-next-offset"], reply.headers["stream-cursor"]
    async with at.open("GET", f"/v1/topics/log?offset={tail}&live=long-poll&cursor={cursor}") as reader:
        await at.clock.advance(15)
        reply = await reader.response()
        assert (reply.status, reply.body, reply.headers["stream-up-to-date"]) == (204, b"", "true")
        assert int(reply.headers["stream-cursor"]) > int(cursor)


@pytest.mark.parametrize("live", ["sse", "long-poll"])
async def test_a_reader_who_leaves_leaves_nothing_behind(at, live):
    """No task waits for what nobody reads."""
    await put(at, "log")
    async with at.open("GET", f"/v1/topics/log?offset=-1&live={live}") as reader:
        await settle()
        assert at.service.topics.following
        reader.disconnect()
        await reader.returned()
    assert not at.service.topics.following


async def test_a_reader_who_takes_nothing_is_let_go(at):
    """It can come back to where it was; the topic's writers never wait for it."""
    await put(at, "log", b"x")
    async with at.open("GET", "/v1/topics/log?offset=-1&live=sse") as reader:
        await reader.piece()
        reader.hold()
        await post(at, "log", b"y" * 100)
        await settle()
        await at.clock.advance(at.service.manners.send_timeout + 1)
        await reader.returned()
        assert not reader.complete


async def test_a_deleted_topics_readers_end(at):
    """Cleanly; when they come back, it is not found."""
    await put(at, "log")
    async with at.open("GET", "/v1/topics/log?offset=-1&live=sse") as reader:
        await reader.piece()
        assert (await at.ask("DELETE", "/v1/topics/log")).status == 204
        await reader.rest()
        assert reader.complete
    await get(at, "log", 404)


# --- whose


async def test_a_topic_belongs_to_its_key():
    """To others it is not there, whatever they do; and their topic at the same path is another."""
    async with front(keys=KEYS) as at:
        alice, bob = bearer(ALICE), bearer(BOB)
        assert (await at.ask("PUT", "/v1/topics/x", b"hers", {**TEXT, **alice})).status == 201
        page = await at.ask("GET", "/v1/topics/x", b"", alice)
        assert (page.body, page.headers["cache-control"]) == (b"hers", "private, no-store")
        for method, headers in (("GET", {}), ("HEAD", {}), ("DELETE", {}), ("POST", TEXT)):
            assert (await at.ask(method, "/v1/topics/x", b"y", {**headers, **bob})).status == 404
            assert (await at.ask(method, "/v1/topics/x", b"y", headers)).status == 401
        assert (await at.json("GET", "/v1/topics", headers=bob))["data"] == []
        fork = {"stream-forked-from": "/v1/topics/x", **bob}
        assert (await at.ask("PUT", "/v1/topics/y", b"", fork)).status == 404
        assert (await at.ask("PUT", "/v1/topics/x", b"his", {**TEXT, **bob})).status == 201
        assert (await at.ask("GET", "/v1/topics/x", b"", alice)).body == b"hers"


ODD = ("", "/", "a//b", "a/", "/a", "..", "a/../b", "a/%2e%2e/b", ".", "a/.", "%00", "a%0d%0ab", "%ff", "a%E2%80%A8")


@pytest.mark.parametrize("path", [*ODD, "x" * 513])
async def test_odd_paths_are_no_topics(path):
    """Nothing that a proxy or a log may take for something else."""
    async with front() as at:
        reply = await at.ask("PUT", f"/v1/topics/{path}", b"", TEXT)
        assert reply.status in (400, 307, 404, 405), reply
        if reply.status == 400:
            assert json.loads(reply.body)["error"]["param"] == "path"


SPELLINGS = [("a%2Fb", "a/b"), ("%61", "a"), ("a%20b", "a%20b"), ("ä", "%C3%A4"), ("a%2525", "a%2525")]


@pytest.mark.parametrize(("path", "same"), SPELLINGS)
async def test_a_path_is_decoded_once(path, same):
    """Two spellings of one URL are one topic."""
    async with front() as at:
        made = await put(at, path, b"x")
        assert (await get(at, same)).body == b"x"
        assert (await at.ask("GET", made.headers["location"].removeprefix("http://localhost:8003"))).body == b"x"


@pytest.mark.parametrize("named_by", ["/v1/topics/a%20b/c", "/a%20b/c", "a b/c"])
async def test_a_fork_names_its_source_by_url_or_path(named_by):
    async with front() as at:
        await put(at, "a%20b/c", b"x")
        await put(at, "fork", stream_forked_from=named_by)
        assert (await get(at, "fork")).body == b"x"


# --- refusals


@pytest.mark.parametrize(
    ("method", "target", "headers", "param"),
    [
        ("GET", "log?live=sse", {}, "offset"),
        ("GET", "log?live=long-poll", {}, "offset"),
        ("GET", "log?offset=1&live=sse", {}, "offset"),
        ("GET", "log?offset=-1&live=yes", {}, "live"),
        ("GET", "log?offset=", {}, "offset"),
        ("GET", f"log?offset={ZERO}&offset={ZERO}", {}, "offset"),
        ("GET", "log", {"last-event-id": "st_x:1"}, "offset"),
        ("PUT", "new", {"content-type": "nonsense"}, "Content-Type"),
        ("PUT", "new", {"stream-ttl": "01"}, "Stream-TTL"),
        ("PUT", "new", {"stream-ttl": "9" * 16}, "Stream-TTL"),
        ("PUT", "new", {"stream-ttl": "1", "stream-expires-at": "2030-01-01T00:00:00Z"}, "Stream-TTL"),
        ("PUT", "new", {"stream-expires-at": "tomorrow"}, "Stream-Expires-At"),
        ("PUT", "new", {"stream-fork-offset": ZERO}, "Stream-Forked-From"),
        ("PUT", "new", {"stream-forked-from": "log", "stream-fork-offset": "x"}, "Stream-Fork-Offset"),
        ("PUT", "new", {"stream-forked-from": "a/../log"}, "Stream-Forked-From"),
        ("PUT", "new", {"stream-forked-from": "%ff"}, "Stream-Forked-From"),
        ("POST", "log", {}, "Content-Type"),
        ("POST", "log", {**TEXT, "producer-id": "p"}, "Producer-Id"),
        ("POST", "log", {**TEXT, "producer-id": "p", "producer-epoch": "x", "producer-seq": "0"}, "Producer-Epoch"),
        ("POST", "log", {**TEXT, "stream-seq": "x" * 257}, "Stream-Seq"),
    ],
)
async def test_what_is_wrong_is_named(method, target, headers, param):
    """A 400 with the header or parameter that is meant."""
    async with front() as at:
        await put(at, "log", b"x")
        reply = await at.ask(method, f"/v1/topics/{target}", b"" if method == "GET" else b"y", headers)
        assert (reply.status, json.loads(reply.body)["error"]["param"]) == (400, param)


async def test_a_writer_learns_what_to_do(at):
    """Why its append was refused, in headers too."""
    await put(at, "log")
    producer = {"producer_id": "p", "producer_epoch": "1"}
    await post(at, "log", b"x", 200, **producer, producer_seq="0")
    again = await post(at, "log", b"x", 204, **producer, producer_seq="0")
    assert again.headers["producer-seq"] == "0"
    gap = await post(at, "log", b"x", 409, **producer, producer_seq="5")
    assert (gap.headers["producer-expected-seq"], gap.headers["producer-received-seq"]) == ("1", "5")
    fenced = await post(at, "log", b"x", 403, **{**producer, "producer_epoch": "0"}, producer_seq="1")
    assert fenced.headers["producer-epoch"] == "1"
    end = (await post(at, "log", b"y", stream_closed="true")).headers["stream-next-offset"]
    closed = await post(at, "log", b"x", 409)
    assert (closed.headers["stream-closed"], closed.headers["stream-next-offset"]) == ("true", end)
    assert json.loads(closed.body)["error"]["code"] == "topic_closed"


async def test_a_place_that_is_not_there_is_gone(at):
    """Whether it was lost or never was."""
    offset = (await put(at, "log", b"x")).headers["stream-next-offset"]
    await get(at, f"log?offset={offset[:-1]}2", 410)
    await get(at, f"log?offset={offset[:15]}9{offset[16:]}", 410)


# --- browsers


async def test_content_cannot_run_as_a_page_of_ours(at):
    """Whatever type a topic has."""
    assert (await at.ask("PUT", "/v1/topics/x", b"<script>", {"content-type": "text/html"})).status == 201
    page = await get(at, "x")
    assert page.headers["content-security-policy"].startswith("sandbox")
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_pages_of_allowed_origins_may_speak_the_protocol():
    """On topics only."""
    async with front(cors=Cors(origins=("https://app.example.com",))) as at:
        asks = {"origin": "https://app.example.com", "access-control-request-method": "POST"}
        reply = await at.ask("OPTIONS", "/v1/topics/x", b"", asks)
        assert {"producer-id", "stream-seq", "if-none-match"} <= set(
            reply.headers["access-control-allow-headers"].lower().split(", ")
        )
        assert "Stream-Next-Offset" in reply.headers["access-control-expose-headers"]
        other = await at.ask("OPTIONS", "/v1/streams/x", b"", asks)
        assert "producer-id" not in other.headers["access-control-allow-headers"].lower()
        assert (await at.ask("POST", "/v1/topics/x", b"", {"origin": "https://evil.example"})).status == 403


async def test_the_pass_through_leaves_topics_alone():
    """A wrong method is refused here, and reaches no upstream."""
    async with front() as at:
        assert (await at.ask("PATCH", "/v1/topics/x")).status == 405
        assert (await at.ask("DELETE", "/v1/topics/x")).status == 404
