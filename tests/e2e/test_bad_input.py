"""Bad input on real sockets: what only a server can get wrong, on both of them."""

import asyncio
import contextlib
import json
import socket
import time
from pathlib import Path

import pytest
from tests.e2e.server import KINDS, HeadraceServer, upstream_toml
from tests.e2e.wire import Http1

from headrace.testing.scripted_upstream import ScriptedUpstream, answer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

KEYS = '[keys]\nalice = "alice-key-0123456789"\n'
LIMITS = "[limits]\nbody_bytes = 1000000\n"
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


@pytest.mark.parametrize(
    ("method", "target", "body", "headers", "status", "code"),
    [
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
    ],
)
async def test_a_bad_request_gets_a_clear_answer(server, method, target, body, headers, status, code):
    """The same on both servers; nothing reaches the upstream."""
    assert await asked(server, method, target, body, headers) == (status, code)
    assert [request for request in server.upstream.requests if request.method == "POST"] == []


async def test_a_body_over_its_bound_is_refused_before_it_is_read(server):
    """By its length at once, and where it has none as soon as it is over; memory stays flat."""
    before = rss(server.pid)
    begun = time.monotonic()
    async with await Http1.connect(server.port) as http:
        http.writer.write(b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n")
        assert (await asyncio.wait_for(http.reader.readline(), 5)).startswith(b"HTTP/1.1 413")

    async with await Http1.connect(server.port) as http:
        key = b"Authorization: Bearer alice-key-0123456789\r\n"
        http.writer.write(b"POST /chat HTTP/1.1\r\nHost: localhost\r\n%bTransfer-Encoding: chunked\r\n\r\n" % key)
        reading = asyncio.create_task(http.reader.readline())
        with contextlib.suppress(OSError):
            while not reading.done():
                http.writer.write(b"10000\r\n%b\r\n" % (b"x" * 65536))
                await http.writer.drain()
                await asyncio.sleep(0)
        assert (await asyncio.wait_for(reading, 5)).startswith(b"HTTP/1.1 413")
    assert time.monotonic() - begun < 10
    assert rss(server.pid) - before < 32 << 20


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
        # uvicorn with httptools knows no bound for a head; it is not what serves in production.
        assert not line or line.split()[1][:1] == b"4" or server.kind == "uvicorn", line
    async with await Http1.connect(server.port) as http:
        await http.ask("GET", "/health")
        assert http.status == 200


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
