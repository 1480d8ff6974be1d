"""A reader that is stalled slows nobody else and costs no memory, while 100 MB pass."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.e2e.server import HeadraceServer, upstream_toml
from tests.e2e.wire import CLEAN, Http1

from headrace.testing.scripted_upstream import Received, ScriptedUpstream, head

READERS = 20
#: Characters in a record, and records a second; twenty readers of them take 130 MB/s.
SIZE = 16_384
RATE = 400
#: Records of the long answer: 100 MB of payload.
LONG = 100_000_000 // SIZE + 1
#: Records of the short ones, whose delays are compared.
SHORT = 2 * RATE

#: How much the server may grow over the long answer. Unbounded buffers for the stalled reader would cost 100 MB.
GROWTH = 48 << 20
#: How much later than without a stalled reader the 99th percentile of the others may be, in seconds.
DELAY = 0.02
ROUNDS = 5

MARK = b"@"
CHUNK = b'data: {"id":"chatcmpl-x","choices":[{"index":0,"delta":{"content":"@%020d%b"},"finish_reason":null}]}\n\n'
FILL = b"x" * (SIZE - 21)
END = b'data: {"id":"chatcmpl-x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Stamped:
    """A script's step sequence that stamps each record with the time at which it is sent."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __iter__(self):
        yield head()
        begun = time.monotonic()
        for number in range(self._count):
            pause = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.call_later(max(0.0, begun + number / RATE - time.monotonic()), pause.set)
            yield pause
            yield CHUNK % (time.monotonic_ns(), FILL)
        yield END


def play(request: Received):
    return Stamped(request.json()["seed"])


class Reader:
    """Reads a stream to its end and notes how old each record was when it came."""

    def __init__(self, port: int, id: str) -> None:
        self._port = port
        self._id = id
        self.delays: list[float] = []
        self.records = 0
        self.ended = ""

    async def run(self) -> None:
        async with await Http1.connect(self._port) as http:
            await http.ask("GET", f"/v1/streams/{self._id}")
            tail = b""
            while data := await http.chunk():
                now = time.monotonic_ns()
                data = tail + data
                at = data.find(MARK)
                while 0 <= at <= len(data) - 21:
                    self.delays.append((now - int(data[at + 1 : at + 21])) / 1e9)
                    self.records += 1
                    at = data.find(MARK, at + SIZE)
                tail = data[-21:] if MARK in data[-21:] else b""
            self.ended = http.ended

    @staticmethod
    async def stall(port: int, id: str) -> socket.socket:
        """A reader that asks and then takes nothing."""
        stalled = socket.socket()
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(stalled, ("127.0.0.1", port))
        await loop.sock_sendall(stalled, f"GET /v1/streams/{id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return stalled


async def start(port: int, records: int) -> str:
    """A stream that nobody has to read."""
    async with await Http1.connect(port) as http:
        body = {"model": "m", "stream": True, "seed": records, "messages": [{"role": "user", "content": "x"}]}
        await http.ask("POST", "/v1/chat/completions", body, {"headrace-on-leave": "keep"})
        return http.headers["headrace-stream-id"]


async def run(port: int, records: int, *, stalled: bool) -> list[Reader]:
    """Twenty readers of one stream, one of them stalled if so; returns those who read."""
    id = await start(port, records)
    stuck = await Reader.stall(port, id) if stalled else None
    readers = [Reader(port, id) for _ in range(READERS - stalled)]
    try:
        await asyncio.gather(*(reader.run() for reader in readers))
    finally:
        if stuck is not None:
            stuck.close()
    for reader in readers:
        assert reader.ended == CLEAN
        assert reader.records == records
    return readers


def p99(readers: list[Reader]) -> float:
    delays = sorted(delay for reader in readers for delay in reader.delays[10:])
    return delays[len(delays) * 99 // 100]


def rss(pid: int) -> int:
    """Resident memory in bytes."""
    fields = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(field.split()[1]) for field in fields if field.startswith("VmRSS")) << 10


async def watch(pid: int) -> int:
    """The most memory, until cancelled."""
    most = 0
    try:
        while True:
            most = max(most, rss(pid))
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        return most


@asynccontextmanager
async def fresh(folder: Path):
    """A server with an empty store: what an earlier answer leaves to be compacted is not what is measured."""
    async with ScriptedUpstream(play) as upstream:
        await asyncio.to_thread(folder.mkdir)
        toml = upstream_toml(f"{upstream.url}/v1") + '[limits]\nstream_bytes = "256MiB"\n'
        server = HeadraceServer(folder, toml)
        await asyncio.to_thread(server.start)
        try:
            yield server
        finally:
            await asyncio.to_thread(server.stop)


async def best_p99(folder: Path, *, stalled: bool, enough: float) -> float:
    """The best of up to ``ROUNDS``: what a busy machine adds differs, and what a blocked reader adds does not."""
    best = float("inf")
    for number in range(ROUNDS):
        async with fresh(folder / f"{stalled}-{number}") as server:
            best = min(best, p99(await run(server.port, SHORT, stalled=stalled)))
        if best < enough:
            break
    return best


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(180)
async def test_one_stalled_reader_of_twenty_delays_nobody_and_costs_nothing(tmp_path):
    """On SQLite; p99 with and without the stalled one, then 100 MB while it stands still."""
    without = await best_p99(tmp_path, stalled=False, enough=DELAY)
    with_one = await best_p99(tmp_path, stalled=True, enough=without + DELAY)
    async with fresh(tmp_path / "long") as server:
        before = rss(server.pid)
        watching = asyncio.create_task(watch(server.pid))
        long = p99(await run(server.port, LONG, stalled=True))
        watching.cancel()
        growth = await watching - before
    told = f"p99 {without * 1e3:.1f} ms, {with_one * 1e3:.1f} with a stalled reader, {long * 1e3:.1f} over 100 MB"
    print(f"{told}; grown by {growth >> 20} MiB")  # noqa: T201
    assert with_one < without + DELAY
    assert growth < GROWTH
