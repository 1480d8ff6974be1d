"""The built pages: their policy, their forms, their age, and what is said where they are not there."""

import gzip

import pytest
from starlette.applications import Starlette

from headrace.errors import NotFound
from headrace.faces.failures import on_error
from headrace.testing.asgi import AppDriver
from headrace.web import assets

PAGE = b"<!doctype html><title>A page</title>"
SCRIPT = b"export const a = 1;\n" * 50


@pytest.fixture
def static(tmp_path):
    """A small build."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(PAGE)
    (tmp_path / "dashboard.html").write_bytes(PAGE + b"2")
    (tmp_path / "headrace.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "main-a1b2.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "main-a1b2.js.gz").write_bytes(gzip.compress(SCRIPT, mtime=0))
    (tmp_path / "notes.sh").write_text("no part of a page")
    return tmp_path


@pytest.fixture
def driver(static):
    return AppDriver(Starlette(routes=list(assets.routes(static))))


@pytest.mark.parametrize(("path", "body"), [("/", PAGE), ("/dashboard", PAGE + b"2")])
async def test_a_page_comes_with_its_policy(driver, path, body):
    """No foreign script, style or frame, no inline code; and it is asked for each time."""
    reply = await driver.ask("GET", path)
    assert (reply.status, reply.body) == (200, body)
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache"
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy


async def test_a_hashed_file_is_kept_for_ever(driver):
    reply = await driver.ask("GET", "/assets/main-a1b2.js")
    assert (reply.status, reply.body) == (200, SCRIPT)
    assert "immutable" in reply.headers["cache-control"]
    assert reply.headers["content-type"] == "text/javascript; charset=utf-8"
    assert (await driver.ask("GET", "/headrace.js")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("br", False),
        ("", False),
    ],
)
async def test_gzip_is_for_those_who_read_it(driver, accepted, zipped):
    reply = await driver.ask("GET", "/assets/main-a1b2.js", headers={"accept-encoding": accepted})
    assert (reply.headers.get("content-encoding") == "gzip") == zipped
    assert (gzip.decompress(reply.body) if zipped else reply.body) == SCRIPT
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert reply.headers["vary"] == "Accept-Encoding"


async def test_who_has_it_is_sent_nothing(driver):
    """Each form has a tag of its own; a 304 says what the reply would have said of caching."""
    plain = await driver.ask("GET", "/assets/main-a1b2.js")
    zipped = await driver.ask("GET", "/assets/main-a1b2.js", headers={"accept-encoding": "gzip"})
    assert plain.headers["etag"] != zipped.headers["etag"]
    again = await driver.ask("GET", "/assets/main-a1b2.js", headers={"if-none-match": plain.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["cache-control"] == plain.headers["cache-control"]
    other = await driver.ask("GET", "/assets/main-a1b2.js", headers={"if-none-match": zipped.headers["etag"]})
    assert other.status == 200


async def test_head_tells_the_length_and_sends_nothing(static, driver):
    reply = await driver.ask("HEAD", "/headrace.js")
    assert int(reply.headers["content-length"]) == len(SCRIPT)


@pytest.mark.parametrize("path", ["/assets/none.js", "/assets/..%2findex.html", "/assets/main-a1b2.js.gz"])
async def test_nothing_else_is_served(static, path):
    """Names are looked up among those that were read, so no path leads anywhere else."""
    driver = AppDriver(Starlette(routes=list(assets.routes(static)), exception_handlers={NotFound: on_error}))
    assert (await driver.ask("GET", path)).status == 404
    assert {route.path for route in assets.routes(static)} == {
        "/",
        "/dashboard",
        "/headrace.js",
        "/assets/{name:path}",
    }


async def test_what_has_not_been_built_says_so(tmp_path):
    """A checkout whose built files are missing still starts."""
    driver = AppDriver(Starlette(routes=list(assets.routes(tmp_path / "none"))))
    reply = await driver.ask("GET", "/")
    assert (reply.status, reply.body) == (404, b"The page has not been built: run scripts/page.\n")
