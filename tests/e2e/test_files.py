"""Files from real servers: what they cost, how they are cut, and paths as an attacker writes them."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.e2e.server import KINDS, HeadraceServer
from tests.e2e.wire import CLEAN, CUT, Http2
from tests.faces.test_files import CANARY, VIDEO, furnish
from tests.wire.traversals import TRAVERSALS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

BIG = 2 << 30
#: How much the server may grow, and in what time the first byte is there.
GROWTH, FIRST = 20 << 20, 0.1
READERS = 20


@pytest.fixture(params=KINDS)
def server(request, tmp_path):
    furnish(tmp_path)
    with HeadraceServer(tmp_path, '[files]\nfolder = "root"\n[deadlines]\nsend = 2\n', kind=request.param) as started:
        yield started


class Download:
    """One GET on a socket of its own, read as it comes."""

    def __init__(self, port: int, path: str, *headers: str, buffer: int = 0) -> None:
        self._socket = socket.socket()
        if buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket.settimeout(30)
        self._socket.connect(("127.0.0.1", port))
        begun = time.perf_counter()
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        data = b""
        while b"\r\n\r\n" not in data:
            more = self._socket.recv(65536)
            assert more, data
            data += more
        self.first = time.perf_counter() - begun
        head, _, self._rest = data.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        self.length = int(self.headers["content-length"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def body(self) -> bytes:
        """The body, as far as it comes."""
        read = bytearray(self._rest)
        with contextlib.suppress(ConnectionError):
            while len(read) < self.length and (more := self._socket.recv(65536)):
                read += more
        return bytes(read)

    def drain(self) -> int:
        """How many bytes come; none is kept."""
        count, buffer = len(self._rest), bytearray(1 << 18)
        while count < self.length and (more := self._socket.recv_into(buffer)):
            count += more
        return count


def memory(pid: int) -> int:
    """The most resident memory that a process has had since it was last asked to forget, in bytes."""
    fields = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(field.split()[1]) for field in fields if field.startswith("VmHWM")) << 10


def forget(pid: int) -> int:
    """Begin to measure anew; what it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return memory(pid)


def files_open(pid: int, place: Path) -> int:
    """How many files below a place a server has open."""
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(link.readlink()).startswith(str(place / "root"))
    return count


