"""The edge towards upstreams, on real sockets."""

import asyncio
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.upstreams.kit import AT_ONCE, stopped

from headrace.errors import (
    ConfigError,
    LimitExceeded,
    UpstreamProtocol,
    UpstreamTruncated,
    UpstreamUnreachable,
)
from headrace.testing.scripted_upstream import (
    Endless,
    Fin,
    Next,
    Reset,
    Script,
    ScriptedUpstream,
    Stall,
    Trickle,
    chunked,
    head,
)
from headrace.upstreams.http import Exchange, Http


class Tidy(Http):
    """Aborts at its end what a test has left open."""

    def __init__(self) -> None:
        super().__init__()
        self.exchanges: list[Exchange] = []

    async def request(self, *args: Any) -> Exchange:
        self.exchanges.append(await super().request(*args))
        return self.exchanges[-1]

    async def close(self) -> None:
        for exchange in self.exchanges:
            exchange.abort()
        await super().close()


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    http = Tidy()
    yield http
    await http.close()


def zipped(data: bytes) -> bytes:
    """The same bytes at any time: they are part of a test's name, and two processes must agree on that."""
    return gzip.compress(data, mtime=0)


async def ask(http: Http, upstream: ScriptedUpstream, body: bytes = b"{}") -> Exchange:
    return await http.request("POST", f"{upstream.url}/v1/x", {"Authorization": "Bearer canary"}, body)


async def test_a_body_is_read_to_its_clean_end(http: Http):
    async with ScriptedUpstream([head(body="chunked"), Trickle(chunked(b"one", b"two"))]) as upstream:
        exchange = await ask(http, upstream, b'{"a": 1}')
        assert (exchange.status, exchange.headers["content-type"]) == (200, "text/event-stream")
        assert await exchange.read_all(100) == b"onetwo"
        assert await exchange.read_some() == b""
        assert exchange.ended
        exchange.release()
    [request] = upstream.requests
    assert (request.method, request.target, request.body) == ("POST", "/v1/x", b'{"a": 1}')
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"].startswith("headrace/")
    assert "cookie" not in request.headers


@pytest.mark.parametrize(
    "script",
    [
        [head(body="chunked"), chunked(b"one", end=False), Fin()],
        [head(body="chunked"), chunked(b"one", end=False), Reset()],
        [head(body="chunked"), chunked(b"one", end=False) + b"ff\r\npart of a chunk", Fin()],
        [head(body="10"), b"one", Fin()],
        [head(body="10"), b"one", Reset()],
    ],
    ids=["chunked-fin", "chunked-reset", "chunk-cut", "length-short", "length-reset"],
)
async def test_a_cut_body_gives_what_came_and_then_is_truncated(http: Http, script: Script):
    """Nothing that came before the cut is lost, though both may be known at the same moment."""
    async with ScriptedUpstream(script) as upstream:
        exchange = await ask(http, upstream)
        await upstream.connections[0].closed.wait()
        await asyncio.sleep(0.02)
        assert (await exchange.read_some()).startswith(b"one")
        with pytest.raises(UpstreamTruncated) as caught:
            await exchange.read_some()
        assert caught.value.accepted
        assert not exchange.ended


async def test_a_chunk_that_is_none_fails_the_body(http: Http):
    gate = asyncio.Event()
    script: Script = [head(body="chunked"), chunked(b"one", end=False), gate, b"zz\r\nnonsense", Stall()]
    async with ScriptedUpstream(script) as upstream:
        exchange = await ask(http, upstream)
        gate.set()
        with pytest.raises(UpstreamTruncated):
            await exchange.read_all(100)
        await asyncio.wait_for(upstream.connections[0].closed.wait(), 1)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([Fin()], UpstreamTruncated),
        ([Reset()], UpstreamTruncated),
        ([b"HTTP/1.1 200 O", Fin()], UpstreamTruncated),
        ([b"SSH-2.0-OpenSSH_9.2\r\n", Fin()], UpstreamProtocol),
        ([b"\0" * 64, Fin()], UpstreamProtocol),
        ([head(200, "X-Long: " + "a" * 1_000_000), Stall()], UpstreamProtocol),
        ([head(200, *(f"X-{i}: 1" for i in range(10_000))), Stall()], UpstreamProtocol),
        ([head(200, "X-Bad: a\0b"), Stall()], UpstreamProtocol),
        ([Endless(b"HTTP/1.1 103 Early Hints\r\n\r\n")], UpstreamProtocol),
    ],
    ids=["fin", "reset", "half-head", "not-http", "nul", "long-field", "many-fields", "nul-in-field", "1xx-flood"],
)
async def test_a_bad_head_is_told_from_a_cut(http: Http, script: Script, error: type[Exception]):
    """Whatever comes in the place of a head, the request may have been taken on, and the connection is let go."""
    async with ScriptedUpstream(script) as upstream:
        with pytest.raises(error) as caught:
            await ask(http, upstream)
        assert caught.value.accepted
        await asyncio.wait_for(upstream.connections[0].closed.wait(), 1)


