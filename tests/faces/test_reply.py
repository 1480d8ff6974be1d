"""The streaming reply: what it sends, when it ends cleanly, and how it lets go of a client."""

import asyncio
import re

import pytest
from tests.faces.front import MESSAGES, Fake, frames, front, script

from headrace.errors import UpstreamTruncated
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import End, KeepAlive, chunk, finish
from headrace.wire.sse import Decoder

CHAT = {"model": "fake", "stream": True, "messages": MESSAGES}
SIMPLE = {"model": "fake", "message": "Hello"}


async def test_every_streaming_reply_says_whose_and_how():
    """Id, place and the words for proxies; ``Connection`` on HTTP/1.1 only."""
    async with front(Fake(lambda _: script("a"))) as at:
        for version, connection in (("1.1", "keep-alive"), ("2", None)):
            async with at.open("POST", "/v1/chat/completions", CHAT, http_version=version) as exchange:
                head = await exchange.head()
            id = head.headers["headrace-stream-id"]
            assert head.headers["location"] == f"/v1/chat/completions/{id}?stream=true"
            assert "no-cache" in head.headers["cache-control"]
            assert head.headers["x-accel-buffering"] == "no"
            assert "content-length" not in head.headers
            assert head.headers.get("connection") == connection


async def test_everything_that_is_there_goes_out_in_one_piece():
    """A batch of the upstream's becomes one send."""
    go = asyncio.Event()
    async with front(Fake([chunk("a"), go, [chunk(f"{n}") for n in range(50)], End("stop")])) as at:
        async with at.open("POST", "/v1/chat/completions", CHAT) as exchange:
            assert len(frames(await exchange.piece())) == 1
            go.set()
            assert len(frames(await exchange.piece())) >= 50


async def test_a_long_answer_goes_out_in_bounded_pieces():
    """No send is much over 64 KiB."""
    records = [chunk("x" * 5000) for _ in range(100)]
    async with front(Fake([records, End("stop")])) as at:
        async with at.open("POST", "/v1/chat/completions", CHAT) as exchange:
            sizes = []
            while piece := await exchange.piece():
                sizes.append(len(piece))
    assert sum(sizes) > 500_000
    assert max(sizes) <= 65_536 + 6000


async def test_the_status_waits_for_the_first_record_but_not_for_ever():
    """An SDK face holds its head back; after the gate's seconds it is 200 and keep-alives."""
    go = asyncio.Event()
    async with front(Fake([go, *script("a")])) as at:
        async with at.open("POST", "/v1/chat/completions", CHAT) as exchange:
            await at.clock.advance(4.9)
            assert exchange._head is None
            await at.clock.advance(0.2)
            assert (await exchange.head()).status == 200
            await at.clock.advance(16)
            assert exchange.waiting() == b": ping\n"
            go.set()
            assert b"[DONE]" in await exchange.rest()
            assert exchange.complete


async def test_browser_faces_have_no_gate():
    """The head and the first block are there before the model has said a word."""
    go = asyncio.Event()
    async with front(Fake([go, *script("a")])) as at:
        async with at.open("POST", "/chat", SIMPLE) as exchange:
            head = await exchange.head()
            id = head.headers["headrace-stream-id"]
            first = (await exchange.piece()).decode()
            assert re.fullmatch(rf'data: {{"content":"","done":false}}\nid: {id}:0\nretry: (\d+)\n\n', first)
            go.set()
            await exchange.rest()


@pytest.mark.parametrize(
    ("path", "body", "ping"),
    [
        ("/v1/chat/completions", CHAT, b": ping\n"),
        ("/chat", SIMPLE, b": ping\n\n"),
        ("/v1/chat/stream", SIMPLE, b": ping\n\n"),
        ("/infer", SIMPLE, b"\n"),
    ],
)
async def test_keep_alives_go_by_dialect(path, body, ping):
    """Every fifteen seconds of silence, also when the upstream shows signs of life."""
    go = asyncio.Event()
    async with front(Fake([chunk("a"), KeepAlive(), go, *script("b")])) as at:
        async with at.open("POST", path, body) as exchange:
            await exchange.piece()
            await settle()
            exchange._pieces.clear()
            await at.clock.advance(16)
            assert exchange.waiting() == ping
            await at.clock.advance(15)
            assert exchange.waiting() == ping * 2
            go.set()
            await exchange.rest()
            assert exchange.complete


