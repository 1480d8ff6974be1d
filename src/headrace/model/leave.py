"""What happens to an answer when everybody has left it."""

import math
import re
from typing import NamedTuple

from headrace.errors import RequestError

#: The longest linger in seconds: a day. Whoever wants more wants ``keep``.
LONGEST = 86_400.0

_LINGER = re.compile(r"linger=([0-9]{1,6}(?:\.[0-9]{1,3})?)")


class LeavePolicy(NamedTuple):
    """After how many seconds without participants an answer is stopped: 0 is at once, None is never.

    Its text is ``cancel``, ``linger=SECONDS`` or ``keep``, as in the header ``Headrace-On-Leave``.
    """

    seconds: float | None

    @classmethod
    def parse(cls, text: str) -> "LeavePolicy":
        """Read a policy's text. Raises RequestError (400) where it is none, or lingers for more than a day."""
        word = text.strip().lower()
        if word == "cancel":
            return CANCEL
        if word == "keep":
            return KEEP
        match = _LINGER.fullmatch(word)
        if match is None or float(match[1]) > LONGEST:
            message = f"What happens on leaving is 'cancel', 'keep' or 'linger=SECONDS' (at most {LONGEST:.0f})."
            raise RequestError(message, param="Headrace-On-Leave")
        return cls(float(match[1]))

    def __str__(self) -> str:
        if self.seconds is None:
            return "keep"
        if self.seconds == 0:
            return "cancel"
        whole = math.floor(self.seconds)
        return f"linger={whole if whole == self.seconds else round(self.seconds, 3)}"


CANCEL = LeavePolicy(0.0)
KEEP = LeavePolicy(None)
