"""HTTP/1.1 on real sockets: bounds and deadlines of heads, the order of answers, and how bodies end."""

import asyncio
import contextlib
import gc
import logging
import socket
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from headrace.app import create_app
from headrace.config import Settings, Store, Upstream
from headrace.serving import connection, http1
from headrace.serving.connection import WAITING, Connection, reset_on_close
from headrace.serving.http1 import Http1Listener
from headrace.serving.sockets import HEAD_BYTES, HEAD_TIMEOUT

PATIENCE = 10.0


class App:
    """Answers by path. What is detached is kept, for a test to write."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.read: list[bytes] = []
        self.wires: list[Connection] = []
        self.readied = 0
        self.lost = 0
        self.gone = 0
        self.go = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        self.asked.append(scope["path"])
        await getattr(self, scope["path"].strip("/"))(scope, receive, send)

    async def _start(self, send, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})

    async def whole(self, scope, receive, send, text: bytes = b"whole") -> None:
        await self._start(send, 200, (b"content-length", b"%d" % len(text)))
        await send({"type": "http.response.body", "body": text})

    async def large(self, scope, receive, send) -> None:
        """More than the kernel takes for a client that reads nothing."""
        await self.whole(scope, receive, send, b"x" * (16 << 20))

    async def unknown(self, scope, receive, send) -> None:
        """A body without a length."""
        await self._start(send)
        for piece in (b"one ", b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async def cut(self, scope, receive, send) -> None:
        await self._start(send)
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})

    async def fields(self, scope, receive, send) -> None:
        """Says how the head's fields are called, once the body has come."""
        while (await receive())["more_body"]:
            pass
        await self.whole(scope, receive, send, b" ".join(name for name, _ in scope["headers"]))

    async def failing(self, scope, receive, send) -> None:
        raise ValueError("canary")

    async def failing_later(self, scope, receive, send) -> None:
        await self.cut(scope, receive, send)
        raise ValueError("canary")

    async def refusing(self, scope, receive, send) -> None:
        """Ends the connection, whatever is on its way."""
        await self._start(send, 413, (b"content-length", b"8"), (b"connection", b"close"))
        await send({"type": "http.response.body", "body": b"too much"})

    async def nothing(self, scope, receive, send) -> None:
        await self._start(send, 204)
        await send({"type": "http.response.body"})

    async def unchanged(self, scope, receive, send) -> None:
        await self._start(send, 304)
        await send({"type": "http.response.body"})

    async def waits(self, scope, receive, send) -> None:
        """Until it may, or the client has left."""
        going = asyncio.create_task(self.go.wait())
        leaving = asyncio.create_task(self._left(receive))
        await asyncio.wait([going, leaving], return_when=asyncio.FIRST_COMPLETED)
        self.gone += leaving.done()
        for task in (going, leaving):
            task.cancel()
        await self.whole(scope, receive, send)

    async def _left(self, receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def detached(self, scope, receive, send) -> None:
        await self._start(send)
        wire = scope["headrace.detach"](self._ready, self._lost)
        if wire is None:
            await send({"type": "http.response.body", "body": b"kept"})
            return
        self.wires.append(wire)

    def _ready(self) -> None:
        self.readied += 1

    def _lost(self) -> None:
        self.lost += 1

    async def body(self, scope, receive, send) -> None:
        """Reads the request's slowly, and says how long it was."""
        size = 0
        while True:
            message = await receive()
            size += len(message["body"])
            for _ in range(3):
                await asyncio.sleep(0)
            if not message["more_body"]:
                break
        await self.whole(scope, receive, send, b"%d" % size)


class Served:
    """A listener, and what serves it."""

    def __init__(self, app: Any, connections: int) -> None:
        self.app = app
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.setblocking(False)
        self.port = self.listening.getsockname()[1]
        self.listener = Http1Listener(app, self.listening, connections)
        self.serving = asyncio.create_task(self.listener.serve())

    @property
    def connections(self) -> set[Connection]:
        return self.listener._state.connections  # type: ignore[return-value]

    def tick(self, seconds: float) -> None:
        """As it is after so many seconds."""
        for one in tuple(self.connections):
            one.tick(asyncio.get_running_loop().time() + seconds)

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():  # noqa: ASYNC110 - it is sockets that bring it about
                await asyncio.sleep(0.001)


@asynccontextmanager
async def served(app: Any = None, connections: int = 100) -> AsyncIterator[Served]:
    at = Served(app or App(), connections)
    try:
        yield at
    finally:
        at.serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await at.serving
        at.listening.close()
        await at.until(lambda: not at.connections)
        await asyncio.gather(*at.listener._state.tasks, return_exceptions=True)


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    def ask(self, path: str, method: str = "GET", version: str = "1.1", *more: str, body: bytes = b"") -> None:
        lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *more, "", ""]
        self.say("\r\n".join(lines).encode() + body)

    async def reply(self) -> tuple[int, dict[str, str]]:
        """Status and headers."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *fields = head.rstrip("\r\n").split("\r\n")
        pairs = [field.split(": ", 1) for field in fields]
        assert len({name for name, _ in pairs}) == len(pairs)
        return int(first.split()[1]), dict(pairs)

    async def exactly(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            assert await self.reader.readexactly(len(data)) == data

    async def rest(self) -> bytes:
        """What comes before the end of the connection."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def is_reset(self) -> bool:
        try:
            await self.rest()
        except ConnectionResetError:
            return True
        return False

    async def closed(self) -> None:
        assert await self.rest() == b""


