"""The pace of a reply: when an answer's first records and those after them leave."""

from headrace.core.asked import ASKED
from headrace.core.meters import Course
from headrace.core.reader import Reader
from headrace.core.registry import Registry


class Pace:
    """How the answer to one request leaves: its first records, and the time between two sends of them."""

    __slots__ = ("_arrived", "_course", "_last", "_meters", "_now", "_ping")

    def __init__(self, registry: Registry, arrived: float, course: Course, ping: bytes) -> None:
        self._meters = registry.meters
        self._now = registry.clock.monotonic
        self._arrived = arrived
        self._course = course
        self._ping = ping
        self._last = 0.0

    def send(self, data: bytes) -> None:
        """A piece is about to be sent."""
        gaps = self._course.gaps
        if gaps is None or data is self._ping:
            return  # what comes before the first record, or a keep-alive
        now = self._now()
        if self._last:
            gaps.observe(now - self._last)
        else:
            self._meters.told(self._course, self._arrived, now)
        self._last = now


def pace_of(registry: Registry, reader: Reader) -> Pace | None:
    """What measures the reply to the request that started its answer; what others see is not the upstream's."""
    asked = ASKED.get()
    if asked is None or asked.course is None:
        return None
    return Pace(registry, asked.at, asked.course, reader.rendering.view.ping)
