"""What is counted, as plain values; :mod:`headrace.observe` shows them.

All of it happens on one event loop, so nothing here has a lock: what is done for every chunk is an addition to a list
that is there already.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise

from headrace.errors import HeadraceError
from headrace.model.outcome import Outcome, State

Labels = tuple[str, ...]

#: What stands for a name that is not one of ours.
OTHER = "other"
#: Combinations of labels that one meter keeps apart; the labels are bounded, and this is the bound of their product.
MOST = 1000

#: Upper bounds of buckets, in seconds: of what a model does, of what it does between two tokens, of what we do.
ANSWER = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0)
GAP = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
OWN = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: The finish reasons of all dialects. An upstream may say any other, which must not become a label.
_FINISHES = frozenset(
    {"stop", "length", "tool_calls", "content_filter", "function_call"}  # OpenAI's chat
    | {"completed", "incomplete", "max_output_tokens"}  # Responses
    | {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"}
)
_STOPS = frozenset({"cancelled", "abandoned", "interrupted", "shutdown", "rate_limit", "overloaded"})


def _codes(error: type[HeadraceError]) -> set[str]:
    return {error.code}.union(*(_codes(kind) for kind in error.__subclasses__()))


#: Every reason that is told as it is.
REASONS = _FINISHES | _STOPS | _codes(HeadraceError)


def reason_of(outcome: Outcome) -> str:
    """Its reason, as what may be logged and be a label: an upstream can call its end anything."""
    return outcome.reason if outcome.reason in REASONS else OTHER


class Histogram:
    """How many values came up to each bound, and what they add up to."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        #: For each bound those above the one before it; the last are those above all.
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Histograms:
    """A histogram for each combination of labels."""

    def __init__(self, bounds: Sequence[float], *labels: str) -> None:
        if any(low >= high for low, high in pairwise(bounds)):
            raise ValueError("bounds rise")
        self.bounds = bounds
        self.labels = labels
        self.by_labels: dict[Labels, Histogram] = {} if labels else {(): Histogram(bounds)}

    def of(self, *values: str) -> Histogram:
        """The one with these labels; whoever counts often keeps it."""
        found = self.by_labels.get(values)
        if found is None:
            if len(self.by_labels) >= MOST:
                values = (OTHER,) * len(self.labels)
            found = self.by_labels.setdefault(values, Histogram(self.bounds))
        return found


class Counter:
    """A number for each combination of labels, which only grows."""

    def __init__(self, *labels: str) -> None:
        self.labels = labels
        self.by_labels: dict[Labels, float] = {} if labels else {(): 0}

    def add(self, *values: str, by: float = 1) -> None:
        """Count."""
        if values not in self.by_labels and len(self.by_labels) >= MOST:
            values = (OTHER,) * len(self.labels)
        self.by_labels[values] = self.by_labels.get(values, 0) + by


class Course:
    """How one answer comes along, in monotonic seconds; 0 is what has not happened yet.

    ``asked`` is when the first upstream was, ``tried`` when the one that answers was, ``first`` and ``last`` when its
    first and its latest records came. ``gaps`` is where readers count the time between two sends.
    """

    __slots__ = ("_between", "_gaps", "asked", "first", "gaps", "last", "model", "tried", "upstream")

    def __init__(self) -> None:
        self.asked = self.tried = self.first = self.last = 0.0
        self.upstream = self.model = ""
        self.gaps: Histogram | None = None
        self._between: Histogram | None = None

    def arrived(self, now: float) -> None:
        """Records have come, not the first."""
        if self._between is not None:
            self._between.observe(now - self.last)
        self.last = now

    def begin(self, now: float, between: Histogram, gaps: Histogram) -> None:
        """The first records have come; from here on the gaps are counted."""
        self.first = self.last = now
        self._between, self.gaps = between, gaps


class Meters:
    """Everything that one process counts. ``known`` tells whether a model's name may stand in a label."""

    def __init__(self, known: Callable[[str], bool] = lambda _: False) -> None:
        self._known = known
        self._models: set[str] = set()
        self.upstream_first = Histograms(ANSWER, "upstream", "model")
        self.upstream_between = Histograms(GAP, "upstream")
        self.first = Histograms(ANSWER, "upstream", "model")
        self.between = Histograms(GAP, "upstream")
        self.added = Histograms(OWN)
        self.answers = Histograms(ANSWER, "upstream", "model")
        self.ended = Counter("state", "reason")
        self.tokens = Counter("upstream", "model", "type")
        self.cancels = Histograms(OWN, "reason")
        self.replays = Counter()
        self.commits = Histograms(OWN)
        self.commit_failures = Counter()
        self.loop_lag = Histograms(OWN)
        self.requests = Counter("route", "status")
        self.upstream_requests = Counter("upstream", "status")
        self.log_lines_dropped = Counter()
        self.cpu = Counter()

    def model(self, name: str) -> str:
        """A model's name as a label: its own where we know it, and there are not too many yet."""
        if name in self._models:
            return name
        if len(self._models) >= MOST // 10 or not self._known(name):
            return OTHER
        self._models.add(name)
        return name

    def begun(self, course: Course, now: float) -> None:
        """An answer that is streamed has its first records."""
        self.upstream_first.of(course.upstream, course.model).observe(now - course.tried)
        course.begin(now, self.upstream_between.of(course.upstream), self.between.of(course.upstream))

    def told(self, course: Course, arrived: float, now: float) -> None:
        """The first records are on their way to the client whose request had ``arrived`` before they were asked for."""
        self.first.of(course.upstream, course.model).observe(now - arrived)
        self.added.of().observe(max(0.0, (now - arrived) - (course.first - course.asked)))

    def end(self, course: Course, outcome: Outcome, now: float) -> None:
        """An answer has ended, and that is committed."""
        self.ended.add(str(outcome.state), reason_of(outcome))
        if outcome.state is State.COMPLETED:
            self.answers.of(course.upstream, course.model).observe(now - course.asked)
        if outcome.usage is not None:
            self.tokens.add(course.upstream, course.model, "input", by=outcome.usage.input)
            self.tokens.add(course.upstream, course.model, "output", by=outcome.usage.output)
