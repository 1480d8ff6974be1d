"""A million rows from a real server: all of them, in constant memory, beside everything else that it does."""

import asyncio
import csv
import json
import sqlite3
import time
from pathlib import Path

import pytest
from tests.e2e.server import KINDS, HeadraceServer
from tests.e2e.wire import CLEAN, Http1

from headrace.records.export import COLUMNS
from headrace.records.sqlite import FILE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

#: One server has a million; that the other one holds its memory shows with fewer.
ROWS = {"own": 1_000_000, "granian": 100_000}
#: How much the server may grow over an export, and the seconds until its first byte.
GROWTH = 20 << 20
FIRST = 0.1
#: The first answer's time.
BEGAN = 1_700_000_000

#: Each in about as many rows as the others: in a spreadsheet, most of them would be computed.
MODELS = ("gpt-5", "=1+1", "+cmd|' /C calc'!A0", '-"2"', "@SUM(A1)", "\t=1", "\r\n=1", "模型, 😀", "＝1")  # noqa: RUF001
FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001

SEED = f"""
INSERT INTO generations
WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < ?)
SELECT printf('st_%026d', i), 'local', 'openai.chat', json_extract(?, '$[' || (i % {len(MODELS)}) || ']'), 'openai',
  'gpt-5-2026', {BEGAN} + i, {BEGAN} + i + 0.25, {BEGAN} + i + 1.5, 'completed', 'stop', i, 2 * i, 0, 0, 1, 42, 4200,
  '', '', 1e-6 * i
FROM n
"""


def seed(server: HeadraceServer) -> None:
    """The rows, a few seconds' work, while nothing else is going on."""
    connection = sqlite3.connect(server.folder / "data" / FILE)
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        connection.execute(SEED, (ROWS[server.kind] - 1, json.dumps(MODELS)))
    connection.close()


def rss(pid: int) -> int:
    fields = Path(f"/proc/{pid}/status").read_text().split("\n")
    return next(int(line.split()[1]) for line in fields if line.startswith("VmRSS")) * 1024


class Download:
    """An export over a socket of its own, checked while it comes: nothing of it is kept."""

    def __init__(self, server: HeadraceServer, query: str) -> None:
        self._server = server
        self._query = query
        self.first = 0.0
        self.growth = self.bytes = 0
        self.seconds = 0.0

    async def lines(self):
        """Its lines, however they came in pieces."""
        self.first = min([await self._begun() for _ in range(3)])
        before = rss(self._server.pid)
        begun = time.monotonic()
        async with await Http1.connect(self._server.port) as http:
            await http.ask("GET", f"/v1/exports/generations{self._query}")
            assert http.status == 200
            rest = b""
            while data := await http.chunk():
                self.bytes += len(data)
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    yield line
                self.growth = max(self.growth, rss(self._server.pid) - before)
            assert (http.ended, rest) == (CLEAN, b"")
        self.seconds = time.monotonic() - begun

    async def _begun(self) -> float:
        """Seconds until the first byte; the best of several is the server's, and not what else the machine does."""
        async with await Http1.connect(self._server.port) as http:
            begun = time.monotonic()
            await http.ask("GET", f"/v1/exports/generations{self._query}")
            assert http.status == 200
            assert await http.chunk()
            return time.monotonic() - begun

    def report(self, name: str) -> None:
        rows = ROWS[self._server.kind] / self.seconds
        print(  # noqa: T201
            f"\n{name}: {rows:,.0f} rows/s ({self.bytes / self.seconds / 1e6:.0f} MB/s), "
            f"first byte {self.first * 1e3:.0f} ms, {self.growth / 1e6:.1f} MB grown"
        )
        assert self.growth < GROWTH
        assert self.first < FIRST


@pytest.fixture(scope="module", params=KINDS)
def server(request, tmp_path_factory):
    with HeadraceServer(tmp_path_factory.mktemp("exports"), kind=request.param) as started:
        assert started.request("GET", "/v1/exports/generations")[0] == 200
        seed(started)
        # What a server grows by in its first download it has grown by once and for all: it is not the rows'.
        assert started.request("GET", f"/v1/exports/generations?to={BEGAN + 2000}")[0] == 200
        yield started


async def test_a_million_lines(server):
    """Each is a row, and they are in order."""
    download = Download(server, "")
    number = 0
    async for line in download.lines():
        row = json.loads(line)
        assert (row["input_tokens"], row["model"]) == (number, MODELS[number % len(MODELS)])
        number += 1
    assert number == ROWS[server.kind]
    download.report("NDJSON")


async def test_a_million_rows_without_a_formula(server):
    """Read as RFC 4180 has it, by a reader that is not ours."""
    download = Download(server, "?format=csv")
    number, pending = -1, b""
    async for line in download.lines():
        pending += line + b"\n"
        if pending.count(b'"') % 2:  # within quotes a line's end is text
            continue
        (cells,) = csv.reader([pending.decode()])
        pending = b""
        if number < 0:
            assert tuple(cells) == COLUMNS
        else:
            assert (cells[0], cells[12]) == (f"st_{number:026}", str(number))
            assert cells[2].removeprefix("'") == MODELS[number % len(MODELS)]
            assert not [cell for cell in cells if cell.startswith(FORMULA)]
        number += 1
    assert number == ROWS[server.kind]
    download.report("CSV")


async def test_answers_are_recorded_meanwhile(server):
    """A download that stands still in the middle holds no lock: what is asked now is recorded now."""
    async with await Http1.connect(server.port, limit=1 << 12) as slow:
        await slow.ask("GET", "/v1/exports/generations")
        await slow.chunk()
        async with await Http1.connect(server.port) as http:
            for _ in range(3):
                now = time.time()
                await http.ask("POST", "/chat", {"message": "hello", "model": "demo/echo"})
                assert b'"done":true' in await http.rest()
                await _recorded(http, now)


async def _recorded(http, since):
    """Until an answer of this moment is in an export of its own."""
    deadline = time.monotonic() + 5.0
    while True:
        await http.ask("GET", f"/v1/exports/generations?from={since}&model=demo/echo")
        if b"demo/echo" in await http.rest():
            return
        assert time.monotonic() < deadline, "not recorded in time"
        await asyncio.sleep(0.1)


async def test_leaving_ends_the_query(server):
    """The share of one key is four: who could leave without ending anything would be refused at the fifth."""
    for _ in range(10):
        async with await Http1.connect(server.port) as http:
            await http.ask("GET", "/v1/exports/generations?model=nobody")  # looks at all rows, and has none to send
            assert http.status == 200
        await asyncio.sleep(0.1)
    before = _busy(server.pid)
    await asyncio.sleep(0.5)
    assert _busy(server.pid) - before < 0.15


def _busy(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
