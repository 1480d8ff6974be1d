"""A target of the proxy: one origin, a path below its base, its own credentials, and nothing of the client's."""

import asyncio
import socket
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.upstreams.ssrf_spellings import HOSTS, WAYS, spellings

from headrace.errors import NotFound, RequestError, UpstreamUnreachable
from headrace.testing.scripted_upstream import Next, ScriptedUpstream, chunked, head
from headrace.upstreams.http import Http
from headrace.upstreams.http_public import is_public
from headrace.upstreams.http_request import outgoing
from headrace.upstreams.target import Asked, ProxyTarget, clean_path

SECRET = "target-secret-0123456789"


def target(base="https://api.example.com/v1", http=None, **headers):
    return ProxyTarget(base, headers or {"authorization": f"Bearer {SECRET}"}, ("GET", "POST"), http or Http())


@asynccontextmanager
async def asking(server, **options):
    """A target that is a scripted server."""
    made = target(f"{server.url}/base", Http(**options))
    try:
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("", ""),
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/a%20b", "/a%20b"),
        ("/%41%2D%7e", "/A-~"),
        ("/a?b#c".replace("?", "%3f").replace("#", "%23"), "/a%3Fb%23c"),
        ("/50%25", "/50%25"),
        ("/%2525", "/%2525"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/users/me@example.com", "/users/me@example.com"),
        ("/v1:predict", "/v1:predict"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/a..b", "/a..b"),
    ],
)
def test_a_path_is_written_anew(path, clean):
    """What means the same is written the same."""
    assert clean_path(path) == clean


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "//a",
        "/a//b",
        "/..",
        "/../a",
        "/a/../b",
        "/a/.",
        "/%2e%2e/a",
        "/%2E./a",
        "/%252e%252e/a",
        "/%25252e%25252e/a",
        "/..;/a",
        "/..;x=y/a",
        "/.%20/a",
        "/a%2fb",
        "/a%252Fb",
        "/a\\b",
        "/a%5cb",
        "/a%255cb",
        "/%00",
        "/a%0d%0aHost:x",
        "/a%09b",
        "/a\tb",
        "/%ff",
        "/%c0%ae%c0%ae/a",
        "/%ef%bc%8e%ef%bc%8e/a",
        "/%ef%bc%8fa",
        "/%e2%80%a8",
        "/%2525252525252e",
        "/" + "a" * 9000,
    ],
)
def test_a_path_that_may_lead_elsewhere_is_refused(path):
    """Whatever some server behind us might make of it."""
    with pytest.raises(NotFound):
        clean_path(path)


@given(st.text(st.sampled_from("ab/.%25eEfF\\?#@:;&= \t\r\n\0é\uff0e\uff0f"), max_size=24))
def test_a_path_never_leaves_the_base(path):
    """What is not refused is below the base, at the same origin, and means what it says."""
    one = target()
    try:
        url = one.url(path, "")
    except NotFound:
        return
    request = outgoing("GET", url, {})
    parts = urlsplit(url)
    assert request.origin == ("https", "api.example.com", 443)
    assert parts.path == "/v1" or parts.path.startswith("/v1/")
    assert not {"..", "."} & set(parts.path.split("/"))
    assert (parts.query, parts.fragment) == ("", "")


def test_the_spellings_are_many():
    assert len(set(spellings(80))) >= 300


@pytest.mark.parametrize("way", WAYS)
def test_no_spelling_of_a_host_is_a_host(way):
    """As a path below the target, each is refused or stays a path."""
    for host in HOSTS:
        spelt = way.replace("{h}", host)
        rest = spelt.partition("/v1/proxy/t")[2] or spelt
        path, _, query = rest.partition("?")
        try:
            url = target().url(path, query)
        except (NotFound, RequestError):
            continue
        assert outgoing("GET", url, {}).origin == ("https", "api.example.com", 443)


def test_the_ticket_stays_here():
    """However its name is written."""
    assert target().url("/a", "x=1&ticket=abc&y=2").endswith("/a?x=1&y=2")
    assert target().url("/a", "tick%65t=abc").endswith("/a")
    for query in ("a b", "a#b", "a\nb", "x" * 9000, "é"):
        with pytest.raises(RequestError):
            target().url("/a", query)


async def test_only_listed_headers_go_on_and_the_targets_own_are_stronger():
    async with ScriptedUpstream([head(200, body="0")]) as server, asking(server) as one:
        headers = {
            "Authorization": "Bearer client",
            "Cookie": "a=b",
            "X-API-Key": "client",
            "Api-Key": "client",
            "Proxy-Authorization": "client",
            "X-Forwarded-For": "1.2.3.4",
            "Forwarded": "for=1.2.3.4",
            "Host": "evil.example",
            "Referer": "http://here/?ticket=x",
            "Connection": "x-a",
            "Headrace-On-Leave": "keep",
            "Idempotency-Key": "k",
            "Accept": "text/csv",
            "Range": "bytes=0-1",
            "If-None-Match": '"a"',
        }
        exchange = await one.ask(Asked("GET", "/x", "", headers))
        exchange.release()
        sent = dict(server.requests[0].headers)
    assert sent.pop("host") == server.url.partition("://")[2]
    assert sent.pop("user-agent").startswith("headrace/")
    assert sent == {
        "authorization": f"Bearer {SECRET}",
        "accept": "text/csv",
        "accept-encoding": "identity",
        "range": "bytes=0-1",
        "if-none-match": '"a"',
    }