async def test_a_few_informational_responses_are_passed_over(http: Http):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 5
    async with ScriptedUpstream([hints, head(body="2") + b"ok"]) as upstream:
        assert await (await ask(http, upstream)).read_all(10) == b"ok"


async def test_response_headers_are_allow_listed(http: Http):
    fields = ("Set-Cookie: a=b", "X-Request-Id: r1", "Location: http://x", "Retry-After: 3", "Retry-After: 9")
    async with ScriptedUpstream([head(200, *fields, body="0"), Next()]) as upstream:
        first = await ask(http, upstream)
        await first.read_all(1)
        assert first.headers == {
            "content-type": "text/event-stream",
            "content-length": "0",
            "x-request-id": "r1",
            "location": "http://x",
            "retry-after": "3",
        }
        await (await ask(http, upstream)).read_all(1)
    assert "cookie" not in upstream.requests[1].headers


async def test_refused_and_unknown_hosts_are_unreachable(http: Http):
    async with ScriptedUpstream([Stall()]) as upstream:
        pass
    for url in (f"{upstream.url}/v1", "http://name.invalid/v1", "http://[::bad/", "ftp://127.0.0.1/"):
        with pytest.raises(UpstreamUnreachable) as caught:
            await http.request("POST", url, {"Authorization": "Bearer canary"}, b"{}")
        assert not caught.value.accepted
        assert caught.value.__cause__ is None
        assert "127.0.0.1" not in str(caught.value)


async def test_redirects_are_not_followed(http: Http):
    async with ScriptedUpstream([Stall()]) as other:
        async with ScriptedUpstream([head(307, f"Location: {other.url}/v1", body="0")]) as upstream:
            assert (await ask(http, upstream)).status == 307
        assert other.connections == []


async def test_the_environment_does_not_choose_a_proxy(http: Http, monkeypatch: pytest.MonkeyPatch):
    async with ScriptedUpstream([Stall()]) as proxy, ScriptedUpstream([head(body="0")]) as upstream:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert (await ask(http, upstream)).status == 200
        assert proxy.connections == []


async def test_a_connection_is_used_again_after_a_full_read(http: Http):
    async with ScriptedUpstream([head(body="2") + b"ok", Next()]) as upstream:
        for _ in range(3):
            exchange = await ask(http, upstream)
            await exchange.read_all(10)
            exchange.release()
            exchange.abort()
        assert len(upstream.connections) == 1
        assert len(upstream.requests) == 3


async def test_a_connection_is_not_used_again_when_it_was_left(http: Http):
    async with ScriptedUpstream([head(body="10") + b"ok", Stall()]) as upstream:
        exchange = await ask(http, upstream)
        exchange.release()
        await ask(http, upstream)
        assert len(upstream.connections) == 2


@pytest.mark.parametrize("dying", [Fin(), Reset()])
async def test_a_dead_kept_connection_is_tried_once_more(http: Http, dying: Fin | Reset):
    """Nothing of an answer was seen on a connection that was kept, so the request goes out again, on a new one."""
    good: Script = [head(body="2") + b"ok", Next()]
    async with ScriptedUpstream([good, [dying], good]) as upstream:
        await (await ask(http, upstream)).read_all(10)
        assert await (await ask(http, upstream, b"again")).read_all(10) == b"ok"
        assert [request.connection for request in upstream.requests] == [0, 0, 1]
        assert upstream.requests[2].body == b"again"


@pytest.mark.parametrize("dying", [Fin(), Reset()])
async def test_a_request_is_never_sent_a_third_time(http: Http, dying: Fin | Reset):
    good: Script = [head(body="2") + b"ok", Next()]
    async with ScriptedUpstream([good, [dying]]) as upstream:
        await (await ask(http, upstream)).read_all(10)
        with pytest.raises(UpstreamTruncated):
            await ask(http, upstream)
        assert len(upstream.requests) == 3


async def test_a_connection_that_answered_in_part_is_not_tried_again(http: Http):
    """One byte of an answer means that the request was taken on: another could bill twice."""
    for dying in (Fin(), Reset()):
        async with ScriptedUpstream([[head(body="2") + b"ok", Next()], [b"H", dying]]) as upstream:
            await (await ask(http, upstream)).read_all(10)
            with pytest.raises(UpstreamTruncated):
                await ask(http, upstream)
            assert len(upstream.requests) == 2


async def test_a_new_connection_that_breaks_is_not_tried_again(http: Http):
    async with ScriptedUpstream([Fin()]) as upstream:
        with pytest.raises(UpstreamTruncated):
            await ask(http, upstream)
        assert len(upstream.requests) == 1


async def test_abort_closes_the_socket_at_once(http: Http):
    async with ScriptedUpstream([head(body="chunked"), chunked(b"one", end=False), Stall()]) as upstream:
        exchange = await ask(http, upstream)
        assert await exchange.read_some() == b"one"
        loop = asyncio.get_running_loop()
        start = loop.time()
        exchange.abort()
        exchange.abort()
        await upstream.connections[0].closed.wait()
        assert upstream.connections[0].closed_at is not None
        assert upstream.connections[0].closed_at - start < AT_ONCE


