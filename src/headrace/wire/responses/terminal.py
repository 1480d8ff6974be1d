"""How the end of an answer is said in the OpenAI Responses dialect, read and written.

Here are the words of an upstream's last event, and the words for an outcome of ours.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from headrace.errors import ErrorDetail
from headrace.model.outcome import Outcome, State
from headrace.wire.endings import ending
from headrace.wire.json_object import healed, objects
from headrace.wire.openai_errors import scrub_value

#: The events whose ``response`` is the answer's beginning.
OPENINGS = frozenset({"response.created", "response.queued", "response.in_progress"})
#: The events after which nothing comes.
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})

# Why an answer is incomplete, and the canonical reason to have finished.
_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}
_WORDS = {reason: word for word, reason in _REASONS.items()}
_STATUS = {"response.completed": "completed", "response.incomplete": "incomplete"}
_FAILURES = frozenset({"failed", "cancelled"})


def reason_of(event: str, response: Mapping[str, Any], *, called: bool = False, refused: bool = False) -> str:
    """Why an answer finished, by its last event or, where ``event`` is empty, by itself; empty where it failed.

    ``called`` and ``refused`` say what was in the output, which the last event may not repeat.
    """
    status = response.get("status")
    status = status if isinstance(status, str) else ""
    if status in _FAILURES or (event or "response.completed") not in _STATUS:
        return ""
    if "incomplete" in {status, _STATUS.get(event)}:
        details = response.get("incomplete_details")
        word = details.get("reason") if isinstance(details, dict) else None
        return _REASONS.get(word, healed(word)) if isinstance(word, str) and word else "length"
    output = objects(response.get("output"))
    if called or any(item.get("type") == "function_call" for item in output):
        return "tool_calls"
    parts = [part for item in output for part in objects(item.get("content"))]
    return "refusal" if refused or any(part.get("type") == "refusal" for part in parts) else "stop"


def detail_of(value: Mapping[str, Any]) -> ErrorDetail:
    """An upstream's error, scrubbed: that of an ``error`` event, flat or not, or of the response in a last event."""
    response = value.get("response")
    error = response.get("error") if isinstance(response, dict) else value.get("error")
    if error is None and value.get("type") == "error":
        error = {name: value.get(name) for name in ("code", "message", "param")}
    return scrub_value({"error": error})


class Ended(NamedTuple):
    """What a response says of its end, and the event that carries it."""

    event: str
    status: str
    error: dict[str, Any] | None = None
    incomplete: dict[str, Any] | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the response object."""
        return {"status": self.status, "error": self.error, "incomplete_details": self.incomplete}


def ended(outcome: Outcome, reason: str = "") -> Ended:
    """How to tell an outcome. ``reason`` is why a completed answer finished.

    A cancelled answer gives its reason as well, which the dialect's own list does not have: without one, the AI SDK
    takes it for an answer that stopped by itself.
    """
    if outcome.state is State.CANCELLED:
        return Ended("response.incomplete", "cancelled", incomplete={"reason": "cancelled"})
    if outcome.state is not State.COMPLETED:
        return Ended("response.failed", "failed", error=_error(outcome))
    word = _WORDS.get(reason or outcome.reason)
    if word is None:
        return Ended("response.completed", "completed")
    return Ended("response.incomplete", "incomplete", incomplete={"reason": word})


def is_cut(reason: str) -> bool:
    """Whether an answer that finished for this reason is not whole."""
    return reason in _WORDS


def _error(outcome: Outcome) -> dict[str, Any]:
    told, detail = ending(outcome), outcome.detail or ErrorDetail()
    return {"code": detail.code or told.code, "message": detail.message or told.message}
