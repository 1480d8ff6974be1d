"""Which connections are kept, for how long, and what goes over them."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from headrace.errors import LimitExceeded, RequestError, UpstreamTruncated, UpstreamUnreachable
from headrace.testing.scripted_upstream import Fin, Next, Reset, Script, ScriptedUpstream, Stall, chunked, head
from headrace.upstreams.http import Exchange, Http
from headrace.upstreams.http_connection import READ_BUFFER

OK: Script = [head(body="2") + b"ok", Next()]


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    http = Http()
    yield http
    await http.close()


async def ask(http: Http, server: ScriptedUpstream, method: str = "POST", path: str = "/") -> Exchange:
    return await http.request(method, server.url + path, {}, b"{}" if method == "POST" else None)


async def settled(*connections: asyncio.Event) -> None:
    """Wait until the other side has seen these closed, and this side too."""
    for closed in connections:
        await asyncio.wait_for(closed.wait(), 1)
    for _ in range(5):  # looks at its sockets, as many times
        await asyncio.sleep(0.002)


async def test_the_connection_used_last_is_used_first(http: Http):
    """What is not needed grows old and goes."""
    async with ScriptedUpstream(OK) as server:
        for exchange in await asyncio.gather(*(ask(http, server) for _ in range(3))):
            await exchange.read_all(9)
        for _ in range(3):
            await (await ask(http, server)).read_all(9)
        assert len(server.connections) == 3
        assert len({request.connection for request in server.requests[-3:]}) == 1


async def test_origins_do_not_share(http: Http):
    async with ScriptedUpstream(OK) as one, ScriptedUpstream(OK) as other:
        for server in (one, other, one, other):
            await (await ask(http, server)).read_all(9)
        assert (len(one.connections), len(other.connections)) == (1, 1)


async def test_an_idle_connection_that_closes_is_forgotten(http: Http):
    """No request is spent on finding out."""
    gate = asyncio.Event()
    async with ScriptedUpstream([[head(body="2") + b"ok", gate, Fin()], OK]) as server:
        await (await ask(http, server)).read_all(9)
        gate.set()
        await settled(server.connections[0].closed)
        await (await ask(http, server)).read_all(9)
        assert [request.connection for request in server.requests] == [0, 1]


async def test_what_comes_unasked_closes_an_idle_connection(http: Http):
    """A response that is there before its request could be taken for the next one's."""
    gate = asyncio.Event()
    forged = head(body="6") + b"forged"
    async with ScriptedUpstream([[head(body="2") + b"ok", gate, forged, Stall()], OK]) as server:
        await (await ask(http, server)).read_all(9)
        gate.set()
        await settled(server.connections[0].closed)
        assert await (await ask(http, server)).read_all(9) == b"ok"
        assert server.connections[0].left


@pytest.mark.parametrize("behind", [b"garbage", head(body="6") + b"forged"])
async def test_what_comes_behind_a_response_closes_its_connection(http: Http, behind: bytes):
    async with ScriptedUpstream([[head(body="2") + b"ok" + behind, Stall()], OK]) as server:
        assert await (await ask(http, server)).read_all(9) == b"ok"
        assert await (await ask(http, server)).read_all(9) == b"ok"
        assert len(server.connections) == 2


async def test_idle_connections_are_closed_in_time():
    http = Http(keep_idle=0.04)
    async with ScriptedUpstream(OK) as server:
        await (await ask(http, server)).read_all(9)
        await settled(server.connections[0].closed)
        assert server.connections[0].left
        await (await ask(http, server)).read_all(9)
        assert len(server.connections) == 2
        await http.close()


async def test_a_young_connection_outlives_the_sweep(http: Http):
    async with ScriptedUpstream(OK) as server:
        await (await ask(http, server)).read_all(9)
        http._sweep()
        await (await ask(http, server)).read_all(9)
        assert len(server.connections) == 1


