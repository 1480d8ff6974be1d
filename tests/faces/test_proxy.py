"""The proxy in process: what passes, what is refused, and what becomes of an answer that is recorded."""

import asyncio
import json
import random
from contextlib import asynccontextmanager

import pytest
from tests.faces.front import ALICE, BOB, KEYS, bearer, frames, front

from headrace.config import Limits, ProxyTarget
from headrace.testing.clock import settle
from headrace.testing.scripted_upstream import Fin, Next, Reset, ScriptedUpstream, Stall, chunked, head

SECRET = "target-secret-0123456789"


@asynccontextmanager
async def proxied(script, *, settings=None, **options):
    """The app over a target, which plays a script, as ``t``."""
    async with ScriptedUpstream(script) as server:
        given = {"methods": ("GET", "HEAD", "POST", "PUT"), "headers": {"authorization": f"Bearer {SECRET}"}, **options}
        target = ProxyTarget(base_url=f"{server.url}/base", private=True, **given)
        async with front(proxy={"t": target}, **(settings or {})) as at:
            yield at, server


def text(body, *fields, status=200):
    return [head(status, *fields, type="text/plain", body=str(len(body))), body]


async def until(holds):
    """Let real sockets do their work."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - another side of a socket is looked at
            await asyncio.sleep(0.001)


async def test_a_request_passes_and_its_answer_comes_back():
    async with proxied(text(b"made", "Set-Cookie: a=b", "ETag: x", status=201)) as (at, server):
        reply = await at.ask("POST", "/v1/proxy/t/a%20b?x=1", b"body", {"content-length": "4", "cookie": "c=d"})
    assert (reply.status, reply.body, reply.complete) == (201, b"made", True)
    assert (reply.headers["content-length"], reply.headers["etag"]) == ("4", "x")
    assert reply.headers["content-security-policy"] == "sandbox"
    assert reply.headers["cache-control"].startswith("private")
    assert "set-cookie" not in reply.headers
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/base/a%20b?x=1", b"body")
    assert "cookie" not in request.headers


@pytest.mark.parametrize("status", [301, 304, 400, 401, 404, 429, 500, 503])
async def test_any_status_passes_as_it_is(status):
    body = b"" if status == 304 else b"because"
    async with proxied(text(body, "Retry-After: 7", status=status)) as (at, _):
        reply = await at.ask("GET", "/v1/proxy/t/x")
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (status, body, "7")


async def test_a_part_is_a_part():
    script = text(b"bc", "Content-Range: bytes 1-2/4", "Accept-Ranges: bytes", status=206)
    async with proxied(script) as (at, server):
        reply = await at.ask("GET", "/v1/proxy/t/x", headers={"range": "bytes=1-2"})
    assert (reply.status, reply.headers["content-range"], reply.body) == (206, "bytes 1-2/4", b"bc")
    assert server.requests[0].headers["range"] == "bytes=1-2"


async def test_a_head_is_answered_without_a_body():
    async with proxied([head(200, body="1000")]) as (at, _):
        reply = await at.ask("HEAD", "/v1/proxy/t/x")
    assert (reply.status, reply.headers["content-length"], reply.body) == (200, "1000", b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/proxy/other/x", 404),
        ("DELETE", "/v1/proxy/t/x", 405),
        ("PATCH", "/v1/proxy/t/x", 405),
        ("GET", "/v1/proxy/t/../x", 404),
        ("GET", "/v1/proxy/t/%2e%2e/x", 404),
        ("GET", "/v1/proxy/t/a%2fb", 404),
        ("GET", "/v1/prox%79/t/x", 404),
        ("GET", "/v1/proxy/%74/x", 404),
        ("GET", "/v1/proxy//x", 404),
        ("GET", "/v1/proxy/t/x?%C3%A9=\\x", 200),
        ("TRACE", "/v1/proxy/t/x", 405),
    ],
)
async def test_what_is_not_configured_is_not_asked(method, path, status):
    async with proxied(text(b"ok")) as (at, server):
        reply = await at.ask(method, path)
    assert (reply.status, len(server.requests)) == (status, int(status == 200))


async def test_a_key_is_needed_where_there_are_keys():
    async with proxied(text(b"ok"), settings={"keys": KEYS}) as (at, server):
        assert (await at.ask("GET", "/v1/proxy/t/x")).status == 401
        assert server.requests == []
        assert (await at.ask("GET", "/v1/proxy/t/x", headers=bearer(ALICE))).status == 200
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"


async def test_a_page_from_elsewhere_may_not_even_get():
    """A request goes out with a credential: its effects are somebody's."""
    async with proxied(text(b"ok")) as (at, server):
        for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
            assert (await at.ask("GET", "/v1/proxy/t/x", headers=headers)).status == 403
    assert server.requests == []


