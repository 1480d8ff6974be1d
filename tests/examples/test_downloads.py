"""The examples of exports, files and the proxy: whole, in constant memory, and never more than was meant to be seen."""

import csv
import json
import sqlite3
import time
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.e2e.scripted import UpstreamThread
from tests.examples.example_server import ExampleServer

from headrace.testing.scripted_upstream import Connection, Endless, Next, Received, Script, head

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

#: What a server may grow by, whatever the size of what it sends.
GROWTH = 20_000_000

BIG = 300_000_000


def size_of(reply: HTTPResponse) -> int:
    """How many bytes come."""
    total = 0
    while piece := reply.read(1 << 20):
        total += len(piece)
    return total


def test_a_million_rows_take_no_memory(tmp_path: Path) -> None:
    """They come whole, a formula in them is none any more, and the browser is told a name."""
    with ExampleServer("csv_export", tmp_path) as server:
        assert server.get("/export/csv?rows=1") == (200, b"id,customer,amount,note\r\n1,Customer 1,0.01,\r\n")
        before = server.rss()
        with server.reply("GET", "/export/csv") as reply:
            assert reply.headers["content-disposition"] == 'attachment; filename="orders.csv"'
            rows = csv.DictReader(line.decode() for line in reply)
            assert next(row["note"] for row in rows if row["id"] == "1000") == "'=1+1"
            assert sum(1 for _ in rows) == 999_000
        assert server.peak() - before < GROWTH


def test_leaving_an_export_ends_it(tmp_path: Path) -> None:
    """The server has nothing to do soon after the client is gone."""
    with ExampleServer("csv_export", tmp_path) as server:
        with server.reply("GET", "/export/csv?rows=10000000") as reply:
            reply.read(1_000_000)
        time.sleep(0.5)
        before = server.busy()
        time.sleep(1)
        assert server.busy() - before < 0.2


def test_rows_of_a_database(tmp_path: Path) -> None:
    """Each is a line; and clients who leave give their connections back, of which the pool has fifteen."""
    with sqlite3.connect(tmp_path / "users.db") as database:
        database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(80))")
        database.executemany(
            "INSERT INTO users (name) VALUES (?)", ((f"User {n} " + "x" * 60,) for n in range(300_000))
        )
    database.close()
    with ExampleServer("database_ndjson", tmp_path) as server:
        before = server.rss()
        for _ in range(20):
            with server.reply("GET", "/stream/users") as reply:
                assert json.loads(reply.readline())["id"] == 1
        with server.reply("GET", "/stream/users") as reply:
            assert reply.headers["content-type"] == "application/x-ndjson"
            assert [json.loads(line)["id"] for line in reply] == [*range(1, 300_001)]
        assert server.peak() - before < GROWTH


def test_the_database_fills_itself(tmp_path: Path) -> None:
    """As its first line in the shell says."""
    with ExampleServer("database_ndjson", tmp_path) as server:
        lines = server.get("/stream/users")[1].splitlines()
    assert len(lines) == 10_000
    assert json.loads(lines[-1]) == {"id": 10_000, "name": "User 10000"}


def test_files_are_sent_in_parts(tmp_path: Path) -> None:
    """Whole, from the middle on, their head alone; under names that would break a header, and with no memory."""
    odd = 'a "b"; c=ö\u4f60.mp4'
    (tmp_path / "film.mp4").write_bytes(bytes(range(100)))
    (tmp_path / odd).write_bytes(b"odd")
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(BIG)
    with ExampleServer("file_download", tmp_path, MEDIA=str(tmp_path)) as server:
        assert server.get("/video/film.mp4", {"Range": "bytes=10-19"}) == (206, bytes(range(10, 20)))
        assert server.get("/video/film.mp4", {"Range": "bytes=100-"})[0] == 416
        with server.reply("HEAD", "/files/film.mp4") as reply:
            assert (reply.headers["content-length"], reply.headers["accept-ranges"]) == ("100", "bytes")
        with server.reply("GET", f"/files/{quote(odd)}") as reply:
            assert reply.headers["content-disposition"] == f"attachment; filename*=utf-8''{quote(odd)}"
            assert reply.read() == b"odd"
        before = server.rss()
        with server.reply("GET", "/files/big.bin") as reply:
            assert size_of(reply) == BIG
        assert server.peak() - before < GROWTH


