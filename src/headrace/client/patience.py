"""How long a client waits for a server that is away, and how often it asks meanwhile."""

import math
import random
import time
from collections.abc import Callable

from headrace.client.errors import ClientError, Unreachable

#: Seconds for which a server may stay away before it is given up.
PATIENCE = 60.0
#: The same where somebody waits for no more than that an answer is stopped.
TO_STOP = 3.0
#: The first pause and the longest, in seconds.
PAUSES = (0.1, 5.0)
#: Seconds of silence after which a connection counts as lost; a server that is there is heard from every fifteen.
SILENCE = 45.0
#: The same until the head of a reply, where less patience is left than that: a server takes up to five to stop an
#: answer, to find that an upstream does not tell its models, and to say that an answer has begun.
AT_ONCE = 10.0

#: Seconds for which a server lets an answer linger at most.
_LONGEST = 86_400


class Patience:
    """Pauses that grow until something succeeds; where nothing is heard for so many seconds, it is over.

    It waits for nothing itself: the pauses are told, and ``now`` is monotonic.
    """

    def __init__(self, seconds: float = PATIENCE, *, now: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._now = now
        self._since: float | None = None
        self._tries = 0

    def heard(self) -> None:
        """The server lives: what counts is the time from here on. The pauses go on growing."""
        self._since = None

    def succeeded(self) -> None:
        """Begin anew."""
        self._since = None
        self._tries = 0

    def asked(self) -> float:
        """Count from now on, where that has not begun; returns the seconds for which to wait for an answer."""
        now = self._now()
        self._since = now if self._since is None else self._since
        return min(SILENCE, max(AT_ONCE, self._since + self.seconds - now))

    def pause(self, at_least: float = 0.0, otherwise: ClientError | None = None) -> float:
        """Seconds to wait: a little longer than the last time, not in step with others.

        Raises ``otherwise``, or Unreachable, where it is over.
        """
        now = self._now()
        self._since = now if self._since is None else self._since
        left = self._since + self.seconds - now
        if left <= 0:
            raise otherwise or Unreachable
        first, longest = PAUSES
        pause: float = min(longest, first * 2 ** min(self._tries, 16)) * random.uniform(0.5, 1.0)  # noqa: S311
        self._tries += 1
        return min(left, max(pause, at_least))


def lingering(seconds: float) -> str:
    """The policy of an answer whose reader comes back for so long."""
    return f"linger={min(max(math.ceil(seconds), 1), _LONGEST)}"
