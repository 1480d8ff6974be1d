"""Failures as each client's own kind of error.

One place decides the status, the headers and the body, so that no face invents any.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from headrace.errors import HeadraceError
from headrace.faces.guard import local_path
from headrace.model.outcome import Outcome, State
from headrace.wire import openai_errors
from headrace.wire.endings import ending
from headrace.wire.json_object import encode
from headrace.wire.messages import errors as messages_errors
from headrace.wire.plain import error_object

#: The status of an outcome that has none of its own. The client asked for an answer, and what is there is none.
_STATUS = {State.CANCELLED: 409, State.INTERRUPTED: 502, State.FAILED: 502}


class Family(NamedTuple):
    """Clients that understand the same errors."""

    of_error: Callable[[HeadraceError], bytes]
    of_outcome: Callable[[Outcome], bytes]
    media_type: str = "application/json"
    #: Whether the code stands in a header, because the body has no place for it.
    bare: bool = False


def of_outcome(outcome: Outcome, family: Family, *, headers: Mapping[str, str] | None = None) -> Response:
    """The reply to a request whose answer has ended, and not as ``completed``."""
    return Response(
        family.of_outcome(outcome),
        outcome.status or _STATUS[outcome.state],
        media_type=family.media_type,
        headers={
            **(headers or {}),
            **_retrying(outcome.retryable, outcome.retry_after),
            **_code(family, ending(outcome).code),
        },
    )


def of_error(error: HeadraceError, scope: Scope) -> Response:
    """The reply to a request that raised."""
    status, headers, body = render(scope, error)
    return Response(body, status, headers=headers)


async def on_error(request: Request, error: Exception) -> Response:
    """The app's handler for errors that we raise on purpose."""
    known = error if isinstance(error, HeadraceError) else HeadraceError()
    return of_error(known, request.scope)


def render(scope: Scope, error: HeadraceError) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an error, in the words of whoever asks."""
    family = family_of(scope)
    headers = {
        "content-type": family.media_type,
        **_retrying(error.retryable, error.retry_after),
        **_code(family, error.code),
    }
    if error.status == 401:
        headers["www-authenticate"] = 'Bearer realm="headrace"'
    return error.status, headers, family.of_error(error)


def family_of(scope: Scope) -> Family:
    """The family of a request's client: by its path, and by a header that one alone sends where all ask alike."""
    path = local_path(scope)
    if _is_simple(path):
        return SIMPLE
    below = f"{path}/"
    for prefix, family in _BY_PREFIX:
        if below.startswith(prefix):
            return family
    return MESSAGES if any(name == b"anthropic-version" for name, _ in scope.get("headers", ())) else OPENAI


def _simple_error(error: HeadraceError) -> bytes:
    told = {"code": error.code, "message": error.message, "retry": error.retryable, "param": error.param}
    return encode({"error": told})


def _simple_outcome(outcome: Outcome) -> bytes:
    return encode({"error": error_object(outcome)})


def _bare_error(error: HeadraceError) -> bytes:
    return error.message.encode()


def _bare_outcome(outcome: Outcome) -> bytes:
    return ending(outcome).message.encode()


def _is_simple(path: str) -> bool:
    return path in _SIMPLE_PATHS or (path.startswith("/chat/") and not path.startswith("/chat/completions"))


#: Paths whose clients expect the errors of the simple faces.
_SIMPLE_PATHS = frozenset({"/chat", "/infer", "/v1/chat/stream"})

OPENAI = Family(openai_errors.body_of_error, openai_errors.body_of_outcome)
MESSAGES = Family(messages_errors.body_of_error, messages_errors.body_of_outcome)
SIMPLE = Family(_simple_error, _simple_outcome)
#: The AI SDK's chat shows its user the body as it is.
UI = Family(_bare_error, _bare_outcome, media_type="text/plain; charset=utf-8", bare=True)

#: Where paths begin whose clients are known by that alone.
_BY_PREFIX = (
    ("/v1/messages/", MESSAGES),
    ("/v1/chat/", OPENAI),
    ("/chat/completions/", OPENAI),
    ("/v1/responses/", OPENAI),
    ("/api/chat/", UI),
)


def _code(family: Family, code: str) -> dict[str, str]:
    return {"headrace-error": code} if family.bare else {}


def _retrying(retryable: bool, retry_after: float | None) -> dict[str, str]:
    """What tells the SDKs whether to try again: they retry every 408, 409, 429 and 5xx of their own accord."""
    headers = {"x-should-retry": "true" if retryable else "false"}
    if retryable and retry_after is not None:
        headers["retry-after"] = str(math.ceil(retry_after))
    return headers