async def test_cancelling_before_the_head_closes_the_socket(http: Http):
    async with ScriptedUpstream([Stall()]) as upstream:
        asking = asyncio.ensure_future(ask(http, upstream))
        await asyncio.wait_for(upstream.asked.wait(), 1)
        asking.cancel()
        await asyncio.wait({asking})
        await asyncio.wait_for(upstream.connections[0].closed.wait(), AT_ONCE)


async def test_an_unread_body_stops_the_sender(http: Http):
    """What nobody reads stays with the other side: no more than the buffers is taken in."""
    async with ScriptedUpstream([head(), Endless(b"x" * 65536)]) as upstream:
        exchange = await ask(http, upstream)
        await stopped(lambda: upstream.connections[0].sent)
        assert len(await exchange.read_some()) <= 4 * 65536
        exchange.abort()


@pytest.mark.slow
async def test_many_answers_are_open_at_once(http: Http):
    """There is no limit of a pool in the way."""
    async with ScriptedUpstream([head(), b"one", Stall()]) as upstream:
        exchanges = await asyncio.gather(*(ask(http, upstream) for _ in range(150)))
        assert [await exchange.read_some() for exchange in exchanges] == [b"one"] * 150
        assert upstream.open == 150
        for exchange in exchanges:
            exchange.abort()


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", zipped(b"one two three" * 9)),
        ("GZIP", zipped(b"one two three" * 4) + zipped(b"one two three" * 5)),
        ("deflate", zlib.compress(b"one two three" * 9)),
        ("deflate", _raw_deflate(b"one two three" * 9)),
    ],
    ids=["gzip", "members", "deflate", "raw-deflate"],
)
async def test_compressed_bodies_are_inflated_though_not_asked_for(http: Http, coding: str, packed: bytes):
    script: Script = [head(200, f"Content-Encoding: {coding}"), Trickle(packed, size=7)]
    async with ScriptedUpstream(script) as upstream:
        assert await (await ask(http, upstream)).read_all(1000) == b"one two three" * 9


async def test_a_compressed_stream_flows_as_it_comes(http: Http):
    packer = zlib.compressobj(wbits=31)
    gate = asyncio.Event()
    first = packer.compress(b"one") + packer.flush(zlib.Z_SYNC_FLUSH)
    script: Script = [head(200, "Content-Encoding: gzip"), first, gate, packer.compress(b"two") + packer.flush()]
    async with ScriptedUpstream(script) as upstream:
        exchange = await ask(http, upstream)
        assert await exchange.read_some() == b"one"
        gate.set()
        assert await exchange.read_all(10) == b"two"


async def test_a_bomb_comes_out_in_small_pieces(http: Http):
    bomb = zipped(bytes(50_000_000))
    async with ScriptedUpstream([head(200, "Content-Encoding: gzip"), bomb]) as upstream:
        exchange = await ask(http, upstream)
        sizes = [len(await exchange.read_some()) for _ in range(20)]
        assert max(sizes) <= 65536
        with pytest.raises(LimitExceeded):
            await exchange.read_all(1_000_000)


@pytest.mark.parametrize(
    ("coding", "packed", "error"),
    [
        ("gzip", zipped(b"x" * 5000)[:-9], UpstreamTruncated),
        ("gzip", b"plain text", UpstreamProtocol),
        ("gzip", zipped(b"x") + b"tail", UpstreamProtocol),
        ("br", b"x", UpstreamProtocol),
        ("zstd", b"x", UpstreamProtocol),
        ("gzip, gzip", zipped(zipped(b"x")), UpstreamProtocol),
    ],
)
async def test_what_cannot_be_inflated_is_an_error(http: Http, coding: str, packed: bytes, error: type[Exception]):
    async with ScriptedUpstream([head(200, f"Content-Encoding: {coding}"), packed]) as upstream:
        with pytest.raises(error):
            await (await ask(http, upstream)).read_all(100_000)


async def test_the_head_of_a_huge_body_is_enough(http: Http):
    async with ScriptedUpstream([head(500), Endless(b"x" * 65536)]) as upstream:
        exchange = await ask(http, upstream)
        assert await exchange.read_head(1000) == b"x" * 1000
        exchange.abort()


async def test_a_body_may_be_sent_as_it_comes(http: Http):
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one", b"two"):
            yield part

    async with ScriptedUpstream([head(body="0")]) as upstream:
        assert (await http.request("POST", f"{upstream.url}/v1/x", {}, parts())).status == 200
        assert upstream.requests[0].body == b"onetwo"


def test_tls_is_never_unverified():
    for change in ({"check_hostname": False}, {"check_hostname": False, "verify_mode": ssl.CERT_NONE}):
        context = ssl.create_default_context()
        for name, value in change.items():
            setattr(context, name, value)
        with pytest.raises(ConfigError):
            Http(ssl_context=context)
