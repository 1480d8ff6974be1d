"""The guard: whose pages may ask, how large a request may be, and what every response carries."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.faces.guarded import EVIL, FRIEND, HOME, LOCAL, NAMED, SILENCE, ask, echo, messages_of, render

from headrace.config import Deadlines, Limits, Server, Settings
from headrace.errors import BodyTooLarge, Forbidden, HeadraceError
from headrace.faces.guard import STARTED_BY_GET, Guard

# -- hosts -----------------------------------------------------------------------------------------------------------

OURS = ["localhost", "localhost:8003", "LOCALHOST:1", "localhost.", "127.0.0.1:8003", "[::1]:8003", "[::1]"]
NOT_OURS = [
    "evil.example",
    "evil.example:8003",
    "localhost.evil.example",
    "127.0.0.1.nip.io",
    "evil-localhost",
    "127.0.0.2",
    "0.0.0.0:8003",
    "[::]:8003",
    "192.168.1.5:8003",
    "2130706433",
]
#: No host at all (the corpus of CVE-2026-48710).
MALFORMED = ["", ":8003", "localhost:", "localhost:x", "localhost:123456", "localhost/v1", "localhost?x", "localhost#x",
             "a@localhost", "localhost@evil", "localhost,evil", "localhost evil", "local\thost", "[::1", "::1", "é",
             "localhost\\evil", "http://localhost"]  # fmt: skip


@pytest.mark.parametrize("host", OURS)
async def test_on_loopback_its_own_hosts_are_answered_for(host):
    """With any port: containers publish another."""
    assert (await ask(LOCAL, host=host)).status == 200


@pytest.mark.parametrize("host", [*NOT_OURS, *MALFORMED, None])
@pytest.mark.parametrize(("method", "path"), [("GET", "/health"), ("POST", "/chat"), ("OPTIONS", "/chat")])
async def test_on_loopback_no_other_host_is(host, method, path):
    """A name that an attacker points at 127.0.0.1 gets nothing, not even a GET."""
    response = await ask(LOCAL, method, path, host=host)
    assert (response.status, response.body) == (421, f"{path} host_refused".encode())


async def test_two_hosts_are_none():
    """Whoever is in front may have looked at the other one."""
    assert (await ask(LOCAL, host=None, Host=["localhost", "localhost"])).status == 421


@pytest.mark.parametrize(("hosts", "host", "status"), [
    (("my.box",), "my.box:8003", 200),
    (("my.box",), "localhost", 200),
    (("my.box",), "other.box", 421),
    (("*",), "evil.example", 200),
    (("*",), "a@b", 421),
])  # fmt: skip
async def test_more_hosts_can_be_configured(hosts, host, status):
    """By name; or all of them, for a container whose port is published on loopback."""
    assert (await ask(Settings(server=Server(hosts=hosts)), host=host)).status == status


async def test_the_address_that_is_listened_on_is_ours():
    """Any of 127/8."""
    assert (await ask(Settings(server=Server(host="127.0.0.2")), host="127.0.0.2:8003")).status == 200


@pytest.mark.parametrize("host", ["api.example.com", "10.0.0.1:8003", "localhost"])
async def test_beyond_loopback_any_host_is_answered_for(host):
    """There keys are needed, and pages have none."""
    assert (await ask(Settings(server=Server(host="0.0.0.0")), host=host)).status == 200


@pytest.mark.parametrize(("host", "status"), [("api.example.com", 200), ("localhost", 200), ("evil.example", 421)])
async def test_beyond_loopback_named_hosts_are_the_only_ones(host, status):
    """Beside the loopback's own, for probes."""
    named = Settings(server=Server(host="0.0.0.0", hosts=("api.example.com",)))
    assert (await ask(named, host=host)).status == status


@pytest.mark.parametrize("host", MALFORMED)
async def test_beyond_loopback_a_host_is_still_a_host(host):
    """A URL made of something else would mislead whoever reads it."""
    assert (await ask(Settings(server=Server(host="0.0.0.0")), host=host)).status == 421


# -- origins ---------------------------------------------------------------------------------------------------------