@asynccontextmanager
async def client(at: Served, *, buffer: int = 0) -> AsyncIterator[Client]:
    made = socket.socket()
    if buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    made.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", at.port))
    except OSError:
        made.close()
        raise
    reader, writer = await asyncio.open_connection(sock=made, limit=1 << 16)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


# -- heads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [b"", b"GET / HT"], ids=["nothing", "half a head"])
async def test_a_head_that_does_not_come_is_a_408(begun) -> None:
    """In its time, and not before."""
    async with served() as at, client(at) as one:
        one.say(begun)
        await at.until(lambda: at.connections and {c._head for c in at.connections} == {len(begun)})
        at.tick(HEAD_TIMEOUT - 2)
        assert not next(iter(at.connections)).transport.is_closing()
        at.tick(HEAD_TIMEOUT)
        status, headers = await one.reply()
        assert (status, headers["content-length"], headers["connection"]) == (408, "0", "close")
        await one.closed()
        assert not at.app.asked


async def test_the_time_is_for_each_head_and_looked_at_by_itself(monkeypatch) -> None:
    """A trickle does not lengthen it; between two requests none runs, nor for a request's body."""
    monkeypatch.setattr(http1, "TICK", 0.02)
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 0.3)
    async with served() as at, client(at) as idle, client(at) as body, client(at) as trickle:
        idle.ask("/whole")
        assert (await idle.reply())[0] == 200
        await idle.exactly(b"whole")
        body.ask("/body", "POST", "1.1", "Content-Length: 3")
        await trickled(trickle, b"GET /whole HTTP/1.1\r\n" + 100 * b"X: y\r\n")
        idle.ask("/whole")
        assert (await idle.reply())[0] == 200
        body.say(b"abc")
        assert (await body.reply())[0] == 200


async def trickled(one: Client, head: bytes) -> None:
    """Sends it slowly, until it is told of its time."""
    reply = asyncio.create_task(one.reply())
    for letter in head:
        one.say(bytes([letter]))
        if (await asyncio.wait([reply], timeout=0.03))[0]:
            break
    assert (await reply)[0] == 408


async def test_a_head_behind_an_answer_has_time_until_that_has_ended() -> None:
    """Whoever sends a line too many, or begins to ask, is not cut in the middle of what it reads."""
    async with served() as at, client(at) as one:
        one.ask("/detached")
        await one.reply()
        one.say(b"\r\n")
        await at.until(lambda: {c._head for c in at.connections} == {2})
        at.tick(HEAD_TIMEOUT)
        [wire] = at.app.wires
        wire.write(b"abc")
        wire.end()
        await one.exactly(b"3\r\nabc\r\n0\r\n\r\n")
        at.tick(3 * HEAD_TIMEOUT)
        assert (await one.reply())[0] == 408