def until_closed(server: HeadraceServer, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while files_open(server.pid, server.folder):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def report(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")


@pytest.mark.alone
def test_two_gigabytes_cost_no_memory_and_begin_at_once(server):
    """One reader: the server's peak, the first byte, the speed."""
    with (server.folder / "root" / "big.mp4").open("wb") as big:
        big.truncate(BIG)
    with Download(server.port, "/v1/files/film.mp4") as warm:
        assert warm.body() == VIDEO
    before = forget(server.pid)
    begun = time.perf_counter()
    with Download(server.port, "/v1/files/big.mp4") as download:
        assert download.drain() == BIG
    spent = time.perf_counter() - begun
    grown = memory(server.pid) - before
    report(
        f"{server.kind}: 2 GiB in {spent:.2f} s ({BIG / spent / 1e6:.0f} MB/s), "
        f"first byte after {download.first * 1000:.1f} ms, memory +{grown / 1e6:.1f} MB"
    )
    assert grown < GROWTH
    assert download.first < FIRST


def test_twenty_readers_at_once_cost_little_memory(server):
    """Each of a file of 64 MiB, all at once."""
    size = 64 << 20
    with (server.folder / "root" / "big.mp4").open("wb") as big:
        big.truncate(size)
    with Download(server.port, "/v1/files/film.mp4") as warm:
        warm.drain()
    before = forget(server.pid)
    begun = time.perf_counter()
    with contextlib.ExitStack() as open_ones:
        readers = [
            open_ones.enter_context(Download(server.port, "/v1/files/big.mp4", buffer=1 << 16)) for _ in range(READERS)
        ]
        with ThreadPoolExecutor(READERS) as threads:
            drained = list(threads.map(Download.drain, readers))
    spent = time.perf_counter() - begun
    grown = memory(server.pid) - before
    report(
        f"{server.kind}: {READERS} x 64 MiB in {spent:.2f} s ({READERS * size / spent / 1e6:.0f} MB/s), "
        f"first bytes within {max(reader.first for reader in readers) * 1000:.1f} ms, memory +{grown / 1e6:.1f} MB"
    )
    assert drained == [size] * READERS
    assert grown < GROWTH


def test_who_takes_nothing_is_let_go_and_its_file_closed(server):
    """After the send deadline; whoever leaves, at once."""
    with (server.folder / "root" / "big.mp4").open("wb") as big:
        big.truncate(BIG)
    with Download(server.port, "/v1/files/big.mp4", buffer=4096):
        assert files_open(server.pid, server.folder) == 1
    until_closed(server, 1.0)
    with Download(server.port, "/v1/files/big.mp4", buffer=4096):
        until_closed(server, 6.0)


def test_a_file_that_shrinks_cuts_the_connection(server):
    """The client has less than was announced, and no clean end."""
    big = server.folder / "root" / "big.mp4"
    with big.open("wb") as file:
        file.truncate(BIG)
    with Download(server.port, "/v1/files/big.mp4", buffer=4096) as download:
        os.truncate(big, 1 << 20)
        assert len(download.body()) < BIG
    until_closed(server, 1.0)
    assert server.request("GET", "/v1/files/a.txt")[2] == b"hello"


def test_no_spelling_reads_the_canary(server):
    """The corpus on a raw socket: no client in between that tidies a path up."""
    asked = 0
    for path in TRAVERSALS:
        status, body = raw(server.port, f"/v1/files/{path}")
        assert CANARY not in body, path
        assert status in (400, 404) or body.endswith(b"hello"), (path, status, body)
        asked += 1
    assert asked >= 500
    until_closed(server, 5.0)


def raw(port: int, target: str) -> tuple[int, bytes]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        data = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(data.split(b" ", 2)[1]) if data else 400, data


def test_ten_thousand_ranges_are_refused_quickly(server):
    """Where the server takes such a header at all, it is refused before it is read."""
    header = "bytes=" + ",".join(f"{n}-{n}" for n in range(10_000))
    took = []
    for _ in range(5):  # what else the machine does is not the server's
        with Download(server.port, "/v1/files/film.mp4", f"Range: {header[:60_000]}") as download:
            assert download.status in (400, 416, 431)
            took.append(download.first)
    assert min(took) < 0.05


@pytest.mark.curl
def test_curl_seeks_and_resumes(server):
    """`-r` as a player seeks, and `-C -` as a broken download goes on."""
    curl = [shutil.which("curl") or "curl", "-sS", "--max-time", "20"]
    url = f"{server.url}/v1/files/film.mp4"
    for given, data in (("1000-1999", VIDEO[1000:2000]), ("-500", VIDEO[-500:]), ("1048000-", VIDEO[1_048_000:])):
        assert subprocess.run([*curl, "-r", given, url], capture_output=True, check=True).stdout == data
    part = server.folder / "part"
    part.write_bytes(VIDEO[:300_001])
    subprocess.run([*curl, "-C", "-", "-o", str(part), url], check=True)
    assert part.read_bytes() == VIDEO
    subprocess.run([*curl, "-O", "-J", f"{server.url}/v1/files/page.html"], check=True, cwd=server.folder)
    assert (server.folder / "page.html").is_file()


class TestHttp2:
    """Where the settings ask for it."""

    @pytest.fixture
    def server(self, tmp_path):
        furnish(tmp_path)
        with HeadraceServer(tmp_path, '[files]\nfolder = "root"\n', kind="granian") as started:
            yield started

    async def test_files_and_ranges_end_their_streams(self, server):
        async with await Http2.connect(server.port) as http:
            whole = await http.ask("GET", "/v1/files/film.mp4")
            part = await http.ask("GET", "/v1/files/film.mp4", headers={"range": "bytes=5-9"})
            head = await http.ask("HEAD", "/v1/files/film.mp4")
            none = await http.ask("GET", "/v1/files/..%2fcanary")
            await http.finish(whole, part, head, none)
            assert [http.heads[one][":status"] for one in (whole, part, head, none)] == ["200", "206", "200", "404"]
            assert (http.bodies[whole], http.bodies[part], http.bodies[head]) == (VIDEO, VIDEO[5:10], b"")
            assert {http.ended[one] for one in (whole, part, head, none)} == {CLEAN}

    async def test_a_file_that_shrinks_resets_its_stream(self, server):
        """The connection goes on."""
        big = server.folder / "root" / "big.mp4"
        with big.open("wb") as file:
            file.truncate(64 << 20)
        async with await Http2.connect(server.port) as http:
            stream = await http.ask("GET", "/v1/files/big.mp4")
            await http.until(lambda: http.bodies[stream])
            os.truncate(big, 0)
            await http.finish(stream)
            assert http.ended[stream] == CUT
            other = await http.ask("GET", "/v1/files/a.txt")
            await http.finish(other)
            assert http.bodies[other] == b"hello"