STARTS = [("POST", "/v1/chat/completions"), ("POST", "/chat"), ("POST", "/infer"), ("POST", "/v1/embeddings"),
          ("POST", "/v1/streams/s/cancel"), ("DELETE", "/v1/streams/s"), ("PUT", "/v1/topics/t"),
          *(("GET", path) for path in sorted(STARTED_BY_GET)), ("GET", "/chat/stream/")]  # fmt: skip
READS = [("GET", "/v1/streams/s"), ("GET", "/"), ("HEAD", "/v1/streams/s"), ("GET", "/v1/models")]

#: Origin, Sec-Fetch-Site, and whether that is a page from elsewhere.
PAGES = [
    (None, None, False),
    (HOME, None, False),
    (HOME, "same-origin", False),
    (None, "same-origin", False),
    (None, "none", False),
    ("https://public.example", "same-origin", False),
    (EVIL, None, True),
    (EVIL, "cross-site", True),
    (None, "cross-site", True),
    (None, "same-site", True),
    ("http://localhost:9999", "same-site", True),
    ("http://localhost", None, True),
    ("null", None, True),
    ("null", "cross-site", True),
    (HOME, "cross-site", True),
    (f"{HOME}.evil.example", None, True),
    ("http://evil@localhost:8003", None, True),
]


@pytest.mark.parametrize(("origin", "site", "elsewhere"), PAGES)
@pytest.mark.parametrize(("method", "path"), STARTS)
async def test_pages_from_elsewhere_start_and_change_nothing(method, path, origin, site, elsewhere):
    """Neither with a form, nor an image, nor text/plain."""
    reached = []

    async def app(scope, receive, send):
        reached.append(scope["path"])
        await echo(scope, receive, send)

    response = await ask(LOCAL, method, path, app, origin=origin, sec_fetch_site=site, content_type="text/plain")
    assert (response.status, reached) == ((403, []) if elsewhere else (200, [path]))
    assert response["access-control-allow-origin"] is None


@pytest.mark.parametrize(("origin", "site"), [(origin, site) for origin, site, _ in PAGES])
@pytest.mark.parametrize(("method", "path"), READS)
async def test_what_starts_nothing_is_left_to_the_browser(method, path, origin, site):
    """A link from elsewhere may lead here; what it shows cannot be read from there."""
    response = await ask(LOCAL, method, path, origin=origin, sec_fetch_site=site)
    assert (response.status, response["access-control-allow-origin"]) == (200, None)


@pytest.mark.parametrize(("method", "path"), STARTS)
async def test_a_named_origin_may(method, path):
    """In any case of letters, as browsers write it."""
    for origin in (FRIEND, FRIEND.upper()):
        response = await ask(NAMED, method, path, origin=origin, sec_fetch_site="cross-site")
        assert response.status == 200


async def test_behind_the_prefix_under_which_the_app_is_mounted_a_get_still_starts():
    """The path is the app's own."""
    refused = []

    async def send(message):
        refused.append(message.get("status"))

    scope = {"type": "http", "method": "GET", "path": "/llm/chat/stream", "root_path": "/llm", "http_version": "1.1",
             "headers": [(b"host", b"localhost"), (b"sec-fetch-site", b"cross-site")]}  # fmt: skip
    await Guard(echo, LOCAL, render)(scope, None, send)
    assert refused[0] == 403


# -- bodies ----------------------------------------------------------------------------------------------------------

SMALL = Settings(limits=Limits(body_bytes=10), deadlines=Deadlines(body=0.01))


@pytest.mark.parametrize(("body", "length", "status"), [
    ((b"x" * 10,), "10", 200),
    ((b"x" * 11,), "11", 413),
    ((b"",), "99999999999999999999999", 413),
    ((b"x" * 10,), None, 200),
    ((b"x" * 11,), None, 413),
    ((b"x" * 5, b"y" * 5), None, 200),
    ((b"x" * 5, b"y" * 6), None, 413),
    ((b"x" * 11,), "5", 413),
    ((b"x",), "-1", 400),
    ((b"x",), "1e1", 400),
    ((b"x",), ["1", "2"], 400),
])  # fmt: skip
async def test_bodies_are_bounded(body, length, status):
    """By what their headers say, and by what comes."""
    response = await ask(SMALL, body=body, content_length=length)
    assert response.status == status
    if status == 413:
        assert response["connection"] == "close"


