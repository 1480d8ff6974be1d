"""OpenTelemetry: a span for each answer, and metrics, in the words of its conventions for generative AI.

Both are made from an answer's start and its end; nothing is done for a chunk, and content is nowhere in it.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from headrace import __version__
from headrace.core.meters import Course, reason_of
from headrace.core.routing import Call
from headrace.core.tracing import trace_of_client
from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.model.outcome import Outcome, State

#: Seconds that the last spans and values get on their way out.
CLOSING = 3.0

#: The buckets that the conventions name.
_SECONDS = [0.01 * 2**power for power in range(14)]
_TOKENS = [4**power for power in range(14)]

#: Of a request, what is a number and says nothing of its content.
_ASKED = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
}

Attributes = dict[str, AttributeValue]


class Telemetry:
    """A :class:`~headrace.core.tracing.Tracer`. ``providers`` are the makers of upstreams, by the upstream's name.

    ``label`` gives a model's name where it is known, and a word for all others.
    """

    def __init__(
        self,
        spans: SpanProcessor,
        metrics: MetricReader,
        *,
        providers: Mapping[str, str],
        label: Callable[[str], str],
    ) -> None:
        # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say is stronger.
        resource = Resource({SERVICE_NAME: "headrace"}).merge(OTELResourceDetector().detect())
        self._traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._traces.add_span_processor(spans)
        self._tracer = self._traces.get_tracer("headrace", __version__)
        self._metrics = MeterProvider([metrics], resource=resource, shutdown_on_exit=False)
        meter = self._metrics.get_meter("headrace", __version__)
        self.duration = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self.first = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", explicit_bucket_boundaries_advisory=_TOKENS
        )
        self.providers = providers
        self.label = label

    @classmethod
    def to_collector(cls, providers: Mapping[str, str], label: Callable[[str], str]) -> "Telemetry":
        """Send both to where the ``OTEL_EXPORTER_OTLP_…`` variables say."""
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        return cls(BatchSpanProcessor(OTLPSpanExporter()), reader, providers=providers, label=label)

    def begin(self, id: str, call: Call) -> "AnswerSpan":
        """Begin a span below the client's, where it has told one."""
        model = self.label(call.model)
        operation = "chat" if call.dialect in (CHAT, RESPONSES, MESSAGES) else "record"
        parent = TraceContextTextMapPropagator().extract(trace_of_client(), Context())
        attributes: Attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.request.model": model,
            "gen_ai.request.stream": call.stream,
            "headrace.stream.id": id,
        }
        for field, name in _ASKED.items():
            value = call.body.get(field)
            if isinstance(value, int | float) and not isinstance(value, bool):
                attributes[name] = value
        span = self._tracer.start_span(f"{operation} {model}", parent, SpanKind.CLIENT, attributes)
        return AnswerSpan(self, span, {"gen_ai.operation.name": operation, "gen_ai.request.model": model})

    async def close(self) -> None:
        """Send what is left. A collector that does not answer is not waited for."""
        thread = threading.Thread(target=self._shutdown, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, CLOSING)

    def _shutdown(self) -> None:
        self._traces.shutdown()
        self._metrics.shutdown()


class AnswerSpan:
    """One answer's span."""

    def __init__(self, telemetry: Telemetry, span: trace.Span, labels: Attributes) -> None:
        self._telemetry = telemetry
        self._span = span
        self._labels = labels
        self._begun = time.monotonic()
        headers: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(headers, trace.set_span_in_context(span, Context()))
        self.headers: Mapping[str, str] = headers

    def end(self, course: Course, outcome: Outcome | None) -> None:
        """Write down how it ended."""
        provider = self._telemetry.providers.get(course.upstream, course.upstream or "none")
        self._labels["gen_ai.provider.name"] = provider
        self._span.set_attributes({"gen_ai.provider.name": provider, "headrace.upstream": course.upstream})
        if outcome is not None:
            self._tell(course, outcome)
        self._span.end()

    def _tell(self, course: Course, outcome: Outcome) -> None:
        telemetry, reason = self._telemetry, reason_of(outcome)
        told: Attributes = {"headrace.outcome.state": str(outcome.state), "headrace.outcome.reason": reason}
        if outcome.upstream_model:
            told["gen_ai.response.model"] = telemetry.label(outcome.upstream_model)
        if outcome.state is State.COMPLETED:
            told["gen_ai.response.finish_reasons"] = [reason]
        else:
            told["error.type"] = self._labels["error.type"] = reason
        if outcome.state in (State.FAILED, State.INTERRUPTED):
            self._span.set_status(Status(StatusCode.ERROR, reason))
        if course.first:
            first = course.first - course.tried
            told["gen_ai.response.time_to_first_chunk"] = first
            telemetry.first.record(first, self._labels)
        telemetry.duration.record(time.monotonic() - self._begun, self._labels)
        told.update(self._used(outcome))
        self._span.set_attributes(told)

    def _used(self, outcome: Outcome) -> Attributes:
        usage = outcome.usage
        if usage is None:
            return {}
        for kind, count in (("input", usage.input), ("output", usage.output)):
            self._telemetry.tokens.record(count, {**self._labels, "gen_ai.token.type": kind})
        return {
            "gen_ai.usage.input_tokens": usage.input,
            "gen_ai.usage.output_tokens": usage.output,
            "gen_ai.usage.cache_read.input_tokens": usage.cached,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
        }
