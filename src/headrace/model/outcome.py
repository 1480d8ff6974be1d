"""How a stream ended: its state, why, and what it used."""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from headrace.errors import ErrorDetail


class State(StrEnum):
    """Where a stream is in its life; it leaves ``OPEN`` exactly once."""

    #: Records may still come.
    OPEN = "open"
    #: The dialect's own end was seen.
    COMPLETED = "completed"
    #: The upstream refused, stalled, was cut or broke the protocol, or a limit was hit.
    FAILED = "failed"
    #: Somebody stopped it, or everybody left and its policy said so.
    CANCELLED = "cancelled"
    #: The process that ran it died or was shut down.
    INTERRUPTED = "interrupted"


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens used. ``cached`` is part of ``input``, ``reasoning`` part of ``output``; not ``exact`` is an estimate."""

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0
    exact: bool = True


class Tried(NamedTuple):
    """An upstream that was asked and did not begin an answer, its own name for the model, and why (a code)."""

    upstream: str
    model: str
    reason: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The truth about an ended stream, written by the append that closes its log.

    ``reason`` is a stable code: for ``completed`` the finish reason of the dialect, for the others one of
    ``docs/errors.md``. Times are Unix seconds; ``first_at`` is 0 where no record came. ``status`` is the HTTP status
    that fits a failure. ``usage`` is absent where nobody knows it, which is not zero.
    """

    state: State
    reason: str
    ended_at: float
    first_at: float = 0.0
    status: int = 0
    retryable: bool = False
    retry_after: float | None = None
    detail: ErrorDetail | None = None
    usage: Usage | None = None
    #: The upstream that answered, and its own name for the model.
    upstream: str = ""
    upstream_model: str = ""
    #: Frames that were not logged because they were not valid.
    ignored: int = 0
    #: The upstreams that were asked before that one, in their order.
    tried: tuple[Tried, ...] = ()