async def test_an_endless_body_is_not_read_to_its_end():
    """One piece over the bound, and no more."""
    taken = []

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield {"type": "http.request", "body": b"xxxx", "more_body": True}

    assert (await ask(SMALL, messages=endless())).status == 413
    assert len(taken) == 3


async def test_a_framework_that_answers_a_refused_body_in_its_own_way_is_overruled():
    """FastAPI makes 400 of whatever reading a body raises."""

    async def app(scope, receive, send):
        try:
            await receive()
        except HeadraceError:
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"There was an error parsing the body"})

    response = await ask(SMALL, app=app, body=(b"x" * 11,))
    assert (response.status, response.body) == (413, b"/chat request_too_large")


async def test_a_body_that_stops_is_given_up():
    """One byte and then nothing."""
    response = await ask(SMALL, messages=[{"type": "http.request", "body": b"x", "more_body": True}, SILENCE])
    assert (response.status, response.body, response["connection"]) == (408, b"/chat request_timeout", "close")


@pytest.mark.parametrize(("path", "status"), [("/chat", 408), ("/v1/proxy/t/x", 200)])
async def test_a_body_that_trickles_uses_up_the_patience_in_all(path, status):
    """A byte now and then keeps no connection; but what is passed on goes as it comes."""

    class Trickle:
        def __init__(self):
            self.left = 8

        async def __call__(self):
            await asyncio.sleep(0.02)
            self.left -= 1
            return {"type": "http.request", "body": b"x", "more_body": self.left > 0}

    patient = Settings(deadlines=Deadlines(body=0.1))
    assert (await ask(patient, path=path, receive=Trickle())).status == status


async def test_a_body_that_comes_fast_enough_may_take_longer_than_the_patience():
    async def slowly():
        await asyncio.sleep(0.06)
        return {"type": "http.request", "body": b"x" * 1000, "more_body": next(left) > 0}

    left = iter(range(9, -1, -1))
    # Much longer than one of them takes, or else a busy machine is no client that comes fast enough.
    assert (await ask(Settings(deadlines=Deadlines(body=0.5)), receive=slowly)).body == b"10000"


@pytest.mark.parametrize(("fields", "status"), [
    ({f"x-{n}": "y" for n in range(98)}, 200),
    ({f"x-{n}": "y" for n in range(100)}, 431),
    ({"x": ["y"] * 101}, 431),
    ({"x": "y" * 60_000}, 200),
    ({"x": "y" * 66_000}, 431),
    ({"x": ["y" * 3_000] * 30}, 431),
])  # fmt: skip
async def test_heads_are_bounded(fields, status):
    """By their fields and their bytes, whatever the server in front of the app bears."""
    response = await ask(LOCAL, **fields)
    assert (response.status, response["connection"]) == (status, "close" if status == 431 else None)


@pytest.mark.parametrize("path", ["/" + "x" * 70_000, "/chat"])
async def test_paths_and_queries_are_bounded_with_them(path):
    assert (await ask(LOCAL, path=path, query=b"x" * 70_000)).status == 431


@pytest.mark.parametrize(("method", "read_first"), [("POST", True), ("GET", True), ("GET", False)])
async def test_a_client_without_more_to_say_may_stay_silent(method, read_first):
    """Whoever waits for it to leave waits without a deadline."""
    waited = []

    async def app(scope, receive, send):
        if read_first:
            await receive()
        leaving = asyncio.ensure_future(receive())
        waited.append(not (await asyncio.wait([leaving], timeout=0.05))[0])
        leaving.cancel()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    messages = [*(messages_of((b"{}",)) if read_first else ()), SILENCE]
    assert (await ask(SMALL, method, app=app, messages=messages)).status == 200
    assert waited == [True]


