"""The condition of an upstream: whether it has failed lately, and so is better asked after the others.

Nothing is ever refused for it. Where all upstreams of a model are in bad condition, the one that has been for the
longest is asked first.
"""

from headrace.core.clock import Clock
from headrace.errors import UpstreamError

#: Seconds for which an upstream that has failed comes after the others; twice as long each time it fails again.
COOL = 2.0
#: The most of that. One that names a time (``Retry-After``) is believed up to here, too.
LONGEST = 60.0


class Condition:
    """How one upstream has answered lately, under one key; one for each process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._until = 0.0
        #: The failures so far were those of requests under way together: the next one is that of a later request.
        self._later = False

    @property
    def cooling(self) -> float:
        """Seconds for which it should not be asked, if others can be; 0 where nothing is known against it."""
        return max(0.0, self._until - self._clock.monotonic()) if self._failures else 0.0

    def begins(self) -> None:
        """It is asked. Where it has cooled down, this one request finds out; the others wait for what that says."""
        if self._failures and not self.cooling:
            self._until = self._clock.monotonic() + COOL
            self._later = True

    def succeeded(self) -> None:
        """It has begun an answer."""
        self._failures = 0

    def failed(self, error: UpstreamError) -> None:
        """It has not, or has broken one off. What would fail with any upstream says nothing about this one."""
        if not error.retryable:
            return
        if self._later or not self._failures:
            self._failures += 1
            self._later = False
        seconds = COOL * 2 ** min(self._failures - 1, 10)
        until = self._clock.monotonic() + min(LONGEST, max(seconds, error.retry_after or 0.0))
        self._until = max(self._until, until)
