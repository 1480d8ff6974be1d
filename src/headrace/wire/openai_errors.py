"""Errors in the OpenAI dialect: an upstream's read and scrubbed, ours written.

Shape: ``{"error": {"message", "type", "param", "code"}}``, as a body or as the data of a frame.
"""

from typing import Any

from headrace.errors import ErrorDetail, HeadraceError, UpstreamError, UpstreamFault
from headrace.model.outcome import Outcome
from headrace.wire.endings import ending
from headrace.wire.json_object import encode, lenient
from headrace.wire.scrub import scrubbed

_MAX_MESSAGE = 500
_MAX_WORD = 100
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_RATE_LIMITS = frozenset({"429", "rate_limit_exceeded", "rate_limit_error", "insufficient_quota", "requests", "tokens"})
_OVERLOADS = frozenset({"503", "529", "overloaded_error", "overloaded", "server_is_overloaded", "slow_down"})
_TIMEOUTS = frozenset({"408", "504", "timeout_error"})
# A request that would fail again, by the status that an upstream refuses it with where nothing has begun.
_REFUSALS = {
    "400": 400,
    "content_filter": 400,
    "context_length_exceeded": 400,
    "invalid_prompt": 400,
    "invalid_request": 400,
    "invalid_request_error": 400,
    "404": 404,
    "model_not_found": 404,
    "not_found_error": 404,
    "413": 413,
    "request_too_large": 413,
    "415": 415,
    "422": 422,
}
# What vLLM and its kin call whatever fails in the middle, with a 400 beside it: that says nothing of the request.
_ANYTHING = "badrequesterror"
# What stands beside the same types, and is no fault of the request: the credential is ours.
_CREDENTIALS = frozenset({"401", "403", "invalid_api_key", "authentication_error", "permission_error"})
# Anthropic's types that this dialect has no like of.
_FOREIGN_TYPES = frozenset(
    {
        "api_error",
        "billing_error",
        "conflict_error",
        "not_found_error",
        "overloaded_error",
        "request_too_large",
        "timeout_error",
    }
)


def scrub(body: bytes) -> ErrorDetail:
    """An upstream's error body; an empty detail where it is not a well-formed error object."""
    return scrub_value(lenient(body))


def scrub_value(value: object) -> ErrorDetail:
    """The same for JSON that is already decoded.

    Read are ``{"error": {…}}``, ``{"error": "text"}``, a list of one of these (Gemini), and a flat object that calls
    itself an error (vLLM, Mistral). Other shapes, FastAPI's ``{"detail": …}`` among them, may hold anything: nothing of
    them is passed on.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return ErrorDetail()
    error = value.get("error")
    if isinstance(error, str):
        return ErrorDetail(message=scrubbed(error, _MAX_MESSAGE))
    if not isinstance(error, dict):
        if not is_flat_error(value):
            return ErrorDetail()
        error = value
    return ErrorDetail(
        message=_field(error, "message", _MAX_MESSAGE),
        type=_field(error, "type", _MAX_WORD),
        code=_field(error, "code", _MAX_WORD),
        param=_field(error, "param", _MAX_WORD),
    )


def is_flat_error(value: dict[str, Any]) -> bool:
    """Whether an object calls itself an error without an ``error`` in it."""
    return value.get("object") == "error" or value.get("type") == "error"


def fault(detail: ErrorDetail) -> UpstreamFault:
    """What an error object in the middle of an answer means; ``code`` and ``status`` by what it says of itself.

    What it says of the request, or of our credential, is what the same would be with a 4xx: not to be tried again, and
    of the credential no word to the client.
    """
    words = {detail.code.lower(), detail.type.lower()}
    if words & _RATE_LIMITS:
        return UpstreamFault(code="rate_limit", status=429, detail=detail)
    if words & _OVERLOADS:
        return UpstreamFault(code="overloaded", status=503, detail=detail)
    if words & _TIMEOUTS:
        return UpstreamFault(code="upstream_timeout", status=504, detail=detail)
    if detail.code.startswith("5"):
        return UpstreamFault(detail=detail)
    if words & _CREDENTIALS:
        return _final(UpstreamFault())
    refused = words & _REFUSALS.keys() - ({"400"} if _ANYTHING in words else set())
    if not refused:
        return UpstreamFault(detail=detail)
    status = max(_REFUSALS[word] for word in refused)
    return _final(UpstreamFault(code="upstream_refused", status=status, detail=detail))


def error_body(code: str, message: str, type: str = "server_error", param: str = "") -> bytes:
    """One error object; an empty ``code`` or ``param`` is null."""
    return encode({"error": {"message": message, "type": type, "param": param or None, "code": code or None}})


def error_type(status: int) -> str:
    """The dialect's type of an error with this HTTP status."""
    if status in _TYPES:
        return _TYPES[status]
    return "invalid_request_error" if 400 <= status < 500 else "server_error"


def body_of_error(error: HeadraceError) -> bytes:
    """An error of ours; an upstream's own words where it gave some."""
    detail = error.detail if isinstance(error, UpstreamError) else None
    return _body(error.code, error.message, error_type(error.status), error.param or "", detail)


def body_of_outcome(outcome: Outcome) -> bytes:
    """How an answer ended that is not ``completed``; an upstream's own words where it gave some."""
    told = ending(outcome)
    return _body(told.code, told.message, error_type(outcome.status), "", outcome.detail)


def _body(code: str, message: str, type: str, param: str, detail: ErrorDetail | None) -> bytes:
    detail = detail or ErrorDetail()
    own = detail.type if detail.type not in _FOREIGN_TYPES else ""
    return error_body(detail.code or code, detail.message or message, own or type, detail.param or param)


def _final(error: UpstreamFault) -> UpstreamFault:
    """An error after which nobody is to try again."""
    error.retryable = False
    return error


def _field(error: dict[str, Any], name: str, limit: int) -> str:
    value = error.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**6:
        return str(value)
    return scrubbed(value, limit) if isinstance(value, str) else ""