def test_no_file_outside_the_folder(tmp_path: Path) -> None:
    """Not by a path, however it is written, and not by a link."""
    (tmp_path / "secret").write_text("secret")
    media = tmp_path / "media"
    media.mkdir()
    (media / "link").symlink_to(tmp_path / "secret")
    (media / "folder").mkdir()
    names = ("../secret", "..%2fsecret", "%2e%2e%2fsecret", "..%5csecret", quote(str(tmp_path / "secret"), safe=""))
    with ExampleServer("file_download", tmp_path) as server:
        for name in (*names, "link", "folder", ".", "..", "nothing", "secret%00"):
            for folder in ("files", "video"):
                status, body = server.get(f"/{folder}/{name}")
                assert (status, b"secret" in body) == (404, False), name


def test_a_proxy_passes_a_file_on(tmp_path: Path) -> None:
    """Of any size, in no memory; who leaves ends the call; what is not named does not pass."""
    with UpstreamThread(_files) as upstream, _proxy(tmp_path, upstream) as server:
        with server.reply("GET", "/proxy/a%20file.txt", headers={"Cookie": "s=1", "Range": "bytes=0-4"}) as reply:
            assert (reply.status, reply.read()) == (206, b"hello")
            assert reply.headers["content-disposition"] == 'attachment; filename="a file.txt"'
            assert "set-cookie" not in reply.headers
        asked = upstream.requests[-1]
        assert (asked.target, asked.headers["range"]) == ("/base/a%20file.txt", "bytes=0-4")
        assert "cookie" not in asked.headers
        before = server.rss()
        with server.reply("GET", "/proxy/endless") as reply:
            for _ in range(200):
                assert len(reply.read(1 << 20)) == 1 << 20
        left = upstream.server.connections[upstream.requests[-1].connection]
        assert _soon(left)
        assert server.peak() - before < GROWTH


def test_a_proxy_asks_no_other_host(tmp_path: Path) -> None:
    """Whatever the path looks like; a redirect is not followed, and an error is told in our words."""
    with UpstreamThread(_files) as upstream, _proxy(tmp_path, upstream) as server:
        for path in ("../up", "a/../../up", "%2e%2e/up", "./up", "%0d%0aHost:x"):
            assert server.get(f"/proxy/{path}")[0] == 404
        assert upstream.requests == []
        for path in ("/169.254.169.254/", "@other.example/", "http://other.example/", ":80@x/", "a%3fb%23c"):
            assert server.get(f"/proxy/{path}")[0] == 206
        assert {request.headers["host"] for request in upstream.requests} == {upstream.url.removeprefix("http://")}
        assert all(request.target.startswith("/base/") for request in upstream.requests)
        for path in ("moved", "broken"):
            assert server.get(f"/proxy/{path}") == (502, b'{"detail":"The file cannot be fetched now."}')


def _proxy(folder: Path, upstream: UpstreamThread) -> ExampleServer:
    return ExampleServer("http_proxy", folder, PROXY_TARGET=f"{upstream.url}/base")


def _files(request: Received, _: object) -> Script:
    if request.target == "/base/endless":
        return [head(), Endless(b"10000\r\n" + bytes(65536) + b"\r\n")]
    if request.target == "/base/moved":
        return [head(302, "Location: http://127.0.0.1:9/secret", body="0"), Next()]
    if request.target == "/base/broken":
        return [b"nonsense\r\n\r\n"]
    return [head(206, "Set-Cookie: t=1", "Content-Range: bytes 0-4/9", body="5"), b"hello", Next()]


def _soon(connection: Connection) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not connection.left:
        time.sleep(0.05)
    return connection.left