async def test_a_body_of_known_length_is_sent_with_it_and_others_in_chunks():
    async def pieces():
        yield b"one, "
        yield b"two"

    async with ScriptedUpstream([head(200, body="0"), Next()]) as server, asking(server) as one:
        for headers in ({"content-length": "8"}, {}):
            (await one.ask(Asked("POST", "/x", "", headers, pieces()))).release()
        first, second = server.requests
    assert (first.body, second.body) == (b"one, two", b"one, two")
    assert (first.headers.get("content-length"), second.headers.get("transfer-encoding")) == ("8", "chunked")


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("/base/other?x=1", "/v1/proxy/t/other?x=1"),
        ("other", "/v1/proxy/t/a/other"),
        ("?page=2", "/v1/proxy/t/a/x?page=2"),
        ("{url}/base/z#top", "/v1/proxy/t/z"),
        ("{url}/base", "/v1/proxy/t"),
        ("/elsewhere", None),
        ("/basement", None),
        ("../../x", None),
        ("//169.254.169.254/", None),
        ("http://169.254.169.254/latest/meta-data", None),
        ("http://127.0.0.1/base/x", None),
        ("https://127.0.0.1:1/base/x", None),
        ("{url}@evil/base/x", None),
        ("javascript:alert(1)", None),
        ("/base/a%2f..%2fb", None),
        ("/base//evil.example", None),
        ("http://[bad/", None),
        (f"/base/x?key={SECRET}", None),
        ("", None),
    ],
)
async def test_a_redirect_is_told_only_where_it_stays_within_the_target(location, told):
    """And is never followed."""
    async with (
        ScriptedUpstream(
            lambda _: [head(302, "Location: " + location.replace("{url}", server.url), body="0")]
        ) as server,
        asking(server) as one,
    ):
        asked = Asked("GET", "/a/x", "", {})
        exchange = await one.ask(asked)
        assert exchange.status == 302
        assert one.passed(exchange, asked, "/v1/proxy/t").get("location") == told
        exchange.release()
        assert len(server.requests) == 1


async def test_of_the_answer_only_listed_headers_pass():
    """No cookie, nothing for a browser, nothing with the target's own credential in it."""
    fields = (
        "Set-Cookie: a=b",
        "Access-Control-Allow-Origin: *",
        "Strict-Transport-Security: max-age=1",
        "WWW-Authenticate: Basic",
        "Link: <x>",
        "Refresh: 0; url=http://x",
        "Server: x",
        "ETag: " + SECRET,
        "Last-Modified: now",
    )
    async with ScriptedUpstream([head(200, *fields, type="text/csv", body="0")]) as server, asking(server) as one:
        exchange = await one.ask(asked := Asked("GET", "/x", "", {}))
        assert one.passed(exchange, asked, "") == {
            "content-type": "text/csv",
            "content-length": "0",
            "last-modified": "now",
        }
        exchange.release()


async def test_a_coded_body_stays_coded():
    """Its coding is told, its bytes are untouched."""
    coded = b"\x1f\x8b not really"
    reply = [head(200, "Content-Encoding: gzip", body=str(len(coded))), coded]
    async with ScriptedUpstream(reply) as server, asking(server, inflate=False) as one:
        exchange = await one.ask(asked := Asked("GET", "/x", "", {"Accept-Encoding": "gzip"}))
        assert one.passed(exchange, asked, "")["content-encoding"] == "gzip"
        assert await exchange.read_all(100) == coded


@pytest.mark.parametrize("host", [host for host in HOSTS if "%" not in host and "xn--" not in host])
async def test_no_spelling_of_an_inner_address_is_connected_to(host):
    """Where only public addresses are allowed, as they are unless the configuration says otherwise."""
    with socket.create_server(("0.0.0.0", 0)) as canary:
        canary.setblocking(False)
        one = target(f"http://{host}:{canary.getsockname()[1]}", Http(allowed=is_public, connect=2.0))
        with pytest.raises(UpstreamUnreachable) as caught:
            await one.ask(Asked("GET", "/x", "", {}))
        await one.close()
        assert not caught.value.accepted
        assert host not in str(caught.value)
        with pytest.raises(BlockingIOError):
            canary.accept()


class Flipping:
    """A resolver that tells another address at each question."""

    def __init__(self, *answers):
        self._answers = answers
        self.asked = 0

    async def __call__(self, host, port, **_):
        answer = self._answers[self.asked % len(self._answers)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_name_that_changes_its_address_leads_nowhere(anyio_backend):
    """What was checked is what is connected to; one bad address among others spoils them all."""
    del anyio_backend
    async with ScriptedUpstream([head(200, body="0")]) as server:
        port = urlsplit(server.url).port
        with socket.create_server(("127.0.0.2", port)) as canary:
            canary.setblocking(False)
            loop = asyncio.get_running_loop()
            loop.getaddrinfo = resolver = Flipping(
                ["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]
            )
            try:
                outcomes = []
                for _ in range(8):
                    one = target(f"http://rebind.example:{port}", Http(allowed=lambda address: address == "127.0.0.1"))
                    try:
                        exchange = await one.ask(Asked("GET", "/x", "", {}))
                        outcomes.append(exchange.status)
                    except UpstreamUnreachable:
                        outcomes.append(None)
                    await one.close()
            finally:
                del loop.getaddrinfo
            assert outcomes == [200, None, None, None] * 2
            assert resolver.asked == 8
            with pytest.raises(BlockingIOError):
                canary.accept()


async def test_proxies_of_the_environment_are_nothing_to_us(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.setblocking(False)
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{canary.getsockname()[1]}")
        async with ScriptedUpstream([head(200, body="chunked"), chunked(b"x")]) as server, asking(server) as one:
            assert await (await one.ask(Asked("GET", "/x", "", {}))).read_all(10) == b"x"
        with pytest.raises(BlockingIOError):
            canary.accept()
