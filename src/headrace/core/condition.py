"""The condition of an upstream: whether it has failed lately, and so is better asked after the others.

Nothing is ever refused for it. Where all upstreams of a model are in bad condition, the one that has been for the
longest is asked first.
"""

from headrace.core.clock import Clock
from headrace.errors import UpstreamError

#: Seconds for which an upstream that has failed comes after the others; twice as long for each failure in a row.
COOL = 2.0
#: The most of that. One that names a time (``Retry-After``) is believed up to here, too.
LONGEST = 60.0


class Condition:
    """How one upstream has answered lately, under one key; one for each process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._until = 0.0

    @property
    def cooling(self) -> float:
        """Seconds for which it should not be asked, if others can be; 0 where nothing is known against it."""
        return max(0.0, self._until - self._clock.monotonic()) if self._failures else 0.0

    def try_again(self) -> None:
        """It has cooled down and is asked first by one request; the others wait for what that says."""
        if self._failures and not self.cooling:
            self._until = self._clock.monotonic() + COOL

    def succeeded(self) -> None:
        """It has begun an answer."""
        self._failures = 0

    def failed(self, error: UpstreamError) -> None:
        """It has not, or has broken one off. What would fail with any upstream says nothing about this one."""
        if not error.retryable:
            return
        self._failures += 1
        seconds = COOL * 2 ** min(self._failures - 1, 10)
        self._until = self._clock.monotonic() + min(LONGEST, max(seconds, error.retry_after or 0.0))
