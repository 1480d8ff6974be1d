"""Topics on real servers: killed, with two workers, and drained."""

# ruff: noqa: T201 - it prints what it measured

import asyncio
import json
import statistics
import time
from itertools import chain
from pathlib import Path

import pytest
from tests.e2e.clients import Client
from tests.e2e.node_process import play
from tests.e2e.server import HeadraceServer
from tests.e2e.topic_writer import LINES, Writer, check

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

PRODUCERS = 4
KILLS = 5


async def test_nothing_acknowledged_is_lost_to_a_kill(tmp_path: Path):
    """Producers go on over ``kill -9`` after ``kill -9``: every line is there once, in each producer's order."""
    server = HeadraceServer(tmp_path)
    path = "/v1/topics/log"
    with server:
        assert server.request("PUT", path, b"", LINES)[0] == 201
        writers = [Writer([server], path, name) for name in "abcd"]
        writing = [asyncio.create_task(asyncio.to_thread(writer.write)) for writer in writers]
        for _ in range(KILLS):
            await asyncio.sleep(0.5)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await asyncio.sleep(0.3)
        for writer in writers:
            writer.stopped = True
        await asyncio.gather(*writing)
        acknowledged = check(writers, server.request("GET", path)[2])

    print(f"{acknowledged} lines over {KILLS} kills, {sum(w.repeated for w in writers)} repeated")
    assert acknowledged > 100
    assert not any(writer.refused for writer in writers)


@pytest.mark.node
async def test_an_event_source_misses_nothing(tmp_path: Path):
    """A page whose server is killed in between reconnects by itself, and has every word once."""
    with HeadraceServer(tmp_path) as server:
        assert server.request("PUT", "/v1/topics/log", b"", LINES)[0] == 201
        case = {"url": f"{server.url}/v1/topics/log?offset=-1&live=sse", "there": f"{server.url}/v1/topics/there"}
        watching = asyncio.create_task(asyncio.to_thread(play, "topics.mjs", [case]))
        while server.request("HEAD", "/v1/topics/there")[0] != 200:  # noqa: ASYNC110 - another process brings it about
            await asyncio.sleep(0.05)
        for number in range(60):
            if number in (20, 40):
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
            word = f"{number} ".encode()
            closing = {"stream-closed": "true"} if number == 59 else {}
            assert server.request("POST", "/v1/topics/log", word, LINES | closing)[0] == 204
            await asyncio.sleep(0.05)
        (seen,) = await watching
    assert seen["text"].split() == [str(number) for number in range(60)]
    assert seen["opened"] > 1


async def test_two_workers_write_one_topic(tmp_path: Path):
    """Whoever takes a request, nothing is lost, doubled or out of order, and a reader hears of it soon."""
    with HeadraceServer(tmp_path, workers=2) as server:
        path = "/v1/topics/log"
        assert server.request("PUT", path, b"[]", {"content-type": "application/json"})[0] == 201
        readers = [await Client(server.port).open("GET", f"{path}?offset=-1&live=sse") for _ in range(4)]

        def write(name: str) -> list[float]:
            took = []
            for number in range(50):
                began = time.monotonic()
                body = json.dumps([[name, number], [name, number + 0.5]]).encode()
                assert server.request("POST", path, body, {"content-type": "application/json"})[0] == 204
                took.append(time.monotonic() - began)
            return took

        took = await asyncio.gather(*(asyncio.to_thread(write, name) for name in "abcd"))
        values = json.loads(server.request("GET", path)[2])
        for reader in readers:
            await reader.until(lambda reader: _values(reader.body) == values)

    print(f"append: {statistics.median(chain(*took)) * 1000:.1f} ms in the middle")
    assert len(values) == 400
    for name in "abcd":
        assert [number for who, number in values if who == name] == [half / 2 for half in range(100)]
    for first, second in zip(values[::2], values[1::2], strict=True):
        assert second == [first[0], first[1] + 0.5], "a body is appended as a whole"


def _values(body: bytes) -> list[object]:
    """The JSON values in the data events of a body."""
    blocks = [block for block in body.split(b"\n\n") if b"event: data" in block]
    return [value for block in blocks for value in json.loads(block.split(b"data:")[-1])]


@pytest.mark.alone
async def test_another_workers_append_is_heard_within_25_ms(tmp_path: Path):
    """Of readers on both workers, at the median."""
    with HeadraceServer(tmp_path, workers=2) as server:
        path = "/v1/topics/log"
        assert server.request("PUT", path, b"", LINES)[0] == 201
        readers = [await Client(server.port).open("GET", f"{path}?offset=-1&live=sse") for _ in range(6)]
        waits = []
        for number in range(30):
            word = f"word-{number};".encode()
            began = time.monotonic()
            await asyncio.to_thread(server.request, "POST", path, word, LINES)
            for reader in readers:
                await reader.until(lambda reader, word=word: word in reader.body)
            waits.append(time.monotonic() - began)
    print(f"append to the last of 6 readers: {statistics.median(waits) * 1000:.1f} ms in the middle")
    assert statistics.median(waits) < 0.05  # the request itself is part of it


async def test_readers_end_cleanly_when_the_server_stops(tmp_path: Path):
    """At once, and not as if it had failed."""
    with HeadraceServer(tmp_path) as server:
        assert server.request("PUT", "/v1/topics/log", b"x", LINES)[0] == 201
        reader = await Client(server.port).open("GET", "/v1/topics/log?offset=-1&live=sse")
        await reader.until(lambda reader: b"streamNextOffset" in reader.body)
        began = time.monotonic()
        status = await asyncio.to_thread(server.stop)
        await reader.rest()
        assert reader.whole
        assert status == 0
        assert time.monotonic() - began < 5


async def test_memory_stays_while_a_large_topic_is_read(tmp_path: Path):
    """A hundred readers of a large topic cost the server pages, not topics."""
    with HeadraceServer(tmp_path) as server:
        path = "/v1/topics/big"
        assert server.request("PUT", path, b"", {"content-type": "application/octet-stream"})[0] == 201
        for _ in range(8):
            body = bytes(16 << 20)
            assert server.request("POST", path, body, {"content-type": "application/octet-stream"})[0] == 204
        before = _resident(server.pid)

        def read() -> int:
            offset, size = "-1", 0
            while True:
                _, headers, page = server.request("GET", f"{path}?offset={offset}")
                offset, size = headers["stream-next-offset"], size + len(page)
                if "stream-up-to-date" in headers:
                    return size

        sizes = await asyncio.gather(*(asyncio.to_thread(read) for _ in range(4)))
        grown = _resident(server.pid) - before
    print(f"grown by {grown >> 20} MiB")
    assert set(sizes) == {8 * (16 << 20)}
    assert grown < 20 << 20


def _resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) << 10
