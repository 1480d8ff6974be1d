"""The tracing port: what follows an answer from its start to its end, across processes of others."""

from collections.abc import Mapping
from typing import Protocol

from headrace.core.asked import ASKED
from headrace.core.meters import Course
from headrace.core.routing import Call
from headrace.model.outcome import Outcome


class Span(Protocol):
    """One answer. ``headers`` are what its upstreams are told of the trace (W3C)."""

    headers: Mapping[str, str]

    def end(self, course: Course, outcome: Outcome | None) -> None:
        """The answer has ended; without an outcome where its log was taken away."""


class Tracer(Protocol):
    """Begins spans. Must not block, and is not asked again until an answer's end."""

    def begin(self, id: str, call: Call) -> Span:
        """An answer begins; the request that started it is the running code's."""


class ClosingTracer(Tracer, Protocol):
    """One that has to be closed."""

    async def close(self) -> None:
        """Send what is left; never waits for long."""


class PassedOn:
    """A trace that is somebody else's: told on as the client told it."""

    def __init__(self) -> None:
        self.headers: Mapping[str, str] = trace_of_client()

    def end(self, course: Course, outcome: Outcome | None) -> None:
        """Nothing is written down."""


class PassOn:
    """Takes no part in traces."""

    def begin(self, id: str, call: Call) -> Span:
        """Pass it on."""
        del id, call
        return PassedOn()


def trace_of_client() -> dict[str, str]:
    """The headers of the request that is served, where they were valid."""
    asked = ASKED.get()
    if asked is None or not asked.traceparent:
        return {}
    return {"traceparent": asked.traceparent, **({"tracestate": asked.tracestate} if asked.tracestate else {})}
