"""Metrics of real servers: over several workers, over the death of one, and of a real upstream."""

import asyncio
import os
import signal
import time
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.server import HeadraceServer, upstream_toml
from tests.e2e.test_workers import workers_of

from headrace.testing.scripted_upstream import Received, ScriptedUpstream, answer, whole

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

ENDED = "headrace_streams_ended_total"
CHAT = {"stream": True, "messages": [{"role": "user", "content": "x"}]}


def scraped(server: HeadraceServer) -> dict[str, float]:
    """Each metric by its name, over its labels but those of buckets."""
    found: dict[str, float] = {}
    text = server.request("GET", "/metrics")[2].decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


async def until(server: HeadraceServer, holds: Callable[[dict[str, float]], bool]) -> None:
    """Both workers are asked: whichever takes the connection must say so, ten times in a row."""
    deadline, row = time.monotonic() + 15, 0
    while row < 10:
        found = await asyncio.to_thread(scraped, server)
        row = row + 1 if holds(found) else 0
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


async def test_workers_answer_for_each_other(tmp_path):
    """Answers are counted once, whoever wrote them and whoever is asked; the dead leave counts and no gauges."""
    server = HeadraceServer(tmp_path, workers=2)
    await asyncio.to_thread(server.start)
    try:
        pids = await workers_of(server)
        ask = {**CHAT, "model": "demo/echo"}
        for _ in range(20):
            await asyncio.to_thread(server.request, "POST", "/v1/chat/completions", ask)
        await until(server, lambda found: found.get(ENDED) == 20 and found["headrace_workers"] == 2)
        os.kill(pids[0], signal.SIGKILL)
        await until(server, lambda found: found.get(ENDED) == 20 and found["headrace_workers"] >= 1)
        await workers_of(server)
        await until(server, lambda found: found.get(ENDED) == 20 and found["headrace_workers"] == 2)
        assert (await asyncio.to_thread(scraped, server))["headrace_store_commit_duration_seconds_count"] >= 20
    finally:
        await asyncio.to_thread(server.stop)


def play(request: Received) -> list[object]:
    if request.method == "GET":
        return [whole('{"object":"list","data":[]}')]
    return [whole('{"error":{"message":"no"}}', status=429)] if b"limited" in request.body else [answer("one ", "two")]


TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@pytest.mark.parametrize("enabled", [False, True])
async def test_a_trace_goes_through(tmp_path, enabled):
    """As the client told it; with OpenTelemetry a span of ours lies between, and is sent to the collector."""
    async with ScriptedUpstream(play) as upstream:
        env = {"HEADRACE_OTEL__ENABLED": str(enabled).lower(), "OTEL_EXPORTER_OTLP_ENDPOINT": upstream.url}
        server = HeadraceServer(tmp_path, upstream_toml(f"{upstream.url}/v1"), env=env)
        await asyncio.to_thread(server.start)
        try:
            for parent in (PARENT, "00-no-trace-01"):
                body, headers = {**CHAT, "model": "m"}, {"traceparent": parent}
                await asyncio.to_thread(server.request, "POST", "/v1/chat/completions", body, headers)
        finally:
            await asyncio.to_thread(server.stop)
        told, strange = (r.headers.get("traceparent", "") for r in upstream.requests if "chat" in r.target)
        sent = [request for request in upstream.requests if request.target == "/v1/traces"]
    if enabled:
        assert told.split("-")[1] == TRACE_ID
        assert told != PARENT
        assert TRACE_ID not in strange
        assert bytes.fromhex(TRACE_ID) in b"".join(request.body for request in sent)
    else:
        assert (told, strange, sent) == (PARENT, "", [])


async def test_upstreams_are_counted_by_their_status(tmp_path):
    """A real upstream's successes and refusals, and the connection that nobody took."""
    async with ScriptedUpstream(play) as upstream:
        toml = upstream_toml(f"{upstream.url}/v1", models='["m", "limited"]')
        toml += upstream_toml("http://127.0.0.1:1/v1", name="gone", models='["gone"]')
        server = HeadraceServer(tmp_path, toml)
        await asyncio.to_thread(server.start)
        try:
            for model, status in (("m", 200), ("limited", 429), ("gone", 502)):
                body = {**CHAT, "model": model}
                assert (await asyncio.to_thread(server.request, "POST", "/v1/chat/completions", body))[0] == status
            text = (await asyncio.to_thread(server.request, "GET", "/metrics"))[2].decode()
        finally:
            await asyncio.to_thread(server.stop)
    for labels in ('status="2xx",upstream="up"', 'status="4xx",upstream="up"', 'status="none",upstream="gone"'):
        assert f"headrace_upstream_requests_total{{{labels}}} 1.0" in text
    assert 'headrace_upstream_time_to_first_token_seconds_count{model="m",upstream="up"} 1.0' in text
