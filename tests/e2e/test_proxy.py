"""The proxy over real sockets: bodies of any size, and nobody but the target is ever asked."""

# ruff: noqa: T201 - it prints what it measured

import asyncio
import contextlib
import threading
import time
from pathlib import Path
from typing import Self

import pytest
from tests.e2e.bulk_target import BulkTarget, download, upload
from tests.e2e.server import KINDS, HeadraceServer
from tests.e2e.wire import CUT, Http1
from tests.upstreams.ssrf_spellings import spellings

from headrace.testing.scripted_upstream import Reset, ScriptedUpstream, Stall, chunked, head

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

GIB = 1 << 30
#: What the server's memory may grow by, and how soon the first byte must be there.
GROWTH = 20 << 20
FIRST = 0.1


def rss(pid: int) -> int:
    fields = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in fields if line.startswith("VmRSS")) * 1024


class Memory:
    """How much a process grows meanwhile, at the most."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = rss(pid)
        self.growth = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self.growth = max(self.growth, rss(self._pid) - self._before)


def target_toml(url: str, *more: str) -> str:
    return "\n".join(("[proxy.t]", f'base_url = "{url}/base"', "private = true", *more, ""))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.alone
def test_a_body_of_two_gigabytes_passes_in_constant_memory(tmp_path, kind):
    """In each direction, a quarter of it on the other server; the speed is reported, not judged."""
    size = 2 * GIB if kind == "own" else GIB // 2
    with BulkTarget() as target, HeadraceServer(tmp_path, target_toml(target.url), kind=kind) as server:
        download(server.port, f"/v1/proxy/t/{1 << 20}")
        upload(server.port, "/v1/proxy/t/x", 1 << 20)
        with Memory(server.pid) as down:
            got = download(server.port, f"/v1/proxy/t/{size}")
        with Memory(server.pid) as up:
            sent = upload(server.port, "/v1/proxy/t/x", size)
    print(f"{kind}: first byte after {got.first * 1e3:.1f} ms")
    for way, moved, memory in (("down", got, down), ("up", sent, up)):
        print(f"{kind}: {way} {moved.bytes / moved.total / 1e6:.0f} MB/s, {memory.growth >> 10} KiB of memory")
    assert (got.bytes, sent.bytes) == (size, size)
    assert down.growth < GROWTH
    assert up.growth < GROWTH
    assert got.first < FIRST


class Canary:
    """A listener on loopback that nobody may come to."""

    def __init__(self) -> None:
        self.visits = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._visited, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    def _visited(self, _, writer):
        self.visits += 1
        writer.close()


@contextlib.asynccontextmanager
async def served(tmp_path, toml, kind="own"):
    server = HeadraceServer(tmp_path, toml, kind=kind)
    await asyncio.to_thread(server.start)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


async def raw(port, target, host="localhost"):
    """One request with nothing quoted, checked or left out; its status, or 0 where there was none, and all bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1"))
        async with asyncio.timeout(10):
            data = await reader.read()
    finally:
        writer.close()
    return int(data.split(b" ", 2)[1]) if data.startswith(b"HTTP/") else 0, data


SECRET = "target-secret-0123456789"


@pytest.mark.parametrize("kind", KINDS)
async def test_no_spelling_leads_anywhere_but_below_the_target(tmp_path, kind):
    """Hundreds of them, on a real server: nobody else is visited, and the credential is never seen in a reply."""

    def play(request):
        if request.target.startswith("/base/away"):
            return [head(302, f"Location: http://127.0.0.1:{canary.port}/", body="0")]
        return [head(200, type="text/plain", body="2"), b"ok"]

    async with Canary() as canary, ScriptedUpstream(play) as upstream:
        inner = (
            f'headers = {{ authorization = "Bearer {SECRET}" }}',
            f'[proxy.inner]\nbase_url = "http://localhost:{canary.port}"\nheaders = {{ x-api-key = "{SECRET}" }}',
            f'[proxy.octal]\nbase_url = "http://0177.1:{canary.port}"',
        )
        async with served(tmp_path, target_toml(upstream.url, *inner), kind) as server:
            targets = [*spellings(canary.port), "/v1/proxy/inner/x", "/v1/proxy/octal/x", "/v1/proxy/t/away"]
            replies = [await raw(server.port, target) for target in targets]
            hosts = (f"127.0.0.1:{canary.port}", f"localhost:{canary.port}", "evil.example", "t", "localhost@evil")
            replies += [await raw(server.port, "/v1/proxy/t/x", host) for host in hosts]
            log = server.log.read_text()
    assert canary.visits == 0
    assert len(targets) >= 300
    statuses = [status for status, _ in replies]
    assert set(statuses) <= {0, 200, 302, 400, 404, 405, 421, 502}
    assert statuses.count(502) == 2
    assert 200 in statuses
    assert all(request.target.startswith("/base") for request in upstream.requests)
    assert all(request.headers["authorization"] == f"Bearer {SECRET}" for request in upstream.requests)
    assert {request.headers["host"] for request in upstream.requests} == {upstream.url.removeprefix("http://")}
    assert not [
        data for _, data in replies if SECRET.encode() in data or b":%d" % canary.port in data.split(b"\r\n\r\n")[0]
    ]
    assert SECRET not in log


@pytest.mark.parametrize("kind", KINDS)
async def test_pieces_come_as_they_are_sent_and_a_cut_is_a_cut(tmp_path, kind):
    first = chunked(b"one", end=False)
    async with ScriptedUpstream(
        [head(200, type="text/plain", body="chunked"), first, go := asyncio.Event(), Reset()]
    ) as upstream:
        async with served(tmp_path, target_toml(upstream.url), kind) as server:
            async with await Http1.connect(server.port) as http:
                await http.ask("GET", "/v1/proxy/t/x")
                assert http.status == 200
                assert await http.chunk() == b"one"
                go.set()
                assert await http.rest() == b""
                assert http.ended == CUT


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("headed", [False, True])
async def test_a_client_that_leaves_lets_the_target_go_at_once(tmp_path, kind, headed):
    """Before the head of the answer, and in the middle of it."""
    asked = asyncio.Event()

    def play(_):
        asked.set()
        return [head(200, type="text/plain"), b"x", Stall()] if headed else [Stall()]

    async with ScriptedUpstream(play) as upstream, served(tmp_path, target_toml(upstream.url), kind) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /v1/proxy/t/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if headed:
            await reader.readuntil(b"\r\n\r\n")
        await asyncio.wait_for(asked.wait(), 5)
        writer.close()
        began = time.monotonic()
        await asyncio.wait_for(upstream.connections[0].closed.wait(), 5)
        assert upstream.connections[0].left
        assert time.monotonic() - began < 1