async def test_a_cut_answer_is_cut():
    script = [head(200, type="text/plain", body="10"), b"half", Reset()]
    async with proxied(script) as (at, _):
        reply = await at.ask("GET", "/v1/proxy/t/x")
    assert (reply.status, reply.complete) == (200, False)


async def test_an_unreachable_target_is_told_without_a_word_about_it():
    async with ScriptedUpstream([Fin()]) as gone:
        pass
    target = ProxyTarget(base_url=gone.url, private=True)
    async with front(proxy={"t": target}) as at:
        reply = await at.ask("GET", "/v1/proxy/t/x")
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (502, "upstream_unreachable")
    assert b"127.0.0.1" not in reply.body


async def test_a_target_at_an_inner_address_is_not_asked_unless_that_is_meant():
    async with ScriptedUpstream(text(b"ok")) as server:
        target = ProxyTarget(base_url=server.url.replace("127.0.0.1", "localhost"))
        async with front(proxy={"t": target}) as at:
            assert (await at.ask("GET", "/v1/proxy/t/x")).status == 502
        assert server.connections == []


async def test_a_body_over_the_bound_is_refused_both_ways():
    """Even where its length is not told in advance."""

    def play(request):
        if request.target.endswith("told"):
            return text(b"x" * 11)
        return [head(200, type="text/plain", body="chunked"), chunked(b"x" * 6, b"x" * 6)]

    async with proxied(play, max_bytes=10) as (at, _):
        sent = await at.ask("POST", "/v1/proxy/t/x", (b"x" * 6, b"x" * 6), {"transfer-encoding": "chunked"})
        told = await at.ask("GET", "/v1/proxy/t/told")
        come = await at.ask("GET", "/v1/proxy/t/x")
    assert (sent.status, told.status, come.status, come.complete) == (413, 507, 200, False)


async def test_a_body_may_be_larger_than_those_that_are_held():
    """Nothing of it is kept here."""
    async with proxied(text(b"ok"), settings={"limits": Limits(body_bytes=10)}) as (at, server):
        reply = await at.ask("PUT", "/v1/proxy/t/x", b"x" * 1000, {"content-length": "1000"})
    assert (reply.status, len(server.requests[0].body)) == (200, 1000)


async def test_a_target_that_says_nothing_is_given_up():
    async with proxied([Stall()], first=10.0) as (at, server), at.open("GET", "/v1/proxy/t/x") as exchange:
        await until(lambda: server.requests)
        await at.clock.advance(9.0)
        assert not exchange.done
        await at.clock.advance(2.0)
        assert (await exchange.head()).status == 504
        await asyncio.wait_for(server.connections[0].closed.wait(), 5)


async def test_a_target_that_falls_silent_is_cut():
    script = [head(200, type="text/plain"), b"x", Stall()]
    async with proxied(script, idle=10.0) as (at, server), at.open("GET", "/v1/proxy/t/x") as exchange:
        assert await exchange.piece() == b"x"
        await at.clock.advance(11.0)
        assert await exchange.piece() == b""
        assert not exchange.complete
        await asyncio.wait_for(server.connections[0].closed.wait(), 5)


