"""Errors in the Anthropic Messages dialect, written; those of upstreams are read in wire/openai_errors.py.

Shape: ``{"type": "error", "error": {"type", "message"}}``, as a body or as the data of an event. Our stable code, and
the field that is wrong, stand beside these as ``code`` and ``param``.
"""

from headrace.errors import ErrorDetail, HeadraceError, UpstreamError
from headrace.model.outcome import Outcome
from headrace.model.record import Record
from headrace.wire.endings import ending
from headrace.wire.json_object import encode

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_OWN = frozenset(_TYPES.values())


def error_type(status: int) -> str:
    """The dialect's type of an error with this HTTP status."""
    return _TYPES.get(status) or ("invalid_request_error" if 400 <= status < 500 else "api_error")


def body_of_error(error: HeadraceError) -> bytes:
    """An error of ours; an upstream's own words where it gave some."""
    detail = error.detail if isinstance(error, UpstreamError) else None
    return _body(error.code, error.message, error.status, error.param or "", detail)


def body_of_outcome(outcome: Outcome) -> bytes:
    """How an answer ended that is not ``completed``; an upstream's own words where it gave some."""
    told = ending(outcome)
    return _body(told.code, told.message, outcome.status, "", outcome.detail)


def error_record(outcome: Outcome) -> Record:
    """The event that tells how an answer ended that is not ``completed``."""
    return Record("error", body_of_outcome(outcome))


def _body(code: str, message: str, status: int, param: str, detail: ErrorDetail | None) -> bytes:
    """One error. An upstream's type counts only where it is one of this dialect: it may have spoken another."""
    detail = detail or ErrorDetail()
    error = {
        "type": detail.type if detail.type in _OWN else error_type(status),
        "message": detail.message or message,
        "code": detail.code or code,
        **({"param": detail.param or param} if detail.param or param else {}),
    }
    return encode({"type": "error", "error": error})
