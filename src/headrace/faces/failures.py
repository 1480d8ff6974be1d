"""Failures as each client's own kind of error.

One place decides the status, the headers and the body, so that no face invents any.
"""

import math
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from headrace.errors import HeadraceError, UpstreamError
from headrace.model.outcome import Outcome, State
from headrace.wire.json_object import encode
from headrace.wire.openai_errors import body_of_error, body_of_outcome
from headrace.wire.plain import error_object

#: The status of an outcome that has none of its own. The client asked for an answer, and what is there is none.
_STATUS = {State.CANCELLED: 409, State.INTERRUPTED: 502, State.FAILED: 502}

#: Paths whose clients expect the errors of the simple faces.
_SIMPLE = ("/chat", "/infer", "/v1/chat/stream")


def of_outcome(outcome: Outcome, *, headers: Mapping[str, str] | None = None, path: str = "") -> Response:
    """The reply to a request whose answer has ended, and not as ``completed``."""
    body = simple_body(outcome) if is_simple(path) else body_of_outcome(outcome)
    status = outcome.status or _STATUS[outcome.state]
    return Response(
        body,
        status,
        media_type="application/json",
        headers={**(headers or {}), **_retrying(outcome.retryable, outcome.retry_after)},
    )


def of_error(error: HeadraceError, path: str) -> Response:
    """The reply to a request that raised."""
    status, headers, body = render(path, error)
    return Response(body, status, headers=headers)


async def on_error(request: Request, error: Exception) -> Response:
    """The app's handler for errors that we raise on purpose."""
    known = error if isinstance(error, HeadraceError) else HeadraceError()
    return of_error(known, request.scope["path"])


def render(path: str, error: HeadraceError) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an error on a path."""
    body = _simple_error(error) if is_simple(path) else body_of_error(error)
    retry_after = error.retry_after if isinstance(error, UpstreamError) else None
    headers = {"content-type": "application/json", **_retrying(error.retryable, retry_after)}
    if error.status == 401:
        headers["www-authenticate"] = 'Bearer realm="headrace"'
    return error.status, headers, body


def simple_body(outcome: Outcome) -> bytes:
    """The error of the simple faces for an outcome."""
    return encode({"error": error_object(outcome)})


def _simple_error(error: HeadraceError) -> bytes:
    told = {"code": error.code, "message": error.message, "retry": error.retryable, "param": error.param}
    return encode({"error": told})


def is_simple(path: str) -> bool:
    """Whether the clients of a path are those of the simple faces."""
    return path in _SIMPLE or (path.startswith("/chat/") and not path.startswith("/chat/completions"))


def _retrying(retryable: bool, retry_after: float | None) -> dict[str, str]:
    """What tells the SDKs whether to try again: they retry every 408, 409, 429 and 5xx of their own accord."""
    headers = {"x-should-retry": "true" if retryable else "false"}
    if retryable and retry_after is not None:
        headers["retry-after"] = str(math.ceil(retry_after))
    return headers