async def test_abort_resets_what_has_not_ended(http: Http):
    """The other side learns of it with its next write, not when its buffers are full."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        asking = asyncio.ensure_future(http.request("GET", f"http://127.0.0.1:{server.getsockname()[1]}/", {}))
        peer, _ = await loop.sock_accept(server)
        with peer:
            assert await loop.sock_recv(peer, 9999)
            await loop.sock_sendall(peer, b"HTTP/1.1 200 OK\r\n\r\nsome")
            (await asking).abort()
            with pytest.raises(ConnectionResetError):
                await loop.sock_recv(peer, 9)


async def test_a_body_larger_than_the_buffer_comes_whole(http: Http):
    """Reading stops when the buffer is full, and goes on when it was taken."""
    size = 40 * READ_BUFFER
    async with ScriptedUpstream([head(body=str(size)) + bytes(size), Next()]) as server:
        for _ in range(2):
            exchange = await ask(http, server)
            await asyncio.sleep(0.01)
            assert len(await exchange.read_all(size)) == size
        assert len(server.connections) == 1


async def test_a_body_that_nobody_read_still_gives_its_connection_back(http: Http):
    """It has come to its end; whether somebody looks at it is another matter."""
    async with ScriptedUpstream(OK) as server:
        exchange = await ask(http, server)
        exchange.release()
        exchange.abort()
        second = await ask(http, server)
        exchange.abort()
        assert await second.read_all(9) == b"ok"
        assert await exchange.read_all(9) == b"ok"
        assert len(server.connections) == 1


async def test_an_end_that_comes_late_is_waited_for(http: Http):
    """Of a stream whose own end was read only the zero chunk is missing: its connection is worth a moment."""
    gate = asyncio.Event()
    late: Script = [head(body="chunked") + chunked(b"one", end=False), gate, b"0\r\n\r\n", Next()]
    async with ScriptedUpstream([late, OK]) as server:
        exchange = await ask(http, server)
        assert await exchange.read_some() == b"one"
        exchange.release(5.0)
        gate.set()
        await exchange.wait()
        await (await ask(http, server)).read_all(9)
        assert len(server.connections) == 1


async def test_patience_has_an_end(http: Http):
    async with ScriptedUpstream([head(body="chunked") + chunked(b"one", end=False), Stall()]) as server:
        exchange = await ask(http, server)
        exchange.release(0.01)
        await settled(server.connections[0].closed)
        assert server.connections[0].left


@pytest.mark.parametrize(
    ("method", "script"),
    [
        ("GET", [b"HTTP/1.1 204 No Content\r\n\r\n", Next()]),
        ("GET", [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Next()]),
        ("DELETE", [head(body="0"), Next()]),
    ],
)
async def test_a_response_without_a_body_is_over_with_its_head(http: Http, method: str, script: Script):
    async with ScriptedUpstream(script) as server:
        for _ in range(2):
            assert await (await ask(http, server, method)).read_all(9) == b""
        assert len(server.connections) == 1


async def test_a_head_request_does_not_wait_for_a_body(http: Http):
    async with ScriptedUpstream([head(body="5"), Next()]) as server:
        exchange = await ask(http, server, "HEAD")
        assert await exchange.read_all(9) == b""
        assert exchange.headers["content-length"] == "5"


async def test_closing_the_pool_cuts_what_is_in_use():
    http = Http()
    async with ScriptedUpstream([head(), b"one", Stall()]) as server:
        exchange = await ask(http, server)
        assert await exchange.read_some() == b"one"
        reading = asyncio.ensure_future(exchange.read_some())
        await asyncio.sleep(0)
        await http.close()
        with pytest.raises(UpstreamTruncated):
            await reading
        await settled(server.connections[0].closed)


async def test_a_connection_is_gone_whatever_its_listener_does(http: Http):
    """Who is told of a reset and fails leaves nothing behind, for which closing the pool would wait."""

    def news() -> None:
        raise ZeroDivisionError

    failed = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda *_: failed.set())
    cut = asyncio.Event()
    async with ScriptedUpstream([head(body="9") + b"begun", cut, Reset()]) as server:
        exchange = await ask(http, server)
        assert await exchange.read_some() == b"begun"
        exchange.listen(news)
        cut.set()
        await asyncio.wait_for(failed.wait(), 5)
        assert not http._all
        await asyncio.wait_for(http.close(), 5)


async def test_cancelling_a_read_leaves_the_exchange_as_it_was(http: Http):
    gate = asyncio.Event()
    async with ScriptedUpstream([head(body="5"), gate, b"hello", Next()]) as server:
        exchange = await ask(http, server)
        reading = asyncio.ensure_future(exchange.read_some())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait({reading})
        gate.set()
        assert await exchange.read_all(9) == b"hello"


async def test_connecting_has_a_deadline_of_its_own():
    """A host whose queue is full neither takes a connection nor refuses it. Another upstream may be asked."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as deaf,
        socket.create_connection(deaf.getsockname()),
        socket.socket() as second,
    ):
        second.setblocking(False)
        second.connect_ex(deaf.getsockname())
        http = Http(connect=0.05)
        with pytest.raises(UpstreamUnreachable) as caught:
            await http.request("POST", f"http://127.0.0.1:{deaf.getsockname()[1]}/", {}, b"{}")
        assert not caught.value.accepted
        await http.close()