async def test_a_connection_keeps_no_large_dictionary() -> None:
    """CPython's objects of a class share their keys up to 29; one more is 1.3 KB for each connection."""
    async with served() as at, client(at) as one:
        one.ask("/detached")
        await one.reply()
        [connection] = at.connections
        assert len(vars(connection)) <= 29
        at.app.wires[0].end()


async def test_an_endless_head_is_a_431() -> None:
    """One over many lines, and one in a single one; what is held of it is bounded."""
    for line in (b"X: y\r\n" * 1000, b"z" * 6000):
        async with served() as at, client(at) as one:
            one.say(b"GET /whole HTTP/1.1\r\n")
            with contextlib.suppress(OSError):
                for _ in range(2 * HEAD_BYTES // len(line)):
                    one.say(line)
                    await one.writer.drain()
            with contextlib.suppress(ConnectionResetError):  # what is left of it has not been read
                assert (await one.reply())[0] == 431
            await at.until(lambda at=at: not at.connections)
            assert not at.app.asked


async def test_a_large_head_and_a_long_body_are_taken() -> None:
    """The bound is for a head alone, and each has its own."""
    async with served() as at, client(at) as one:
        for _ in range(3):
            one.ask("/whole", "GET", "1.1", "X: " + "y" * (HEAD_BYTES // 2))
            assert (await one.reply())[0] == 200
            await one.exactly(b"whole")
        one.ask("/body", "POST", "1.1", f"Content-Length: {4 * HEAD_BYTES}", body=b"x" * 4 * HEAD_BYTES)
        assert (await one.reply())[0] == 200


async def test_what_is_no_http_is_a_400() -> None:
    """And where an answer is under way, its connection ends: the words of it would be part of that."""
    async with served() as at, client(at) as one, client(at) as other:
        one.say(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert (await one.reply())[0] == 400
        other.ask("/detached")
        await other.reply()
        await at.until(lambda: at.app.wires)
        at.app.wires[0].write(b"abc")
        other.say(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert await other.rest() == b"3\r\nabc\r\n"
        assert at.app.lost == 1


async def test_more_connections_than_may_be_are_told_so() -> None:
    """So many are served, the next gets a 503 before it has asked, and one less makes room."""
    async with served(connections=2) as at, client(at) as first:
        async with client(at) as second:
            for number, one in enumerate((first, second), 1):
                one.ask("/detached")
                await one.reply()
                await at.until(lambda number=number: len(at.app.wires) == number)
            async with client(at) as third:
                status, headers = await third.reply()
                assert (status, headers["connection"], headers["retry-after"]) == (503, "close", "1")
                assert await third.rest() == b""
        await at.until(lambda: len(at.connections) == 1)
        async with client(at) as third:
            third.ask("/whole")
            assert (await third.reply())[0] == 200
        assert at.app.asked == ["/detached", "/detached", "/whole"]


@pytest.mark.parametrize("silent", [True, False])
async def test_who_is_idle_longest_makes_room(silent) -> None:
    """Whether it has asked before or never: nothing is lost by closing it. Who is being answered stays."""
    async with served(connections=3) as at, client(at) as busy:
        busy.ask("/detached")
        await busy.reply()
        async with client(at) as longest, client(at) as shorter:
            await at.until(lambda: len(at.connections) == 3)
            for one in () if silent else (longest, shorter):
                one.ask("/whole")
                await one.reply()
                await one.exactly(b"whole")
            async with client(at) as newest:
                newest.ask("/whole")
                assert (await newest.reply())[0] == 200
                await newest.exactly(b"whole")
                await longest.closed()
                shorter.ask("/whole")
                assert (await shorter.reply())[0] == 200
        at.app.wires[0].write(b"abc")
        at.app.wires[0].end()
        assert await busy.exactly(b"3\r\nabc\r\n0\r\n\r\n") is None
    assert (at.listener._room._taken, at.listener._room._resting) == (0, {})


# -- answers and their order -----------------------------------------------------------------------------------------


async def test_a_connection_serves_one_request_after_the_other() -> None:
    """Of known and of unknown length."""
    async with served() as at, client(at) as one:
        for _ in range(3):
            one.ask("/whole")
            status, headers = await one.reply()
            assert (status, headers.get("connection")) == (200, None)
            await one.exactly(b"whole")
            one.ask("/unknown")
            assert (await one.reply())[1]["transfer-encoding"] == "chunked"
            await one.exactly(b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n")
        one.ask("/whole", "GET", "1.1", "Connection: close")
        assert (await one.reply())[1]["connection"] == "close"
        assert await one.rest() == b"whole"


@pytest.mark.parametrize("together", [True, False], ids=["at once", "one by one"])
async def test_pipelined_requests_are_answered_in_their_order(together) -> None:
    """Also where the body of one before them was detached: they wait for its end."""
    async with served() as at, client(at) as one:
        for path in ("/detached", "/whole", "/detached", "/unknown"):
            one.ask(path)
            if not together:
                await one.writer.drain()
                await at.until(lambda path=path: path != "/detached" or at.app.wires)
                await asyncio.sleep(0.01)
        for number in (1, 2):
            assert (await one.reply())[1]["transfer-encoding"] == "chunked"
            await at.until(lambda number=number: len(at.app.wires) == number)
            await asyncio.sleep(0.01)
            assert len(at.app.asked) == 2 * number - 1
            wire = at.app.wires[-1]
            wire.write(b"abc")
            wire.end()
            await one.exactly(b"3\r\nabc\r\n0\r\n\r\n")
            await one.reply()
            await one.exactly(b"whole" if number == 1 else b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n")
        assert at.app.asked == ["/detached", "/whole", "/detached", "/unknown"]
        assert at.app.lost == 0


async def test_no_more_requests_are_taken_than_may_wait() -> None:
    """The last that is taken is told so; the answers are whole, and who asked for more asks again."""
    async with served() as at, client(at) as one:
        one.ask("/detached")
        await one.reply()
        for _ in range(50):
            one.say(b"GET /whole HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        await at.until(lambda: next(iter(at.connections))._deaf)
        [wire] = at.app.wires
        assert len(wire.pipeline) == WAITING
        wire.end()
        await one.exactly(b"0\r\n\r\n")
        for number in range(1, WAITING + 1):
            status, headers = await one.reply()
            assert (status, headers.get("connection")) == (200, "close" if number == WAITING else None)
            await one.exactly(b"whole")
        await at.until(lambda: not at.connections)
        assert at.app.asked == ["/detached"] + ["/whole"] * WAITING


@pytest.mark.parametrize("path", ["/waits", "/detached"])
async def test_who_leaves_with_requests_behind_is_seen(path) -> None:
    """It is the answer under way that is told, and not the request that was read last."""
    async with served() as at:
        async with client(at) as one:
            one.ask(path)
            one.ask("/whole")
            await one.writer.drain()
            await at.until(lambda: at.app.asked)
            await asyncio.sleep(0.01)

        def told() -> int:
            # Nothing is read behind a request that waits, so that a wire hears of it by what is written.
            for wire in at.app.wires if not at.app.lost else ():
                wire.write(b"x")
            return at.app.gone + at.app.lost

        await at.until(told)
        assert at.app.asked == [path]
        assert at.app.gone + at.app.lost == 1


async def test_replies_without_a_body_have_none() -> None:
    """To HEAD, 204 and 304; the connection goes on, and nothing can be detached."""
    async with served() as at, client(at) as one:
        for path, method, status in (
            ("/whole", "HEAD", 200),
            ("/unknown", "HEAD", 200),
            ("/detached", "HEAD", 200),
            ("/nothing", "GET", 204),
            ("/unchanged", "GET", 304),
        ):
            one.ask(path, method)
            found, headers = await one.reply()
            assert (found, "transfer-encoding" in headers) == (status, False)
        one.ask("/whole")
        assert (await one.reply())[0] == 200
        await one.exactly(b"whole")
        assert not at.app.wires


async def test_an_unfinished_reply_has_no_last_chunk() -> None:
    """Of an app that returns early, or fails; what it fails with is told to nobody."""
    async with served() as at:
        for path in ("/cut", "/failing_later"):
            async with client(at) as one:
                one.ask(path)
                assert (await one.reply())[0] == 200
                assert await one.rest() == b"5\r\nbegun\r\n"


async def test_a_client_is_told_to_send_its_body() -> None:
    """Once the app asks for it."""
    async with served() as at, client(at) as one:
        one.ask("/body", "POST", "1.1", "Content-Length: 3", "Expect: 100-continue")
        assert (await one.reply())[0] == 100
        one.say(b"abc")
        assert (await one.reply())[0] == 200
        await one.exactly(b"3")


async def test_a_body_is_taken_as_fast_as_the_app_reads() -> None:
    """Larger than all buffers."""
    size = 8 << 20
    async with served() as at, client(at) as one:
        one.ask("/body", "POST", "1.1", f"Content-Length: {size}")
        for _ in range(size >> 16):
            one.say(b"x" * (1 << 16))
            await one.writer.drain()
        assert (await one.reply())[0] == 200
        await one.exactly(b"%d" % size)


async def test_a_body_that_nobody_reads_is_held_within_bounds() -> None:
    """Behind a reply that was detached too."""
    async with served() as at, client(at) as one:
        one.ask("/detached", "POST", "1.1", f"Content-Length: {8 << 20}")
        await one.reply()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    one.say(b"x" * (1 << 16))
                    await one.writer.drain()
        [held] = at.connections
        assert len(held.cycle.body) < 1 << 20


@pytest.mark.parametrize("together", [True, False], ids=["at once", "piece by piece"])
async def test_a_request_that_offers_another_protocol_is_answered_in_this_one(together) -> None:
    """With its body, and those behind it: Java's client offers HTTP/2 with whatever it asks first."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB")
    pieces = [b"abc", b"GET /whole HTTP/1.1\r\nHost: localhost\r\n\r\n"]
    async with served() as at, client(at) as one:
        for _ in range(2):
            one.ask("/body", "POST", "1.1", "Content-Length: 3", *offer, body=b"".join(pieces) if together else b"")
            for piece in () if together else pieces:
                await one.writer.drain()
                await asyncio.sleep(0.02)
                one.say(piece)
            assert (await one.reply())[0] == 200
            await one.exactly(b"3")
            assert (await one.reply())[0] == 200
            await one.exactly(b"whole")
        one.ask("/whole", "GET", "1.1", *offer)
        assert (await one.reply())[0] == 200
        assert at.app.asked == ["/body", "/whole"] * 2 + ["/whole"]


async def test_fields_behind_a_body_are_none_of_its_head() -> None:
    """Who checks heads in front of us has not seen them."""
    body = b"3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\nCookie: y\r\n\r\n"
    async with served() as at, client(at) as one:
        for _ in range(2):
            one.ask("/fields", "POST", "1.1", "Transfer-Encoding: chunked", body=body)
            assert (await one.reply())[0] == 200
            await one.exactly(b"host transfer-encoding")


@pytest.mark.parametrize("path", ["/whole", "/body"])
@pytest.mark.parametrize("piece", [b"X: y\r\n" * 1000, b"z" * 6000], ids=["lines", "one line"])
async def test_endless_fields_behind_a_body_end_the_connection(path, piece) -> None:
    """Whether the answer was there before them or not."""
    async with served() as at, client(at) as one:
        one.ask(path, "POST", "1.1", "Transfer-Encoding: chunked", body=b"0\r\n")
        await at.until(lambda: at.app.asked)
        with contextlib.suppress(OSError):
            for _ in range(3 * HEAD_BYTES // len(piece)):
                one.say(piece)
                await one.writer.drain()
        await at.until(lambda: not at.connections)


async def test_a_body_that_outlasts_its_answer_has_a_while_to_end() -> None:
    """It is read to its end, and a request may follow; but not for ever, and no words come behind the answer."""
    async with served() as at, client(at) as one, client(at) as other:
        for each in (one, other):
            each.ask("/whole", "POST", "1.1", "Content-Length: 3", body=b"a")
            assert (await each.reply())[0] == 200
            await each.exactly(b"whole")
        one.say(b"bc")
        other.say(b"b")
        await at.until(lambda: sorted(connection._head for connection in at.connections) == [-1, 0])
        at.tick(HEAD_TIMEOUT - 1)
        one.ask("/whole")
        assert (await one.reply())[0] == 200
        await one.exactly(b"whole")
        at.tick(HEAD_TIMEOUT)
        await other.closed()
        assert len(at.connections) == 1


async def test_a_refusal_reaches_a_client_that_goes_on_sending() -> None:
    """A close would reset the connection, and the refusal with it. What is sent behind that is no request."""
    size = 64 << 20
    async with served() as at, client(at) as one:
        one.ask("/refusing", "POST", "1.1", f"Content-Length: {size}")
        for _ in range(size >> 20):
            one.say(b"x" * (1 << 20))
            await one.writer.drain()
        one.ask("/whole")
        status, headers = await one.reply()
        assert (status, headers["connection"]) == (413, "close")
        assert await one.rest() == b"too much"
        assert len(at.connections) == 1
        one.writer.close()
        await at.until(lambda: not at.connections)
        assert at.app.asked == ["/refusing"]


async def test_a_refused_client_has_a_while_to_leave() -> None:
    async with served() as at, client(at) as one:
        one.ask("/refusing", "POST", "1.1", "Content-Length: 9", body=b"x")
        assert (await one.reply())[0] == 413
        assert await one.rest() == b"too much"
        at.tick(HEAD_TIMEOUT - 1)
        assert not next(iter(at.connections)).transport.is_closing()
        at.tick(HEAD_TIMEOUT)
        await at.until(lambda: not at.connections)


async def test_who_does_not_take_an_answer_makes_no_room() -> None:
    """Its end would last as long as it likes, and with it more connections than may be."""
    async with served(connections=2) as at, client(at, buffer=4096) as slow, client(at) as idle:
        slow.ask("/large")
        await at.until(lambda: any(c._answered and c._answered.response_complete for c in at.connections))
        async with client(at) as third:
            third.ask("/whole")
            assert (await third.reply())[0] == 200
            await third.exactly(b"whole")
            await idle.closed()
            third.ask("/detached")
            await third.reply()
            async with client(at) as fourth:
                assert (await fourth.reply())[0] == 503
        assert len(at.connections) <= 2
        await slow.reply()
        await slow.exactly(b"x" * 1000)


async def test_an_answer_behind_a_body_that_outlasted_another_is_under_way() -> None:
    """Nobody else is given its room, though its head came with the end of that body."""
    async with served(connections=1) as at, client(at) as one:
        one.ask("/whole", "POST", "1.1", "Content-Length: 3", body=b"a")
        assert (await one.reply())[0] == 200
        await one.exactly(b"whole")
        one.say(b"bcGET /detached HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await one.reply())[0] == 200
        async with client(at) as other:
            assert (await other.reply())[0] == 503
        at.app.wires[0].end()
        await one.exactly(b"0\r\n\r\n")


# -- what is detached ------------------------------------------------------------------------------------------------


async def test_a_wire_is_full_until_its_client_takes_something() -> None:
    """Then whoever has it is told."""
    async with served() as at, client(at, buffer=4096) as one:
        one.ask("/detached")
        await one.reply()
        await at.until(lambda: at.app.wires)
        [wire] = at.app.wires
        sent = 0
        while not wire.full:
            wire.write(b"x" * 16_000)
            sent += 1
            assert sent < 1_000
            await asyncio.sleep(0)
        assert wire.transport.get_write_buffer_size() <= 2 * 16_020
        assert at.app.readied == 0
        await one.exactly((b"3e80\r\n" + b"x" * 16_000 + b"\r\n") * sent)
        await at.until(lambda: at.app.readied)
        assert not wire.full
        wire.end()
        await one.exactly(b"0\r\n\r\n")
        assert at.app.lost == 0


async def test_a_client_that_leaves_is_told_of_once() -> None:
    """In the middle of a body, whatever is called after that."""
    async with served() as at:
        async with client(at) as one:
            one.ask("/detached")
            await one.reply()
            await at.until(lambda: at.app.wires)
            [wire] = at.app.wires
            wire.write(b"abc")
        await at.until(lambda: at.app.lost)
        await at.until(lambda: not at.connections)
        assert (at.app.lost, at.app.readied) == (1, 0)


async def test_a_cut_is_told_to_nobody_but_the_client() -> None:
    """No last chunk; whoever has cut it knows."""
    async with served() as at, client(at) as one:
        one.ask("/detached")
        await one.reply()
        await at.until(lambda: at.app.wires)
        at.app.wires[0].write(b"abc")
        at.app.wires[0].cut()
        assert await one.rest() == b"3\r\nabc\r\n"
        await at.until(lambda: not at.connections)
        assert at.app.lost == 0


# -- HTTP/1.0 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [(), ("Connection: keep-alive",)], ids=["plain", "keep-alive"])
async def test_a_client_of_http10_is_sent_no_chunks(keep) -> None:
    """RFC 9112, 6.1: a body of unknown length ends with the connection."""
    async with served() as at:
        for path, body in (("/unknown", b"one two"), ("/whole", b"whole")):
            async with client(at) as one:
                one.ask(path, "GET", "1.0", *keep)
                status, headers = await one.reply()
                assert (status, headers["connection"]) == (200, "close")
                assert "transfer-encoding" not in headers
                assert ("content-length" in headers) == (path == "/whole")
                assert await one.rest() == body


async def test_a_detached_body_in_http10() -> None:
    """The same; its end is the connection's."""
    async with served() as at, client(at) as one:
        one.ask("/detached", "GET", "1.0")
        assert "transfer-encoding" not in (await one.reply())[1]
        await at.until(lambda: at.app.wires)
        [wire] = at.app.wires
        wire.write(b"abc")
        wire.write(b"def")
        wire.end()
        assert await one.rest() == b"abcdef"
        assert at.app.lost == 0


@pytest.mark.parametrize("path", ["/cut", "/failing_later", "/detached"])
async def test_an_unfinished_body_in_http10_ends_with_a_reset(path) -> None:
    """Else it would look finished."""
    async with served() as at, client(at) as one:
        one.ask(path, "GET", "1.0")
        await one.reply()
        if path == "/detached":
            await at.until(lambda: at.app.wires)
            at.app.wires[0].write(b"begun")
            await one.exactly(b"begun")
            at.app.wires[0].cut()
        assert await one.is_reset()


async def test_replies_without_a_body_in_http10() -> None:
    async with served() as at:
        for path, method, status in (("/unknown", "HEAD", 200), ("/detached", "HEAD", 200), ("/nothing", "GET", 204)):
            async with client(at) as one:
                one.ask(path, method, "1.0")
                found, headers = await one.reply()
                assert (found, "transfer-encoding" in headers) == (status, False)
                await one.closed()
        assert not at.app.wires


async def test_our_own_app_in_http10_and_http11() -> None:
    """A streaming reply: the same bytes, in chunks and without."""
    made = Settings(store=Store(data="memory:"), upstreams={"demo": Upstream(kind="demo")})
    app = create_app(made)
    body = b'{"model":"demo/counter","max_tokens":3,"stream":true,"messages":[{"role":"user","content":"x"}]}'
    async with app.router.lifespan_context(app), served(app) as at:
        found = {}
        for version in ("1.0", "1.1"):
            async with client(at) as one:
                one.ask(
                    "/v1/chat/completions",
                    "POST",
                    version,
                    f"Content-Length: {len(body)}",
                    body=body,
                )
                status, headers = await one.reply()
                assert status == 200
                assert headers["connection"] == ("close" if version == "1.0" else "keep-alive")
                assert headers.get("transfer-encoding") == (None if version == "1.0" else "chunked")
                if version == "1.0":
                    found[version] = await one.rest()
                else:
                    async with asyncio.timeout(PATIENCE):
                        found[version] = await one.reader.readuntil(b"\r\n0\r\n\r\n")
        assert b"data: [DONE]\n" in found["1.0"][-60:], found["1.0"][-80:]
        assert b"data: [DONE]\n" in found["1.1"][-80:], found["1.1"][-80:]


async def test_a_connection_that_was_reset_is_let_go_at_once() -> None:
    """And not when it would have been idle for too long."""
    async with served() as at:
        async with client(at) as one:
            one.ask("/whole")
            assert (await one.reply())[0] == 200
            await one.exactly(b"whole")
            [held] = map(weakref.ref, at.connections)
            reset_on_close(one.writer.transport)
        await at.until(lambda: not at.connections)
        gc.collect()
        assert held() is None


# -- the end ---------------------------------------------------------------------------------------------------------


async def test_a_stop_ends_what_is_idle_and_lets_the_rest_finish() -> None:
    """Idle connections at once, half heads too; a reply under way first, and then its connection; then it returns."""
    async with served() as at, client(at) as idle, client(at) as half, client(at) as busy, client(at) as long:
        idle.ask("/whole")
        await idle.reply()
        await idle.exactly(b"whole")
        half.say(b"GET /whole HT")
        busy.ask("/waits")
        long.ask("/detached")
        await long.reply()
        await at.until(lambda: len(at.app.asked) == 3 and len(at.connections) == 4)
        at.listener.stop()
        await idle.closed()
        await half.closed()
        with pytest.raises(ConnectionRefusedError):
            async with client(at):
                pass
        assert not at.serving.done()
        at.app.go.set()
        status, headers = await busy.reply()
        assert (status, headers["connection"]) == (200, "close")
        assert await busy.rest() == b"whole"
        assert not at.serving.done()
        at.app.wires[0].write(b"abc")
        at.app.wires[0].end()
        assert await long.rest() == b"3\r\nabc\r\n0\r\n\r\n"
        async with asyncio.timeout(PATIENCE):
            await at.serving


async def test_a_stop_with_nobody_there_returns() -> None:
    async with served() as at:
        at.listener.stop()
        async with asyncio.timeout(PATIENCE):
            await at.serving


@pytest.mark.parametrize("stopped", [True, False])
async def test_a_cancel_breaks_off_what_is_left(stopped) -> None:
    """Connections and the listening socket."""
    async with served() as at, client(at) as one:
        one.ask("/detached")
        await one.reply()
        await at.until(lambda: at.app.wires)
        if stopped:
            at.listener.stop()
            await asyncio.sleep(0.01)
        at.serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await at.serving
        await at.until(lambda: at.app.lost)
        assert not at.connections
        with pytest.raises(ConnectionRefusedError):
            async with client(at):
                pass


async def test_nothing_that_an_app_says_is_logged(capfd) -> None:
    """An error's text may hold anything; the app's own outermost layer has logged its type."""
    said = Said()
    loggers = [logging.getLogger(name) for name in ("", "uvicorn", "uvicorn.error", "uvicorn.access", "asyncio")]
    for logger in loggers:
        logger.addHandler(said)
    try:
        async with served() as at:
            for path, status in (("/failing", 500), ("/failing_later", 200)):
                async with client(at) as one:
                    one.ask(path)
                    assert (await one.reply())[0] == status
                    assert b"canary" not in await one.rest()
        logging.getLogger("headrace.other").error("heard")
    finally:
        for logger in loggers:
            logger.removeHandler(said)
    assert "heard" in "".join(said.lines)
    assert "canary" not in "".join([*said.lines, *capfd.readouterr()])


class Said(logging.Handler):
    """Keeps what would be logged, with errors."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage() + str(record.exc_info))
