"""What the running code works for: a request and a stream, known to everything that is called on their behalf.

Tasks inherit it from whoever starts them, so that a generation knows the request that started it. It is for logs,
traces and measurements, and for what a reply's head tells beside the reply; it decides nothing.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType

from headrace.core.meters import Course


class Asked:
    """One request; ``at`` is when it arrived (monotonic), the rest what is known of it by now."""

    __slots__ = ("at", "course", "id", "told", "traceparent", "tracestate")

    def __init__(self, id: str, at: float, traceparent: str = "", tracestate: str = "") -> None:
        self.id = id
        self.at = at
        #: W3C trace context of the client, where it sent a valid one.
        self.traceparent = traceparent
        self.tracestate = tracestate
        #: That of the answer which the request has started.
        self.course: Course | None = None
        #: Headers that its reply carries, whatever that is.
        self.told: Sequence[tuple[bytes, bytes]] = ()


#: The request that is being served, or that started what runs now.
ASKED: ContextVar[Asked | None] = ContextVar("headrace_asked", default=None)
#: The stream that is being written.
STREAM: ContextVar[str] = ContextVar("headrace_stream", default="")
#: Headers by which an upstream is told of the trace.
TRACE: ContextVar[Mapping[str, str]] = ContextVar("headrace_trace", default=MappingProxyType({}))
