"""A thousand answers at once, each to its end, with nothing lost."""

import asyncio
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.server import HeadraceServer, upstream_toml

STREAMS = 1000
RATE = 20
SECONDS = 5
CHUNKS = RATE * SECONDS

BODY = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}'
REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
ZERO_CHUNK = b"\r\n0\r\n\r\n"


class Client(asyncio.Protocol):
    """Asks once and keeps what comes, up to the zero chunk."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport) -> None:
        self._transport = transport
        transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(ZERO_CHUNK) and not self.done.done():
            self.done.set_result(True)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(False)


@pytest.fixture
def many_files():
    """Room for the sockets, here and in the processes that are started from here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8 * STREAMS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.fail(f"this machine allows {hard} open files only; {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def paced(many_files):
    """The URL of an upstream that answers at a steady rate."""
    script = Path(__file__).with_name("paced_upstream.py")
    command = [sys.executable, str(script), str(RATE), str(CHUNKS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.terminate()


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_a_thousand_streams_run_to_their_end(paced, tmp_path):
    """1,000 × 20 tokens/s for five seconds on SQLite: every chunk once, in order, with its id, and a clean end."""
    server = HeadraceServer(tmp_path, upstream_toml(paced))
    await asyncio.to_thread(server.start)
    try:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        clients = []
        for _ in range(STREAMS):
            _, client = await loop.create_connection(Client, "127.0.0.1", server.port)
            clients.append(client)
        ended = await asyncio.wait_for(asyncio.gather(*(client.done for client in clients)), 90)
        took = loop.time() - begun
        assert all(ended), f"{ended.count(False)} were cut"
        for client in clients:
            check(bytes(client.received))
        assert took < 12 * SECONDS, f"it took {took:.1f} s"
    finally:
        await asyncio.to_thread(server.stop)


def check(received: bytes) -> None:
    """One client's whole answer."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    text = unchunked(body)
    at = 0
    for number in range(1, CHUNKS + 1):
        at = text.index(b'"content":"%d "' % number, at)
        at = text.index(b":%d\n\n" % number, at)
    assert text.count(b"data: ") == CHUNKS + 2
    assert text.count(b"data: [DONE]\n") == 1


def unchunked(body: bytes) -> bytes:
    parts = []
    at = 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        at = end + 4 + size
