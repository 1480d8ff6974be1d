"""How the end of an answer is told: one table of reasons, and our own words for them.

An outcome's reason is the ``code`` of an error of ours (:mod:`headrace.errors`) or the word for a stop. The dialects
take their texts from here, so that none of them has another's.
"""

from typing import NamedTuple

from headrace.model.outcome import Outcome, State


class Ending(NamedTuple):
    """What a client is told. ``simple`` is the code of the simple faces, ``code`` that of the others."""

    code: str
    simple: str
    message: str


_BY_REASON = {
    ending.code: ending
    for ending in (
        Ending("upstream_unreachable", "upstream", "The model provider cannot be reached."),
        Ending("upstream_timeout", "timeout", "The model provider did not answer in time."),
        Ending("upstream_stalled", "timeout", "The model provider fell silent in the middle of its answer."),
        Ending("upstream_refused", "upstream", "The model provider refused the request."),
        Ending("upstream_error", "upstream", "The model provider reported an error."),
        Ending("upstream_truncated", "truncated", "The model provider's answer stopped before its end."),
        Ending("upstream_protocol", "upstream", "The model provider's answer could not be understood."),
        Ending("timeout", "timeout", "The answer took longer than this server allows."),
        Ending("limit", "limit", "The answer grew over a limit of this server."),
        Ending("storage", "storage", "This server could not store the answer."),
        Ending("draining", "interrupted", "The server stopped before the answer was complete."),
        Ending("gone", "unknown", "The answer was deleted or has expired."),
        Ending("rate_limit", "rate_limit", "The model provider takes no more requests now; try again later."),
        Ending("overloaded", "overloaded", "The model provider is overloaded; try again later."),
    )
}
_CANCELLED = Ending("cancelled", "cancelled", "The answer was stopped before it was complete.")
_ABANDONED = Ending("cancelled", "cancelled", "The answer was stopped because nobody was reading it any more.")
_INTERRUPTED = Ending("interrupted", "interrupted", "The server stopped before the answer was complete.")
_UNKNOWN = Ending("internal", "unknown", "The answer failed for a reason that is not known.")
# What an HTTP status of a provider that refused says more exactly than the reason does.
_SIMPLE_BY_STATUS = {408: "timeout", 429: "rate_limit", 503: "overloaded", 504: "timeout", 529: "overloaded"}


def ending(outcome: Outcome) -> Ending:
    """What to tell of an outcome that is not ``completed``."""
    if outcome.state is State.CANCELLED:
        return _ABANDONED if outcome.reason == "abandoned" else _CANCELLED
    if outcome.state is State.INTERRUPTED:
        return _INTERRUPTED
    found = _BY_REASON.get(outcome.reason, _UNKNOWN)
    if found.code not in {"upstream_refused", "upstream_error"}:
        return found
    simple = _SIMPLE_BY_STATUS.get(outcome.status, found.simple)
    better = _BY_REASON.get(simple) if simple in {"rate_limit", "overloaded"} else None
    return better._replace(code=found.code) if better else found._replace(simple=simple)
