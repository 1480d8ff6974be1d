"""Files of a folder: their bytes, their ranges, their conditions, and nothing that is not in the folder."""

import asyncio
import os
import socket
from contextlib import asynccontextmanager, contextmanager
from email import message_from_bytes
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.faces.front import ALICE, BOB, KEYS, Fake, bearer, front
from tests.wire.traversals import TRAVERSALS

from headrace.config import Cors, Files
from headrace.errors import NotFound
from headrace.testing.clock import settle
from headrace.wire.file_path import names_in

CANARY = b"canary-1f7d: nobody reads this"
VIDEO = bytes(range(256)) * 4096  # 1 MiB
PAGE = b"<script>alert(1)</script>"


def furnish(place: Path) -> Path:
    """A folder with files, and with everything in it that could lead out of it to the canary."""
    root = place / "root"
    (root / "sub").mkdir(parents=True)
    (place / "canary").write_bytes(CANARY)
    for name, data in {
        "a.txt": b"hello",
        "film.mp4": VIDEO,
        "empty.txt": b"",
        "page.html": PAGE,
        "sub/b": b"b",
    }.items():
        (root / name).write_bytes(data)
    for name in (".env", "sub/.hidden"):
        (root / name).write_bytes(CANARY)
    links = {"link": "../canary", "folder-link": "..", "chain": "link", "sub/up": "../..", "loop": "loop"}
    links |= {"absolute-link": str(place / "canary"), "hidden-link": ".env", "sub/deep-link": "../../canary"}
    links |= {"inner-link": "a.txt"}
    for name, target in links.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe")
    return root


