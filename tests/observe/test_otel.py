"""Spans and metrics in OpenTelemetry's words: one span for each answer, below the client's, with no content."""

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from tests.core.house import House

from headrace.config.checks import _is_there
from headrace.core.asked import ASKED, TRACE, Asked
from headrace.core.registry import Registry
from headrace.core.routing import Attempt, Call
from headrace.errors import UpstreamFault
from headrace.model.leave import KEEP
from headrace.model.outcome import Usage
from headrace.model.request import Meta
from headrace.observe.otel import Telemetry
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import End, FakeUpstream, chunk

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
BODY = {"max_tokens": 7, "temperature": 0.5, "top_p": True, "messages": [{"role": "user", "content": "canary"}]}


class Traced(House):
    """A house whose answers are traced into memory."""

    def __init__(self) -> None:
        super().__init__()
        self.spans, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.telemetry = Telemetry(
            SimpleSpanProcessor(self.spans),
            self.reader,
            providers={"fake": "openai"},
            label=lambda model: model if model == "known" else "other",
        )
        self.registry = Registry(self.log, self.clock, tracer=self.telemetry)

    async def answered(self, upstream: FakeUpstream, model: str = "known"):
        """The span of an answer that has ended."""
        meta = Meta(owner="canary", dialect="openai.chat", created=1.0, model=model)
        call = Call(dialect="openai.chat", body=BODY, model=model, stream=True)
        await self.registry.start(meta, [Attempt(upstream, call)], KEEP)
        await settle()
        (span,) = self.spans.get_finished_spans()
        return span

    def metrics(self):
        """Each data point by its metric's name."""
        (resource,) = self.reader.get_metrics_data().resource_metrics
        (scope,) = resource.scope_metrics
        return {metric.name: list(metric.data.data_points) for metric in scope.metrics}


@asynccontextmanager
async def traced():
    made = Traced()
    yield made
    await made.registry.close()
    await made.telemetry.close()


async def test_an_answer_is_a_span():
    """With what was asked, how it ended and what it used."""
    async with traced() as it:
        usage = Usage(input=3, output=5, cached=2, reasoning=1)
        span = await it.answered(FakeUpstream([chunk("canary"), chunk("b"), End("stop", usage)]))
        assert (span.name, span.kind, span.parent) == ("chat known", SpanKind.CLIENT, None)
        found = dict(span.attributes)
        assert found.pop("headrace.stream.id").startswith("st_")
        assert found == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "known",
            "gen_ai.request.stream": True,
            "gen_ai.request.max_tokens": 7,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.response.model": "known",
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.response.time_to_first_chunk": 0.0,
            "gen_ai.usage.input_tokens": 3,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cache_read.input_tokens": 2,
            "gen_ai.usage.reasoning.output_tokens": 1,
            "headrace.outcome.state": "completed",
            "headrace.outcome.reason": "stop",
            "headrace.upstream": "fake",
        }
        assert span.resource.attributes["service.name"] == "headrace"
        assert "canary" not in span.to_json()


async def test_metrics_have_the_names_of_the_conventions():
    async with traced() as it:
        await it.answered(FakeUpstream([chunk("a"), End("stop", Usage(input=3, output=5))]))
        points = it.metrics()
    assert set(points) == {
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.token.usage",
    }
    used = {point.attributes["gen_ai.token.type"]: point.sum for point in points["gen_ai.client.token.usage"]}
    assert used == {"input": 3, "output": 5}
    (duration,) = points["gen_ai.client.operation.duration"]
    assert dict(duration.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "known",
    }


async def test_a_failure_is_an_error_by_its_code():
    """And never by anybody's words."""
    async with traced() as it:
        span = await it.answered(FakeUpstream([chunk("a"), UpstreamFault("canary")]), model="canary")
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "upstream_error")
        assert span.attributes["error.type"] == "upstream_error"
        assert span.attributes["gen_ai.request.model"] == "other"
        assert "canary" not in span.to_json()
        (duration,) = it.metrics()["gen_ai.client.operation.duration"]
        assert duration.attributes["error.type"] == "upstream_error"


async def test_a_client_finds_its_trace_again():
    """The span is below the client's, and the upstream's will be below the span."""
    told = []
    upstream = FakeUpstream(lambda _: told.append(dict(TRACE.get())) or [chunk("a"), End()])
    token = ASKED.set(Asked("req", 0.0, f"00-{TRACE_ID}-{SPAN_ID}-01", "vendor=1"))
    try:
        async with traced() as it:
            span = await it.answered(upstream)
    finally:
        ASKED.reset(token)
    context = span.get_span_context()
    assert format(span.parent.span_id, "016x") == SPAN_ID
    assert format(context.trace_id, "032x") == TRACE_ID
    assert told == [{"traceparent": f"00-{TRACE_ID}-{context.span_id:016x}-01", "tracestate": "vendor=1"}]


async def test_an_answer_that_is_taken_away_leaves_no_open_span():
    """It was dropped, so nobody knows how it ended."""
    async with traced() as it:
        meta = Meta(owner="o", dialect="openai.chat", created=1.0)
        call = Call(dialect="openai.chat", body={}, model="known", stream=True)
        gate = asyncio.Event()
        started = await it.registry.start(meta, [Attempt(FakeUpstream([chunk("a"), gate, End()]), call)], KEEP)
        await settle()
        await it.log.drop(started.head.id)
        gate.set()
        await settle()
        (span,) = it.spans.get_finished_spans()
        assert "headrace.outcome.state" not in span.attributes


@pytest.mark.parametrize("collector", ["http://127.0.0.1:1"])
async def test_a_collector_that_is_away_holds_nobody_up(monkeypatch, collector):
    """Neither an answer nor the end."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
    monkeypatch.setattr("headrace.observe.otel.CLOSING", 0.2)
    telemetry = Telemetry.to_collector({}, lambda _: "other")
    telemetry.begin("st_1", Call(dialect="openai.chat", body=json.loads("{}"), model="m", stream=True))
    await telemetry.close()


def test_the_framework_traces_nothing_by_itself():
    """Its spans hold whole URLs, tickets included, and the texts of exceptions; a provider for all does not wake it."""
    program = """if True:
        import asyncio
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from headrace.app import create_app
        from headrace.config import Settings, Store
        from headrace.testing.asgi import AppDriver

        spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(spans))
        trace.set_tracer_provider(provider)
        app = create_app(Settings(store=Store(data="memory:")))

        async def main():
            async with app.router.lifespan_context(app):
                async with AppDriver(app).open("GET", "/ready?ticket=CANARY", b"", ()) as exchange:
                    print((await exchange.response()).status)

        asyncio.run(main())
        print([span.name for span in spans.get_finished_spans()])
    """
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.split("\n")[:2] == ["200", "[]"]


def test_a_missing_package_is_found_missing():
    """Also where what it would lie in is not there; ``headrace check`` then says what to install."""
    assert _is_there("opentelemetry", "sdk")
    assert not _is_there("opentelemetry", "none", "below")
    assert not _is_there("no_such_package", "below")
