"""An answer on its way in: what the intakes of all dialects know of it, and how much they let pass.

Each frame is looked at once, and logged as it is. What is not of the dialect is left out and counted; too much of that
ends the answer.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from headrace.errors import UpstreamError, UpstreamProtocol, UpstreamTruncated
from headrace.model.outcome import Usage
from headrace.model.record import Record
from headrace.wire.sse import Frame

_MAX_NAME = 256
# Frames that may be invalid: the first few in any case, then as many as are valid.
_INVALID_FREE = 10
_INVALID_MAX = 100


class Intake(ABC):
    """Frames to records. Made for one answer; the attributes are what is known so far."""

    #: The format of the records.
    format: str

    def __init__(self) -> None:
        self.upstream_id = ""
        self.model = ""
        #: In the canonical word, where there is one.
        self.finish_reason = ""
        self.usage: Usage | None = None
        #: Frames that are not records because they are not valid, came twice or out of order, or after the end.
        self.ignored = 0
        #: The dialect's own end was seen.
        self.ended = False
        #: Why the answer has failed; to be raised once the records before it are logged. What comes after is ignored.
        self.error: UpstreamError | None = None
        self._good = 0
        #: Those of the frames that are being taken now: what is valid counts at once, however the bytes were cut.
        self._taking: Sequence[Record] = ()
        self._invalid = 0

    @abstractmethod
    def take(self, frames: Sequence[Frame]) -> list[Record]:
        """The records to log: those frames that are the answer, their payload untouched. Never raises."""

    def finish(self) -> None:
        """The body has ended cleanly. Raises UpstreamTruncated unless the answer had, and what ``error`` holds."""
        if self.error is None and not self.ended:
            self.error = UpstreamTruncated()
        if self.error is not None:
            raise self.error

    def _refuse(self) -> None:
        """Count a frame that is not valid."""
        self.ignored += 1
        self._invalid += 1
        if self._invalid > min(_INVALID_MAX, self._good + len(self._taking) + _INVALID_FREE):
            self.error = UpstreamProtocol()


def name_of(text: str) -> str:
    """An id or a model's name, or nothing where it is not fit to be one."""
    return text if len(text) <= _MAX_NAME and text.isprintable() else ""


def text_of(value: object) -> str | None:
    """A text, or None where it is none."""
    return value if isinstance(value, str) else None
