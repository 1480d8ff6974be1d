"""Bad input on real sockets: what only a server can get wrong, on both of them."""

import asyncio
import contextlib
import gzip
import json
import os
import socket
import time
from pathlib import Path

import pytest
from tests.e2e.server import KINDS, HeadraceServer, upstream_toml
from tests.e2e.wire import Http1, Http2

from headrace.serving.sockets import HEAD_TIMEOUT
from headrace.testing.scripted_upstream import ScriptedUpstream, answer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

KEYS = '[keys]\nalice = "alice-key-0123456789"\n'
LIMITS = "[limits]\nbody_bytes = 12000000\n"
ALICE = {"authorization": "Bearer alice-key-0123456789"}


@pytest.fixture(params=KINDS)
async def server(request, tmp_path):
    async with ScriptedUpstream([answer("a")]) as upstream:
        made = HeadraceServer(tmp_path, upstream_toml(f"{upstream.url}/v1") + KEYS + LIMITS, kind=request.param)
        await asyncio.to_thread(made.start)
        made.upstream = upstream
        try:
            yield made
        finally:
            await asyncio.to_thread(made.stop)


async def asked(server, method, target, body=None, headers=None):
    """Status and error code of one request on a connection of its own."""
    async with await Http1.connect(server.port) as http:
        await http.ask(method, target, body, {**ALICE, **(headers or {})})
        data = await http.rest()
        return http.status, json.loads(data)["error"]["code"] if data else ""


#: Method, target, body and headers; the status and the code.
BAD = [
    ("POST", "/v1/chat/completions", b"{nope", {}, 400, "invalid_request"),
    ("POST", "/v1/chat/completions", b"\xff\xfe", {}, 400, "invalid_request"),
    ("POST", "/chat", b"[" * 900_000, {}, 400, "invalid_request"),
    ("POST", "/chat", {"message": "x"}, {"content-encoding": "gzip"}, 415, "unsupported_media_type"),
    ("POST", "/chat", {"message": "x"}, {"host": "evil.example"}, 421, "host_refused"),
    ("POST", "/chat", {"message": "x"}, {"origin": "https://evil.example"}, 403, "forbidden"),
    ("GET", "/chat/stream?message=x", None, {"sec-fetch-site": "cross-site"}, 403, "forbidden"),
    ("POST", "/chat", {"message": "x"}, {"authorization": "Bearer \xff"}, 401, "invalid_api_key"),
    ("POST", "/chat", {"message": "x"}, {"last-event-id": "st_x:\xc3\xa9"}, 400, "invalid_request"),
    ("GET", "/v1/streams/%00%ff%2e%2e", None, {}, 404, "not_found"),
    ("GET", "/v1/streams/../../etc/passwd", None, {}, 404, "not_found"),
    ("GET", "/v1/streams?limit=%00", None, {}, 400, "invalid_request"),
    ("GET", "/%ff%fe", None, {}, 404, "not_found"),
    ("DELETE", "/chat", None, {}, 405, "invalid_request"),
]


async def test_a_bad_request_gets_a_clear_answer(server):
    """The same on both servers; nothing reaches the upstream."""
    for method, target, body, headers, status, code in BAD:
        assert await asked(server, method, target, body, headers) == (status, code), (method, target, headers)
    assert [request for request in server.upstream.requests if request.method == "POST"] == []


BRACKETS = b"[" * 10_000_000
#: A gigabyte, in 42 KB: zeros compress 1,000 to 1, twice.
BOMB = gzip.compress(gzip.compress(bytes(1 << 24)) * 64)


async def large(server, headers, body=b"", times=1):
    """Status, seconds of the server's processor and bytes of its memory that a large body costs; it is sent until told.

    One that comes in ``times`` pieces ends with none: whoever reads it all reads for ever.
    """
    before, spent = rss(server.pid), seconds(server.pid)
    async with await Http1.connect(server.port) as http:
        head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "localhost", **ALICE, **headers}.items())
        http.writer.write(f"POST /chat HTTP/1.1\r\n{head}\r\n".encode())
        reading = asyncio.create_task(http.reader.readline())
        with contextlib.suppress(OSError):
            for _ in range(times if body else 0):
                http.writer.write(body)
                await http.writer.drain()
                await asyncio.sleep(0)
                if reading.done():
                    break
        status = int((await asyncio.wait_for(reading, 10)).split()[1])
    return status, seconds(server.pid) - spent, rss(server.pid) - before