async def test_a_keep_alive_stays_a_block_of_its_own_on_rejoining():
    """``retry:`` rides in the first block of data, never in a keep-alive that comes before it."""
    go = asyncio.Event()
    async with front(Fake([chunk("a"), go, *script("b")])) as at:
        async with at.open("POST", "/chat", SIMPLE) as first:
            await first.read(60)
            id = (await first.head()).headers["headrace-stream-id"]
            await settle()
            async with at.open("GET", f"/v1/streams/{id}?after=1") as again:
                await at.clock.advance(16)
                assert await again.piece() == b": ping\n\n"
                go.set()
                assert b"\nretry: " in await again.piece()


async def test_retry_is_jittered_within_its_bounds():
    """Readers who were cut together come back apart."""
    found = set()
    async with front(Fake(lambda _: script("a"))) as at:
        for _ in range(20):
            decoder = Decoder()
            decoder.feed((await at.ask("POST", "/chat", SIMPLE)).body)
            found.add(decoder.retry)
    assert len(found) > 5
    assert all(2000 <= retry <= 4000 for retry in found)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/chat/stream", "/chat"])
async def test_a_failure_that_is_told_ends_cleanly(path):
    """The dialect has said how it ended, so the body need not."""
    body = CHAT if "completions" in path else SIMPLE
    async with front(Fake([chunk("a"), UpstreamTruncated()])) as at:
        reply = await at.ask("POST", path, body)
    assert reply.complete
    assert b"[DONE]" not in reply.body
    assert b'"done":true' not in reply.body
    assert b"event: done" not in reply.body


@pytest.mark.parametrize(("path", "accept"), [("/infer", "*/*"), ("/chat", "text/plain")])
async def test_a_failure_that_cannot_be_told_ends_without_its_last_part(path, accept):
    """Bare text and NDJSON have no word for it."""
    async with front(Fake([chunk("a"), UpstreamTruncated()])) as at:
        reply = await at.ask("POST", path, SIMPLE, {"accept": accept})
    assert reply.status == 200
    assert b"a" in reply.body
    assert not reply.complete


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_client_that_leaves_is_let_go(spec_version):
    """Its reader is gone at once, in the middle of a wait and of a blocked send, whatever the server does."""
    go = asyncio.Event()
    async with front(Fake([chunk("a"), go, *script("b")]), spec_version=spec_version) as at:
        async with at.open("POST", "/chat", SIMPLE, {"headrace-on-leave": "keep"}) as exchange:
            await exchange.piece()
        assert at.registry.statistics().readers == 0
        async with at.open("GET", f"/v1/streams/{(await at.json('GET', '/v1/streams'))['data'][0]['id']}") as exchange:
            exchange.hold()
            await settle()
            assert exchange.sending == 1
        assert at.registry.statistics().readers == 0
        go.set()
        await settle()
        assert at.registry.statistics().open_streams == 0


async def test_a_client_that_takes_nothing_is_let_go_after_the_send_deadline():
    """It can rejoin; the stream and its other readers go on."""
    go = asyncio.Event()
    async with front(Fake([chunk("a"), go, *script("b")])) as at:
        body = {**CHAT}
        async with at.open("POST", "/v1/chat/completions", body) as slow, at.open("GET", "/v1/streams") as listing:
            id = (await slow.head()).headers["headrace-stream-id"]
            assert (await listing.response()).status == 200
            slow.hold()
            async with at.open("GET", f"/v1/streams/{id}") as other:
                await other.piece()
                go.set()
                assert b"[DONE]" in await other.rest()
            await settle()
            assert slow.sending == 1
            await at.clock.advance(29)
            assert not slow.done
            await at.clock.advance(2)
            assert slow.done
            assert not slow.complete


async def test_a_blocked_send_holds_one_piece_and_no_more():
    """A reader that is stalled costs one piece of memory; the answer goes on to its end without it."""
    go = asyncio.Event()
    long = [[chunk("x" * 1000) for _ in range(20)] for _ in range(100)]
    async with front(Fake([chunk("a"), go, *long, [finish()], End("stop")])) as at:
        async with at.open("POST", "/v1/chat/completions", CHAT, {"headrace-on-leave": "keep"}) as slow:
            await slow.head()
            slow.hold()
            go.set()
            while at.registry.statistics().open_streams:
                await settle()
            assert len(slow.waiting()) <= 2 * 65_536 + 2000
            (rendering,) = at.registry._renderings.values()
            assert rendering._size <= 4 * 65_536 + 2000
            slow.release()
            text = await slow.rest()
            assert slow.complete
    assert text.count(b"x" * 1000) == 2000
    assert len(frames(text)) == 2003
