"""The watch over one generation: what is counted and traced of it, apart from its work."""

from headrace.core.asked import ASKED, STREAM, TRACE
from headrace.core.clock import Clock
from headrace.core.meters import Course, Meters, reason_of
from headrace.core.routing import Attempt, Call
from headrace.core.tracing import Tracer
from headrace.model.outcome import Outcome, State


class Watch:
    """Made for one generation, within the request that starts it."""

    def __init__(self, id: str, call: Call, meters: Meters, tracer: Tracer, clock: Clock) -> None:
        self._id = id
        self._meters = meters
        self._now = clock.monotonic
        self._span = tracer.begin(id, call)
        self._stopped_at = 0.0
        self.course = course = Course()
        #: More records have come, at this monotonic time: the course's own method, for it is called for each chunk.
        self.arrived = course.arrived
        if (asked := ASKED.get()) is not None:
            asked.course = course

    def run(self) -> None:
        """The generation's task runs: what it calls knows what for."""
        STREAM.set(self._id)
        TRACE.set(self._span.headers)

    def asking(self, attempt: Attempt) -> None:
        """An upstream is about to be asked."""
        course = self.course
        course.tried = self._now()
        course.asked = course.asked or course.tried
        course.upstream, course.model = attempt.upstream.name, self._meters.model(attempt.call.model)

    def begun(self, attempt: Attempt) -> None:
        """The first records have come. A whole answer has no first ones."""
        if attempt.call.stream:
            self._meters.begun(self.course, self._now())

    def stopped(self) -> None:
        """Somebody wants it to stop."""
        self._stopped_at = self._stopped_at or self._now()

    def ended(self, outcome: Outcome | None) -> None:
        """The log is closed, and that is committed; without an outcome it was taken away."""
        now = self._now()
        self._span.end(self.course, outcome)
        if outcome is None:
            return
        self._meters.end(self.course, outcome, now)
        if self._stopped_at and outcome.state is not State.COMPLETED:
            self._meters.cancels.of(reason_of(outcome)).observe(now - self._stopped_at)