async def told_of_large(server, headers, body, times):
    """The same; again where the connection was gone before the reply was read, as happens to who goes on sending."""
    for _ in range(5):
        with contextlib.suppress(OSError):
            return await large(server, headers, body, times)
    raise AssertionError("no reply was ever read")


#: Statuses, headers and bodies: each a gigabyte to somebody, but the first.
LARGE = [
    (400, {"Content-Length": str(len(BRACKETS))}, BRACKETS, 1),
    (413, {"Content-Length": str(1 << 30)}, b"", 0),
    (413, {"Content-Length": str(1 << 30)}, bytes(1 << 16), 1 << 14),
    (413, {"Transfer-Encoding": "chunked"}, b"10000\r\n%b\r\n" % bytes(1 << 16), 1 << 14),
    (415, {"Content-Length": str(len(BOMB)), "Content-Encoding": "gzip"}, BOMB, 1),
]


async def test_a_large_body_costs_little(server):
    """A tenth of a second of the processor at most, and not much more memory than the body that is allowed."""
    assert (await asked(server, "POST", "/chat", b"{}"))[0] == 400  # what is loaded at the first request
    for status, headers, body, times in LARGE:
        found, spent, grown = await told_of_large(server, headers, body, times)
        assert found == status
        # Our own copies what has come, piece by piece.
        assert spent < (0.1 if server.kind == "granian" else 0.2), (headers, spent)
        assert grown < 20 << 20, (headers, grown)


async def test_huge_heads_are_refused_and_the_server_lives(server):
    """A header of 1 MB, ten thousand headers, and garbage instead of HTTP."""
    for head in (
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Big: " + b"x" * 1_000_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
    ):
        line = b""
        async with await Http1.connect(server.port) as http:
            with contextlib.suppress(OSError):
                http.writer.write(head)
                line = await asyncio.wait_for(http.reader.readline(), 5)
        assert not line or line.split()[1][:1] == b"4", line
    async with await Http1.connect(server.port) as http:
        await http.ask("GET", "/health")
        assert http.status == 200


@pytest.mark.parametrize("server", ["granian"], indirect=True)
async def test_huge_heads_are_refused_on_http2(server):
    """Compressed they cost next to nothing to send: a thousand times the same one, and one in many frames."""
    for headers in ({f"x-{n}": "y" for n in range(2000)}, {"x-big": "x" * 60_000, "x-bigger": "y" * 60_000}):
        async with await Http2.connect(server.port) as http:
            stream = await http.ask("GET", "/health", None, headers)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                await http.finish(stream)
            assert http.heads.get(stream, {}).get(":status", "431") == "431"
    async with await Http2.connect(server.port) as http:
        stream = await http.ask("GET", "/health")
        await http.finish(stream)
        assert http.heads[stream][":status"] == "200"


async def test_a_head_that_trickles_is_given_up(server):
    """A byte now and then keeps no connection; uvicorn leaves that to whoever stands in front of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    begun = time.monotonic()
    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
    with contextlib.suppress(OSError):
        while not reader.at_eof() and time.monotonic() - begun < 2 * HEAD_TIMEOUT:
            writer.write(b"X: y\r\n")
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1024), 0.5)
    writer.close()
    assert time.monotonic() - begun < 1.5 * HEAD_TIMEOUT


async def test_pipelined_requests_are_answered_in_their_order(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as pipe:
        fields = b"HTTP/1.1\r\nHost: localhost\r\n"
        pipe.sendall(b"GET /health %b\r\n" % fields * 2 + b"GET /nope %bConnection: close\r\n\r\n" % fields)
        data = b""
        while piece := await asyncio.to_thread(pipe.recv, 65536):
            data += piece
    assert data.count(b"HTTP/1.1 200") == 2
    assert data.rindex(b"HTTP/1.1 404") > data.rindex(b"HTTP/1.1 200")


def rss(pid: int) -> int:
    fields = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(field.split()[1]) for field in fields if field.startswith("VmRSS")) << 10


def seconds(pid: int) -> float:
    """Processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