class Parts:
    """A body that streams, and may break off."""

    def __init__(self, *parts: bytes | Exception | asyncio.Event) -> None:
        self.parts = parts
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for part in self.parts:
                if isinstance(part, Exception):
                    raise part
                if isinstance(part, asyncio.Event):
                    await part.wait()
                else:
                    yield part
        finally:
            self.closed = True


@pytest.mark.parametrize("length", ["", "6"])
async def test_a_streamed_body_comes_whole(http: Http, length: str):
    async with ScriptedUpstream(OK) as server:
        headers = {"Content-Length": length} if length else {}
        for _ in range(2):
            exchange = await http.request("POST", server.url, headers, Parts(b"one", b"", b"two"))
            assert await exchange.read_all(9) == b"ok"
        assert [request.body for request in server.requests] == [b"onetwo"] * 2
        assert ("content-length" in server.requests[0].headers) is bool(length)


async def test_a_body_that_cannot_be_sent_again_goes_over_a_new_connection(http: Http):
    """A kept one may turn out to be dead, and then it would be gone."""
    async with ScriptedUpstream([OK, [Fin()], OK]) as server:
        await (await ask(http, server)).read_all(9)
        with pytest.raises(UpstreamTruncated):
            await http.request("POST", server.url, {}, Parts(b"one"))
        assert [request.connection for request in server.requests] == [0, 1]


@pytest.mark.parametrize(
    ("parts", "length", "error"),
    [
        ([b"one", LimitExceeded()], "", LimitExceeded),
        ([b"one", ValueError("canary")], "", UpstreamTruncated),
        ([b"one"], "4", RequestError),
        ([b"one", b"two"], "4", RequestError),
    ],
    ids=["ours", "foreign", "short", "long"],
)
async def test_a_body_that_breaks_off_is_not_taken_for_a_whole_one(
    http: Http, parts: list[bytes | Exception], length: str, error: type[Exception]
):
    async with ScriptedUpstream(OK) as server:
        with pytest.raises(error) as caught:
            await http.request("POST", server.url, {"content-length": length} if length else {}, Parts(*parts))
        assert "canary" not in f"{caught.value!r}{caught.value.__cause__}"
        await settled(server.connections[0].closed)
        assert server.requests == []


async def test_a_refusal_may_come_before_the_body_has_gone(http: Http):
    """The rest is not sent, what produces it is closed, and the connection is not used again."""
    body = Parts(b"one", asyncio.Event(), b"two")
    early = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        loop = asyncio.get_running_loop()
        asking = asyncio.ensure_future(http.request("POST", f"http://127.0.0.1:{server.getsockname()[1]}/", {}, body))
        peer, _ = await loop.sock_accept(server)
        with peer:
            assert await loop.sock_recv(peer, 9999)
            await loop.sock_sendall(peer, early)
            exchange = await asking
            assert (exchange.status, await exchange.read_all(9)) == (413, b"no")
            while await loop.sock_recv(peer, 9999):
                pass
    assert body.closed
