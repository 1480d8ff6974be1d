"""Metrics over HTTP: who may see them, what they say of answers, and the heads that tell of times."""

import asyncio
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.faces.front import ALICE, MESSAGES, Fake, bearer, front, script

from headrace.config import Settings
from headrace.config.observing import Metrics
from headrace.errors import UpstreamRefused
from headrace.testing.clock import settle

KEY = "scrape-key-0123456789"
ASKED = {"model": "fake", "stream": True, "messages": MESSAGES}


async def samples(at, headers=()):
    """Each sample by its name and labels."""
    reply = await at.ask("GET", "/metrics", headers=dict(headers))
    assert reply.status == 200, reply.body
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }


def labelled(name, **labels):
    return (name, *sorted(labels.items()))


async def test_an_answer_shows_in_both_legs():
    """Its end, its upstream's times, and the client's."""
    async with front(Fake(script("a", "b"))) as at:
        await at.ask("POST", "/v1/chat/completions", ASKED)
        found = await samples(at)
    assert found[labelled("headrace_streams_ended_total", state="completed", reason="stop")] == 1
    of = {"upstream": "fake", "model": "fake"}
    assert found[labelled("headrace_upstream_time_to_first_token_seconds_count", **of)] == 1
    assert found[labelled("headrace_time_to_first_token_seconds_count", **of)] == 1
    assert found[labelled("headrace_added_time_to_first_token_seconds_count")] == 1
    assert found[labelled("headrace_http_requests_total", route="/v1/chat/completions", status="2xx")] == 1
    assert found[labelled("headrace_open_streams")] == 0
    assert found[labelled("process_resident_memory_bytes")] > 1e6


async def test_nothing_of_a_client_becomes_a_label():
    """Paths, models and queries may hold anything."""
    async with front(Fake(script("a"))) as at:
        await at.ask("GET", "/v1/streams/canary-id?after=canary")
        await at.ask("GET", "/canary")
        await at.ask("POST", "/v1/chat/completions", {**ASKED, "model": "fake/canary"})
        reply = await at.ask("GET", "/metrics")
    assert b"canary" not in reply.body
    assert b'route="/v1/streams/{id}",status="4xx"' in reply.body
    assert b'model="other"' in reply.body


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text; version=1.0.0;"),
        ("application/openmetrics-text;version=x.y", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
async def test_the_format_is_chosen(accept, media_type):
    """Prometheus prefers OpenMetrics; nonsense gets the oldest."""
    async with front() as at:
        reply = await at.ask("GET", "/metrics", headers={"accept": accept})
        assert reply.status == 200
        assert reply.headers["content-type"].startswith(media_type)
        assert reply.headers["cache-control"] == "no-store"


async def test_without_a_key_they_are_for_this_machine():
    """And not for whom a proxy on this machine asks."""
    async with front() as at:
        assert (await at.ask("GET", "/metrics")).status == 200
        for header in ("x-forwarded-for", "forwarded", "x-real-ip", "via"):
            assert (await at.ask("GET", "/metrics", headers={header: "127.0.0.1"})).status == 403
        for client in (("192.0.2.1", 1), ("::ffff:192.0.2.1", 1), ("testclient", 1), None):
            at.driver.client = client
            assert (await at.ask("GET", "/metrics")).status == 403
        for client in (("::1", 1), ("::ffff:127.0.0.1", 1)):
            at.driver.client = client
            assert (await at.ask("GET", "/metrics")).status == 200


async def test_a_key_opens_them_to_others():
    """That key, and no API key: it is one owner's, and these are everybody's."""
    async with front(metrics=Metrics(key=KEY), keys={"alice": ALICE}) as at:
        for headers in ({}, bearer(ALICE), bearer(KEY + "x"), {"x-api-key": KEY}, {"authorization": KEY}):
            reply = await at.ask("GET", "/metrics", headers=headers)
            assert reply.status == 401
            assert KEY.encode() not in reply.body
        at.driver.client = ("192.0.2.1", 1)
        assert (await at.ask("GET", "/metrics", headers=bearer(KEY))).status == 200


async def test_they_can_be_turned_off():
    """Then there is no such route."""
    async with front(metrics=Metrics(enabled=False)) as at:
        assert (await at.ask("GET", "/metrics")).status == 404


@pytest.mark.parametrize("key", ["short", "with a space in it all", "ümlaut-0123456789"])
def test_a_weak_key_is_refused(key):
    """It is as good as none."""
    with pytest.raises(ValueError, match="at least 16"):
        Settings(metrics={"key": key})


async def test_a_head_says_what_took_the_time():
    """The model until its first records, and us; a reply without a model only us."""
    gate = asyncio.Event()
    async with front(Fake([gate, *script("a")])) as at:
        async with at.open("POST", "/v1/chat/completions", ASKED) as exchange:
            await settle()
            await at.clock.advance(2.0)
            gate.set()
            reply = await exchange.response()
        assert re.fullmatch(r"upstream;dur=2000\.0, headrace;dur=\d+\.\d", reply.headers["server-timing"])
        reply = await at.ask("POST", "/v1/chat/completions", {**ASKED, "stream": False, "model": "demo/echo"})
        assert reply.headers["server-timing"].startswith("headrace;dur=")
        reply = await at.ask("GET", "/health")
        assert re.fullmatch(r"headrace;dur=\d+\.\d", reply.headers["server-timing"])


async def test_a_refusal_does_not_tell_how_long_it_took():
    """That would tell a foreign stream from one that never was. It is counted all the same."""
    refusing = Fake(head=[UpstreamRefused(status=429, accepted=False)])
    async with front(refusing) as at:
        reply = await at.ask("POST", "/v1/chat/completions", ASKED)
        assert reply.status == 429
        assert "server-timing" not in reply.headers
        found = await samples(at)
    assert found[labelled("headrace_http_requests_total", route="/v1/chat/completions", status="4xx")] == 1


@pytest.mark.parametrize(
    ("headers", "id"),
    [
        ({"x-request-id": "one"}, "one"),
        ({"x-client-request-id": "two"}, "two"),
        ({"x-request-id": "one", "x-client-request-id": "two"}, "one"),
        ({"x-request-id": "o n e", "x-client-request-id": "two"}, "two"),
    ],
)
async def test_a_request_keeps_its_id(headers, id):
    """The client's own, under either name, where it can stand in a log."""
    async with front() as at:
        assert (await at.ask("GET", "/health", headers=headers)).headers["x-request-id"] == id