async def test_a_client_that_takes_nothing_is_let_go_and_nothing_piles_up():
    script = [head(200, type="text/plain", body="close"), *[b"x" * 65536] * 400]
    async with proxied(script, idle=1000.0) as (at, server), at.open("GET", "/v1/proxy/t/x") as exchange:
        await exchange.head()
        exchange.hold()
        await until(lambda: exchange.sending)
        await at.clock.advance(29.0)
        assert not exchange.done
        await at.clock.advance(2.0)
        await asyncio.wait_for(server.connections[0].closed.wait(), 5)
        assert server.connections[0].sent < 400 * 65536


async def test_an_answer_may_begin_before_the_request_has_ended():
    """Both ways are open at the same time; the body's pieces are nobody else's to take."""

    async def echo(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head(200, type="text/plain", body="4"))
        seen = b""
        while b"two" not in seen:
            seen += await reader.read(100)
        writer.write(b"done")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    target = ProxyTarget(base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", private=True)
    async with server, front(proxy={"t": target}) as at:
        reply = await at.ask("POST", "/v1/proxy/t/x", (b"one", b"two"), {"transfer-encoding": "chunked"})
    assert (reply.status, reply.body, reply.complete) == (200, b"done", True)


async def test_a_target_that_takes_nothing_is_given_up_and_nothing_piles_up():
    """The client is asked for no more than what is on its way."""
    asked, done, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def deaf(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        try:
            await done.wait()
        finally:
            writer.close()
            over.set()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0, limit=4096)
    target = ProxyTarget(base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", private=True, first=10.0)
    async with server, front(proxy={"t": target}) as at:
        pieces = (b"x" * 65536,) * 1000
        async with at.open("POST", "/v1/proxy/t/x", pieces, {"transfer-encoding": "chunked"}) as exchange:
            await asyncio.wait_for(asked.wait(), 5)
            for _ in range(8):
                await at.clock.advance(1.0)
            assert len(exchange._incoming) > 500
            for _ in range(4):
                await at.clock.advance(1.0)
            assert (await exchange.head()).status == 504
        done.set()
        await over.wait()
        await settle()


PARTS = ("x", "cut", "bad", "..", "%2e%2e", "a", "b", "@b", "%40", "%0d%0a")


async def test_a_credential_goes_to_its_own_target_and_nowhere_else(caplog):
    """Whatever is asked: not to the other target, not into a reply, not into a log."""
    caplog.set_level("DEBUG")
    chance = random.Random(7)
    secrets = {"a": "secret-of-a-0123456789", "b": "secret-of-b-0123456789"}

    def play(request):
        if "cut" in request.target:
            return [head(200, body="9"), b"x", Reset()]
        if "bad" in request.target:
            return [b"not HTTP at all\r\n\r\n"]
        place = f"{servers[chance.choice('ab')].url}/base/{chance.choice(('', request.headers['x-api-key']))}"
        return [head(chance.choice((200, 302, 401, 500)), f"Location: {place}", body="0")]

    async with ScriptedUpstream(play) as one, ScriptedUpstream(play) as other:
        servers = {"a": one, "b": other}
        targets = {
            name: ProxyTarget(
                base_url=f"{server.url}/base", private=True, headers={"X-Api-Key": secrets[name]}, record=name == "b"
            )
            for name, server in servers.items()
        }
        async with front(proxy=targets) as at:
            for _ in range(150):
                path = "/".join(
                    chance.choices(("x", "cut", "bad", "..", "%2e%2e", "a", "b", "@b", "%40", "%0d%0a"), k=2)
                )
                headers = {
                    "x-api-key": "client",
                    "host": "localhost:8003",
                    chance.choice(("range", "accept", "cookie")): "b",
                }
                method = chance.choice(("GET", "POST", "HEAD"))
                reply = await at.ask(method, f"/v1/proxy/{chance.choice('ab')}/{path}", b"", headers)
                told = f"{reply.status} {reply.headers} {reply.body!r}"
                assert not any(secret in told for secret in secrets.values())
        for name, server in servers.items():
            assert len(server.requests) > 20
            assert {request.headers["x-api-key"] for request in server.requests} == {secrets[name]}
    assert not any(secret in caplog.text for secret in secrets.values())


# -- recorded --------------------------------------------------------------------------------------------------------

EVENTS = [
    head(200, body="chunked"),
    chunked(b"event: a\ndata: 1\n\n", b": life\n\ndata: 2\ndata: 3\r\n\r\nid: 9\ndata: 4\n\n"),
]


async def test_recorded_events_can_be_read_again_from_any_of_them():
    """Each has an id of ours, which names its stream where the URL does not."""
    async with proxied(EVENTS, record=True) as (at, server):
        first = await at.ask("GET", "/v1/proxy/t/events")
        id = first.headers["headrace-stream-id"]
        assert first.headers["location"] == f"/v1/streams/{id}"
        assert [(f.event, f.data, f.id) for f in frames(first.body)] == [
            ("a", b"1", f"{id}:1"),
            ("", b"2\n3", f"{id}:2"),
            ("", b"4", f"{id}:3"),
        ]
        again = await at.ask("GET", f"/v1/streams/{id}", headers={"last-event-id": "1"})
        assert [(f.data, f.id) for f in frames(again.body)] == [(b"2\n3", "2"), (b"4", "3")]
        back = await at.ask("GET", "/v1/proxy/t/events", headers={"last-event-id": f"{id}:2"})
        assert [f.data for f in frames(back.body)] == [b"4"]
        assert (await at.ask("GET", "/v1/proxy/t/events", headers={"last-event-id": f"{id}:3"})).status == 204
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("type", "pieces", "body", "after_one"),
    [
        ("application/x-ndjson", (b'{"a":1}\n{"b"', b":2}\r\n\n3"), b'{"a":1}\n{"b":2}\n3\n', b'{"b":2}\n3\n'),
        ("text/csv", (b"a,b\r\n\x00\xff",), b"a,b\r\n\x00\xff", None),
        ("", (b"what", b"ever"), b"whatever", None),
    ],
)
@pytest.mark.parametrize("stored", [False, True])
async def test_recorded_lines_and_bytes(tmp_path, stored, type, pieces, body, after_one):
    script = [head(200, type=type, body="chunked"), chunked(*pieces)]
    async with proxied(script, record=True, settings={"folder": tmp_path} if stored else {}) as (at, _):
        first = await at.ask("POST", "/v1/proxy/t/x")
        id = first.headers["headrace-stream-id"]
        again = await at.ask("GET", f"/v1/streams/{id}")
        assert first.body == again.body == body
        assert first.complete
        assert first.headers["content-type"] == again.headers["content-type"] == (type or "application/octet-stream")
        if after_one is not None:
            assert (await at.ask("GET", f"/v1/streams/{id}?after=1")).body == after_one
        for shown in ("chat", "named"):
            assert (await at.ask("GET", f"/v1/streams/{id}?as={shown}")).status == 400
        assert (await at.ask("GET", f"/v1/chat/completions/{id}?stream=true")).status < 500


@pytest.mark.parametrize("status", [204, 302, 401, 404, 500])
async def test_what_is_no_success_is_passed_on_and_not_recorded(status):
    """And may be tried again under the same key."""
    script = [*text(b"" if status == 204 else b"no", status=status), Next()]
    async with proxied(script, record=True) as (at, server):
        for tries in (1, 2):
            reply = await at.ask("POST", "/v1/proxy/t/x", headers={"idempotency-key": "k"})
            assert (reply.status, reply.body) == (status, b"" if status == 204 else b"no")
            assert "headrace-stream-id" not in reply.headers
            assert len(server.requests) == tries
        assert (await at.json("GET", "/v1/streams"))["data"] == []


async def test_a_retry_under_the_same_key_asks_nobody_again():
    async with proxied(EVENTS, record=True) as (at, server):
        headers = {"idempotency-key": "k", "content-length": "1"}
        first, second = [await at.ask("POST", "/v1/proxy/t/x", b"b", headers) for _ in range(2)]
        assert [frame.data for frame in frames(first.body)] == [frame.data for frame in frames(second.body)]
        assert first.headers["headrace-stream-id"] == second.headers["headrace-stream-id"]
        other = await at.ask("POST", "/v1/proxy/t/y", b"b", headers)
    assert (other.status, len(server.requests)) == (422, 1)


async def test_a_recording_belongs_to_the_key_that_asked():
    async with proxied(EVENTS, record=True, settings={"keys": KEYS}) as (at, _):
        id = (await at.ask("GET", "/v1/proxy/t/x", headers=bearer(ALICE))).headers["headrace-stream-id"]
        assert (await at.ask("GET", f"/v1/streams/{id}", headers=bearer(ALICE))).status == 200
        assert (await at.ask("GET", f"/v1/streams/{id}", headers=bearer(BOB))).status == 404


async def test_a_recording_goes_on_when_its_reader_leaves_and_stops_when_told():
    go = asyncio.Event()
    script = [head(200, type="text/plain", body="close"), b"one", go, b"two", Stall()]
    async with proxied(script, record=True) as (at, server):
        async with at.open("GET", "/v1/proxy/t/x", headers={"headrace-on-leave": "keep"}) as exchange:
            id = (await exchange.head()).headers["headrace-stream-id"]
            assert await exchange.piece() == b"one"
        go.set()
        async with at.open("GET", f"/v1/streams/{id}") as reader:
            assert await reader.read(6) == b"onetwo"
            assert (await at.json("POST", f"/v1/streams/{id}/cancel"))["cancelled"]
            assert await reader.piece() == b""
            assert not reader.complete
        await asyncio.wait_for(server.connections[0].closed.wait(), 5)


async def test_a_recording_that_nobody_waits_for_ends():
    """Before its head has come, too."""
    async with proxied([Stall()], record=True) as (at, server):
        async with at.open("GET", "/v1/proxy/t/x", headers={"headrace-on-leave": "linger=3"}):
            await until(lambda: server.requests)
            await at.clock.advance(20.0)
            assert not server.connections[0].left
        await settle()
        await at.clock.advance(4.0)
        await asyncio.wait_for(server.connections[0].closed.wait(), 5)


async def test_a_refusal_that_nobody_waits_for_is_let_go():
    """Its body would else be waited for by no one."""
    go = asyncio.Event()
    script = [go, head(500, type="text/plain", body="10"), b"half", Stall()]
    async with proxied(script, record=True) as (at, server):
        async with at.open("GET", "/v1/proxy/t/x", headers={"headrace-on-leave": "keep"}):
            await until(lambda: server.requests)
        go.set()
        await asyncio.wait_for(server.connections[0].closed.wait(), 5)
        assert server.connections[0].left


async def test_a_cut_recording_is_failed_and_cut():
    script = [head(200, type="text/plain", body="10"), b"half", Reset()]
    async with proxied(script, record=True) as (at, _):
        reply = await at.ask("GET", "/v1/proxy/t/x")
        assert not reply.complete
        (stream,) = (await at.json("GET", "/v1/streams"))["data"]
    assert (stream["state"], stream["reason"]) == ("failed", "upstream_truncated")


async def test_a_recorded_request_is_held_and_so_bounded():
    async with proxied(EVENTS, record=True, settings={"limits": Limits(body_bytes=10)}) as (at, server):
        reply = await at.ask("POST", "/v1/proxy/t/x", b"x" * 11, {"content-length": "11"})
    assert (reply.status, server.requests) == (413, [])