@contextmanager
def listening(path: Path):
    """A socket among the files; its path is short, for such paths must be."""
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(path.parent, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{here}/{path.name}")
        finally:
            os.close(here)
        yield


@asynccontextmanager
async def served(place: Path, **options):
    """The app, with a folder that was furnished."""
    async with front(files=Files(folder=furnish(place)), **options) as at:
        yield at


def files_open(place: Path) -> int:
    """How many files below a place this process has open."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            count += str(link.readlink()).startswith(str(place))
        except OSError:
            continue
    return count


async def closed(place: Path) -> bool:
    """Whether all files are closed, once the threads have had their turn."""
    for _ in range(2000):
        if not files_open(place):
            return True
        await settle(5)
    return False


async def test_a_file_is_read_whole(tmp_path):
    """With what it is, how long it is, and what tells it from another."""
    async with served(tmp_path) as at:
        reply = await at.ask("GET", "/v1/files/a.txt")
        assert (reply.status, reply.body, reply.complete) == (200, b"hello", True)
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        assert reply.headers["content-length"] == "5"
        assert reply.headers["accept-ranges"] == "bytes"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "private, no-cache, no-transform"
        assert "content-disposition" not in reply.headers
        assert (await at.ask("GET", "/v1/files/sub/b")).body == b"b"
        assert (await at.ask("GET", "/v1/files/sub%2Fb")).body == b"b"
        assert (await at.ask("GET", "/v1/files/film.mp4")).body == VIDEO
        empty = await at.ask("GET", "/v1/files/empty.txt")
        assert (empty.status, empty.body, empty.headers["content-length"]) == (200, b"", "0")
        assert await closed(tmp_path)


async def test_a_head_tells_what_a_get_would(tmp_path):
    """The same headers and no body; a range is not for it."""
    async with served(tmp_path) as at:
        for path in ("film.mp4", "page.html?download=1", "empty.txt"):
            got = await at.ask("GET", f"/v1/files/{path}")
            head = await at.ask("HEAD", f"/v1/files/{path}", headers={"range": "bytes=0-1"})
            ours = {name: value for name, value in got.headers.items() if "request-id" not in name}
            assert (head.status, head.body) == (200, b"")
            assert ours.items() <= head.headers.items()
        assert (await at.ask("HEAD", "/v1/files/none")).status == 404
        etag = got.headers["etag"]
        assert (await at.ask("HEAD", "/v1/files/empty.txt", headers={"if-none-match": etag})).status == 304
        assert await closed(tmp_path)


async def test_what_a_browser_would_run_is_saved(tmp_path):
    """Not shown in this origin, whatever it is; and so is what is asked for as a download."""
    async with served(tmp_path) as at:
        (tmp_path / "root" / "报告.svg").write_bytes(PAGE)
        page = await at.ask("GET", "/v1/files/page.html")
        assert page.body == PAGE
        assert page.headers["content-type"] == "application/octet-stream"
        assert page.headers["content-disposition"] == 'attachment; filename="page.html"'
        assert page.headers["content-security-policy"] == "sandbox"
        picture = await at.ask("GET", "/v1/files/%E6%8A%A5%E5%91%8A.svg")
        assert picture.headers["content-disposition"].endswith("; filename*=UTF-8''%E6%8A%A5%E5%91%8A.svg")
        film = await at.ask("GET", "/v1/files/film.mp4?download=1")
        assert film.headers["content-type"] == "video/mp4"
        assert film.headers["content-disposition"] == 'attachment; filename="film.mp4"'


async def test_a_range_is_a_slice(tmp_path):
    """What a player asks for when it seeks."""
    async with served(tmp_path) as at:
        for header, start, stop in (
            ("bytes=0-0", 0, 1),
            ("bytes=262143-262144", 262_143, 262_145),
            ("bytes=1000000-", 1_000_000, len(VIDEO)),
            ("bytes=-7", len(VIDEO) - 7, len(VIDEO)),
            ("bytes=0-99999999", 0, len(VIDEO)),
        ):
            reply = await at.ask("GET", "/v1/files/film.mp4", headers={"range": header})
            assert (reply.status, reply.body, reply.complete) == (206, VIDEO[start:stop], True)
            assert reply.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(VIDEO)}"
            assert reply.headers["content-length"] == str(stop - start)
        assert await closed(tmp_path)


async def test_a_range_that_is_not_there_is_refused_with_the_size(tmp_path):
    """So that a client which resumes sees that it has all of it; as are five thousand ranges."""
    async with served(tmp_path) as at:
        for header in ("bytes=5-", "bytes=" + ",".join(f"{n}-{n}" for n in range(5_000))):
            reply = await at.ask("GET", "/v1/files/a.txt", headers={"range": header})
            assert (reply.status, reply.headers["content-range"]) == (416, "bytes */5")
            assert b'"range_not_satisfiable"' in reply.body
        assert await closed(tmp_path)


async def test_several_ranges_are_parts_of_one_body(tmp_path):
    """Of the length that was announced."""
    async with served(tmp_path) as at:
        reply = await at.ask("GET", "/v1/files/film.mp4", headers={"range": "bytes=5-9,700000-700009,-3"})
    assert (reply.status, reply.complete) == (206, True)
    assert "content-range" not in reply.headers
    assert reply.headers["content-length"] == str(len(reply.body))
    body = message_from_bytes(b"content-type: " + reply.headers["content-type"].encode() + b"\r\n\r\n" + reply.body)
    assert [part.get_content_type() for part in body.get_payload()] == ["video/mp4"] * 3
    slices = [VIDEO[5:10], VIDEO[700_000:700_010], VIDEO[-3:]]
    assert [part.get_payload(decode=True) for part in body.get_payload()] == slices


def test_any_ranges_are_slices(tmp_path):
    """Whole, one range or several: the bytes are those of the file."""
    data = VIDEO[:270_001]
    (tmp_path / "f.mp4").write_bytes(data)

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 300_000), st.integers(0, 300_000)), min_size=1, max_size=3))
    def check(spans) -> None:
        header = "bytes=" + ",".join(f"{start}-{start + length}" for start, length in spans)
        reply = runner.run(at.ask("GET", "/v1/files/f.mp4", headers={"range": header}))
        slices = [data[start : start + length + 1] for start, length in spans if start < len(data)]
        assert ranges_of(reply, data) == (slices if reply.status == 206 else [])
        assert {206: slices, 200: len(slices) > 1, 416: not slices}[reply.status]

    with asyncio.Runner() as runner:
        app = front(files=Files(folder=tmp_path))
        at = runner.run(app.__aenter__())
        check()
        runner.run(app.__aexit__(None, None, None))


def ranges_of(reply, data):
    """The ranges in a reply; none in a whole one, which must be the data, and in a refusal."""
    if reply.status != 206:
        assert reply.status == 416 or reply.body == data
        return []
    if "content-range" in reply.headers:
        return [reply.body]
    head, _, rest = reply.body.partition(b"\r\n\r\n")
    boundary = reply.headers["content-type"].partition("boundary=")[2].encode()
    parts = (head + b"\r\n\r\n" + rest).split(b"\r\n--" + boundary)
    assert parts[-1] == b"--\r\n"
    return [part.partition(b"\r\n\r\n")[2] for part in parts[1:-1]]


async def test_conditions_spare_the_body(tmp_path):
    """By tag and by date; a condition that does not hold is refused."""
    async with served(tmp_path) as at:
        first = await at.ask("GET", "/v1/files/a.txt")
        etag, date = first.headers["etag"], first.headers["last-modified"]
        for condition in ({"if-none-match": etag}, {"if-none-match": f'"x", {etag}'}, {"if-modified-since": date}):
            reply = await at.ask("GET", "/v1/files/a.txt", headers=condition)
            assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", etag)
            assert "content-length" not in reply.headers
        refused = await at.ask("GET", "/v1/files/a.txt", headers={"if-match": '"x"'})
        assert refused.status == 412
        assert b'"precondition_failed"' in refused.body
        assert (await at.ask("GET", "/v1/files/a.txt", headers={"if-match": etag})).status == 200
        assert await closed(tmp_path)


async def test_a_tag_is_of_one_state(tmp_path):
    """Another content of the same length and the same date has another one."""
    async with served(tmp_path) as at:
        path = tmp_path / "root" / "a.txt"
        tags = {(await at.ask("HEAD", "/v1/files/a.txt")).headers["etag"]}
        stat = path.stat()
        other = tmp_path / "other"
        other.write_bytes(b"HELLO")
        os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        other.replace(path)
        tags.add((await at.ask("HEAD", "/v1/files/a.txt")).headers["etag"])
        assert len(tags) == 2
        assert str(path.stat().st_ino) not in "".join(tags)


async def test_a_range_of_what_has_changed_is_the_whole(tmp_path):
    """`If-Range`: two states are never put together."""
    async with served(tmp_path) as at:
        first = await at.ask("HEAD", "/v1/files/a.txt")
        asked = {"range": "bytes=1-2", "if-range": first.headers["etag"]}
        assert (await at.ask("GET", "/v1/files/a.txt", headers=asked)).body == b"el"
        dated = {"range": "bytes=1-2", "if-range": first.headers["last-modified"]}
        assert (await at.ask("GET", "/v1/files/a.txt", headers=dated)).body == b"el"
        (tmp_path / "root" / "a.txt").write_bytes(b"HELLO")
        reply = await at.ask("GET", "/v1/files/a.txt", headers=asked)
        assert (reply.status, reply.body) == (200, b"HELLO")


async def test_the_tag_of_what_has_only_just_changed_is_weak(tmp_path):
    """For it may change once more within the same grain of time; then a range of it proves nothing."""
    async with served(tmp_path) as at:
        at.clock.step_wall((tmp_path / "root" / "a.txt").stat().st_ctime - at.clock.time() + 0.5)
        first = await at.ask("HEAD", "/v1/files/a.txt")
        assert first.headers["etag"].startswith('W/"')
        asked = {"range": "bytes=1-2", "if-range": first.headers["etag"]}
        assert (await at.ask("GET", "/v1/files/a.txt", headers=asked)).status == 200
        at.clock.step_wall(5)
        assert (await at.ask("HEAD", "/v1/files/a.txt")).headers["etag"] == first.headers["etag"].removeprefix("W/")
        known = {"if-none-match": first.headers["etag"]}
        assert (await at.ask("GET", "/v1/files/a.txt", headers=known)).status == 304


async def test_nothing_outside_the_folder_is_read(tmp_path):
    """The whole corpus: no canary, no link followed, nothing hidden, no pipe that is waited for."""
    async with served(tmp_path) as at:
        with listening(tmp_path / "root" / "socket"):
            for path in TRAVERSALS:
                reply = await at.ask("GET", f"/v1/files/{path}")
                assert CANARY not in reply.body, path
                assert reply.status == 404 or reply.body == b"hello", (path, reply.status)
        assert (await at.ask("GET", "/v1/files/inner-link")).status == 404
        assert await closed(tmp_path)


async def test_a_folder_is_not_listed(tmp_path):
    """Nor is it told from what is not there."""
    async with served(tmp_path) as at:
        missing = await at.ask("GET", "/v1/files/none")
        for path in ("", "sub", "sub/", "."):
            reply = await at.ask("GET", f"/v1/files/{path}")
            assert (reply.status, reply.body) == (404, missing.body)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_no_path_at_all_reads_the_canary(tmp_path):
    """Twenty thousand walks, through the same code as a request's."""
    root = furnish(tmp_path)
    pieces = ["..", ".", "/", "//", "\\", "%2e", "%2f", "\0", ":", " ", "sub", "up", "link", "folder-link", "canary"]
    pieces += ["chain", "deep-link", ".env", "a.txt", str(tmp_path), "canary", "..;", "\uff0e\uff0e", "\ufffd"]
    seen: dict[str, int] = {}

    async def check() -> None:
        async with front(files=Files(folder=root)) as at:
            folder = at.service.folder

            @settings(max_examples=20_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @example("a.txt")
            @given(
                st.lists(st.sampled_from(pieces), max_size=8).map("".join) | st.lists(st.text(max_size=4)).map("/".join)
            )
            def walk(path: str) -> None:
                names = admitted(path)
                if names is None:
                    return
                seen["tried"] = seen.get("tried", 0) + 1
                try:
                    file = folder._open(names)
                except NotFound:
                    return
                seen["opened"] = seen.get("opened", 0) + 1
                data = file._read(0, 100)
                file._close()
                assert data in (b"hello", b"b", b"")

            await asyncio.to_thread(walk)

    asyncio.run(check())
    assert seen["tried"] > 1000
    assert seen["opened"]


def admitted(path):
    try:
        return names_in(path)
    except NotFound:
        return None


async def test_a_file_that_shrinks_cuts_its_reply(tmp_path):
    """What was announced does not come, so the end must not look like one."""
    async with served(tmp_path) as at, at.open("GET", "/v1/files/film.mp4") as exchange:
        await exchange.piece()
        os.truncate(tmp_path / "root" / "film.mp4", 500_000)
        await exchange.rest()
        await exchange.returned()
        assert not exchange.complete
        assert await closed(tmp_path)


async def test_a_file_that_grows_is_sent_as_it_was_announced(tmp_path):
    """A log that is written while it is read."""
    async with served(tmp_path) as at, at.open("GET", "/v1/files/film.mp4") as exchange:
        first = await exchange.piece()
        with (tmp_path / "root" / "film.mp4").open("ab") as film:
            film.write(b"more")
        assert first + await exchange.rest() == VIDEO
        assert exchange.complete


async def test_who_leaves_closes_the_file(tmp_path):
    """At once, in the middle of a body."""
    for spec_version in ("2.3", "2.4"):
        place = tmp_path / spec_version
        async with served(place, spec_version=spec_version) as at, at.open("GET", "/v1/files/film.mp4") as exchange:
            await exchange.piece()
            exchange.hold()
            await settle()
            assert files_open(place)
            exchange.disconnect()
            await exchange.returned()
            assert await closed(place)


async def test_who_takes_nothing_is_let_go(tmp_path):
    """After the send deadline, and holds no more than one piece by then."""
    async with served(tmp_path) as at, at.open("GET", "/v1/files/film.mp4") as exchange:
        await exchange.piece()
        exchange.hold()
        taken = len(exchange.waiting())
        await at.clock.advance(29)
        assert not exchange.done
        assert len(exchange.waiting()) == taken
        await at.clock.advance(3)
        await exchange.returned()
        assert not exchange.complete
        assert await closed(tmp_path)


async def test_files_are_for_every_key_and_for_none_without(tmp_path):
    """They are the operator's."""
    async with served(tmp_path, keys=KEYS) as at:
        for key in (ALICE, BOB):
            assert (await at.ask("GET", "/v1/files/a.txt", headers=bearer(key))).body == b"hello"
        for headers in ({}, bearer("wrong-key-0123456789")):
            for method in ("GET", "HEAD"):
                assert (await at.ask(method, "/v1/files/a.txt", headers=headers)).status == 401


async def test_with_a_folder_nothing_below_files_passes_through(tmp_path):
    """Another method is refused here, and never asked of an upstream."""
    async with front(upstream := Fake(), files=Files(folder=furnish(tmp_path))) as at:
        assert (await at.ask("DELETE", "/v1/files/a.txt")).status == 405
        assert (await at.ask("POST", "/v1/files/a.txt")).status == 405
        assert (tmp_path / "root" / "a.txt").read_bytes() == b"hello"
    assert not upstream.calls


async def test_without_a_folder_files_are_the_upstreams():
    """As they are for a client of OpenAI's; here there is no upstream that has any."""
    async with front() as at:
        reply = await at.ask("GET", "/v1/files/a.txt")
        assert reply.status == 404
        assert b"no upstream" in reply.body


async def test_a_folder_that_is_gone_is_not_found(tmp_path):
    """Until it is back: it may be replaced while the server runs."""
    async with served(tmp_path) as at:
        (tmp_path / "root").rename(tmp_path / "away")
        assert (await at.ask("GET", "/v1/files/a.txt")).status == 404
        (tmp_path / "root").symlink_to(tmp_path / "away")
        assert (await at.ask("GET", "/v1/files/a.txt")).body == b"hello"


async def test_a_page_of_a_named_origin_may_read_parts(tmp_path):
    """A player in a page asks before it sends `If-Range`, and must see where its part lies."""
    origin = "https://app.example.com"
    async with served(tmp_path, cors=Cors(origins=(origin,))) as at:
        asked = {"origin": origin, "access-control-request-method": "GET"}
        before = await at.ask("OPTIONS", "/v1/files/film.mp4", headers=asked)
        assert {"Range", "If-Range"} <= set(before.headers["access-control-allow-headers"].split(", "))
        reply = await at.ask("GET", "/v1/files/film.mp4", headers={"origin": origin, "range": "bytes=0-0"})
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (206, origin)
        assert {"Content-Range", "ETag"} <= set(reply.headers["access-control-expose-headers"].split(", "))
        other = await at.ask("GET", "/v1/streams", headers={"origin": origin})
        assert "Content-Range" not in other.headers["access-control-expose-headers"]
