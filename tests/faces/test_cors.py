"""CORS: what pages of other origins are told, through the guard."""

import pytest
from tests.faces.guarded import ANY, EVIL, FRIEND, LOCAL, NAMED, ask

from headrace.config import Cors, Settings

ALLOWED = "Authorization, Content-Type, Last-Event-ID, Idempotency-Key, Headrace-On-Leave, If-None-Match"
EXPOSED = "Headrace-Stream-Id, Location, x-request-id, Retry-After, x-should-retry"


def preflight(settings, origin, method="POST"):
    """What a browser asks before it asks."""
    return ask(settings, "OPTIONS", "/v1/chat/completions", origin=origin, access_control_request_method=method)


@pytest.mark.parametrize(("settings", "origin", "told"), [
    (NAMED, FRIEND, FRIEND),
    (NAMED, "http://localhost:3000", "http://localhost:3000"),
    (NAMED, EVIL, None),
    (NAMED, FRIEND + ".evil.example", None),
    (NAMED, "http://app.example.com", None),
    (NAMED, FRIEND + ":444", None),
    (NAMED, "null", None),
    (ANY, EVIL, "*"),
    (ANY, "null", None),
    (LOCAL, EVIL, None),
    (LOCAL, "null", None),
])  # fmt: skip
async def test_origins_are_told_whether_they_may(settings, origin, told):
    """On preflights, answers and errors; what is not allowed is told nothing."""
    before = await preflight(settings, origin)
    answer = await ask(settings, "GET", "/v1/models", origin=origin)
    error = await ask(settings, "POST", content_encoding="gzip", origin=origin)
    assert [reply["access-control-allow-origin"] for reply in (before, answer, error)] == [told] * 3
    assert (before.status, answer.status, error.status) == ((204, 200, 415) if told else (403, 200, 403))
    if told:
        assert before["access-control-allow-headers"] == ALLOWED
        assert before["access-control-allow-methods"] == "GET, HEAD, POST, PUT, PATCH, DELETE"
        assert before["access-control-max-age"] == "600"
        assert answer["access-control-expose-headers"] == EXPOSED
        assert error["access-control-expose-headers"] == EXPOSED
    else:
        assert not [name for name, _ in [*before.raw, *answer.raw, *error.raw] if name.startswith(b"access-control")]


async def test_a_cache_is_told_that_answers_differ_by_origin():
    """Also in the answer that allows nothing; not where all are told the same."""
    for origin in (FRIEND, EVIL, None):
        assert (await ask(NAMED, "GET", "/v1/models", origin=origin)).all("vary") == ["Origin"]
    assert (await ask(ANY, "GET", "/v1/models", origin=EVIL)).all("vary") == []


async def test_credentials_only_where_they_are_configured():
    """And with the origin's name, never with ``*``."""
    with_cookies = Settings(cors=Cors(origins=(FRIEND,), credentials=True))
    assert (await preflight(with_cookies, FRIEND))["access-control-allow-credentials"] == "true"
    assert (await preflight(with_cookies, EVIL))["access-control-allow-credentials"] is None
    assert (await preflight(NAMED, FRIEND))["access-control-allow-credentials"] is None
    assert (await preflight(ANY, FRIEND))["access-control-allow-credentials"] is None


async def test_options_without_a_preflights_headers_is_the_apps():
    """It is a method like others."""
    assert (await ask(NAMED, "OPTIONS", origin=FRIEND)).status == 200


async def test_an_upstreams_cors_headers_open_nothing():
    """The app cannot let pages in by passing a response on."""

    async def app(scope, receive, send):
        headers = [(b"Access-Control-Allow-Origin", b"*"), (b"X-Request-Id", b"theirs"), (b"x-other", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    response = await ask(LOCAL, app=app, x_request_id="ours")
    assert response["access-control-allow-origin"] is None
    assert (response["x-request-id"], response["x-other"]) == ("ours", "1")