@pytest.mark.parametrize(
    ("encoding", "status"),
    [("gzip", 415), ("identity, br", 415), (["identity", "zstd"], 415), ("identity", 200), ("", 200)],
)
async def test_a_compressed_body_is_refused(encoding, status):
    """Inflating is not bounded by what is sent."""
    assert (await ask(LOCAL, content_encoding=encoding)).status == status


async def test_once_the_answer_has_begun_a_refused_body_cuts_it():
    """It never ends as if it were complete."""
    started = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        started.append(True)
        await receive()

    with pytest.raises(BodyTooLarge):
        await ask(SMALL, app=app, body=(b"x" * 11,))
    assert started


# -- what every response carries -------------------------------------------------------------------------------------


async def test_every_response_carries_security_headers():
    """Answers and refusals; what the app says itself stays."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"Referrer-Policy", b"origin")]})
        await send({"type": "http.response.body"})

    for response in (await ask(LOCAL), await ask(LOCAL, host="evil.example"), await ask(LOCAL, origin=EVIL)):
        assert response["x-content-type-options"] == "nosniff"
        assert response["x-frame-options"] == "DENY"
        assert response["referrer-policy"] == "no-referrer"
        assert response["cross-origin-resource-policy"] == "same-origin"
    assert (await ask(LOCAL, app=app))["referrer-policy"] == "origin"


@pytest.mark.parametrize("given", ["abc-1.2_3", "x" * 128])
async def test_a_request_id_is_said_again(given):
    """Under the names that OpenAI's and Anthropic's SDKs look for; and the app knows it."""
    known = []

    async def app(scope, receive, send):
        known.append(scope["state"]["request_id"])
        await echo(scope, receive, send)

    for reply in (await ask(LOCAL, app=app, x_request_id=given), await ask(LOCAL, host="evil", x_request_id=given)):
        assert (reply["x-request-id"], reply["request-id"]) == (given, given)
    assert known == [given]


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "a\r\nb: c", "\x1b[31m", "é", ["a", "b"]])
async def test_what_cannot_stand_in_a_log_is_replaced(given):
    """By one of ours, another each time."""
    found = {(await ask(LOCAL, x_request_id=given))["x-request-id"] for _ in range(2)}
    assert len(found) == 2
    assert all(one.startswith("req_") and len(one) == 28 for one in found)


async def test_an_error_of_the_app_is_told_in_its_shape():
    """Where no handler of the app's has seen it."""

    async def app(scope, receive, send):
        raise Forbidden

    assert (await ask(LOCAL, app=app)).body == b"/chat forbidden"


async def test_a_head_request_is_refused_without_a_body():
    """But with the length that it would have."""
    response = await ask(LOCAL, "HEAD", "/x", host="evil.example")
    assert (response.status, response.body, response["content-length"]) == (421, b"", "15")


NAMES = ["Host", "origin", "sec_fetch_site", "content_length", "content_encoding", "x_request_id"]
VALUES = st.sampled_from(["localhost", FRIEND, EVIL, "null", "same-origin", "2", "identity"]) | st.text(
    st.characters(max_codepoint=255)
)


@given(st.dictionaries(st.sampled_from(NAMES), st.lists(VALUES, min_size=1, max_size=2)))
def test_no_header_is_too_strange_for_an_answer(headers):
    """Any bytes, any number of times: refused or served, never an exception, and no page let in by them."""
    response = asyncio.run(ask(NAMED, host=None, **headers))
    assert response.status in (200, 400, 403, 413, 415, 421)
    assert response["access-control-allow-origin"] in (None, FRIEND)


async def test_other_protocols_pass():
    """Lifespan, for one."""
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    await Guard(app, LOCAL, render)({"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]


async def test_chunks_pass_without_a_coroutine_of_the_guards():
    """After the head, the app's send is the server's."""
    handed = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        chunk = {"type": "http.response.body", "body": b"x", "more_body": True}
        handed.append(send(chunk) is not None)
        assert made[-1] == chunk

    made = []

    def send(message):
        made.append(message)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")], "http_version": "2"}
    await Guard(app, LOCAL, render)(scope, None, send)
    assert handed == [True]
