"""What the framework cannot say of the API: kinds of success, refusals in each client's own words, and keys."""

from collections.abc import Mapping
from typing import Any

from headrace.faces import failures

_EVENTS, _JSON, _LINES, _TEXT, _ANY = (
    "text/event-stream",
    "application/json",
    "application/x-ndjson",
    "text/plain; charset=utf-8",
    "*/*",
)

#: Statuses of success and the media types of their bodies, where the signature of a route does not tell.
_REPLIES: Mapping[tuple[str, str], Mapping[int, tuple[str, ...]]] = {
    ("post", "/v1/chat/completions"): {200: (_JSON, _EVENTS), 204: ()},
    ("post", "/chat/completions"): {200: (_JSON, _EVENTS), 204: ()},
    ("get", "/v1/chat/completions/{id}"): {200: (_JSON, _EVENTS), 204: ()},
    ("post", "/v1/responses"): {200: (_JSON, _EVENTS), 204: ()},
    ("get", "/v1/responses/{id}"): {200: (_JSON, _EVENTS), 204: ()},
    ("post", "/v1/messages"): {200: (_JSON, _EVENTS), 204: ()},
    ("get", "/v1/messages/{id}"): {200: (_JSON, _EVENTS), 204: ()},
    ("post", "/api/chat"): {200: (_EVENTS,), 204: ()},
    ("get", "/api/chat/{chat}/stream"): {200: (_EVENTS,), 204: ()},
    ("post", "/chat"): {200: (_EVENTS, _TEXT, _JSON), 204: ()},
    ("post", "/chat/stream"): {200: (_EVENTS, _JSON), 204: ()},
    ("get", "/chat/stream"): {200: (_EVENTS, _JSON), 204: ()},
    ("get", "/chat/completions"): {200: (_EVENTS, _JSON), 204: ()},
    ("post", "/v1/chat/stream"): {200: (_EVENTS, _JSON), 204: ()},
    ("post", "/infer"): {200: (_LINES, _JSON), 204: ()},
    ("get", "/v1/streams/{id}"): {200: (_EVENTS, _LINES, _ANY), 204: ()},
    ("head", "/v1/streams/{id}"): {200: ()},
    ("put", "/v1/topics/{path}"): {200: (), 201: ()},
    ("post", "/v1/topics/{path}"): {200: (), 204: ()},
    ("head", "/v1/topics/{path}"): {200: ()},
    ("get", "/v1/topics/{path}"): {200: (_EVENTS, _ANY), 204: (), 304: ()},
    ("delete", "/v1/topics/{path}"): {204: ()},
    ("get", "/v1/exports/generations"): {200: ("text/csv; charset=utf-8", _LINES)},
    ("head", "/v1/exports/generations"): {200: ()},
    ("get", "/v1/exports/topics/{path}"): {200: ("text/csv; charset=utf-8", _LINES)},
    ("head", "/v1/exports/topics/{path}"): {200: ()},
    ("get", "/v1/files/{path}"): {200: (_ANY,), 206: (_ANY,), 304: ()},
    ("head", "/v1/files/{path}"): {200: (), 206: (), 304: ()},
    ("get", "/v1/proxy/{target}/{path}"): {200: (_ANY,)},
    ("get", "/api/conversations/watch"): {200: (_EVENTS,)},
    ("post", "/api/conversations"): {200: (_JSON,), 201: (_JSON,)},
    ("get", "/api/conversations/{id}/export"): {200: ("text/markdown; charset=utf-8", _JSON)},
    ("post", "/api/conversations/{id}/answers"): {200: (_JSON,), 201: (_JSON,)},
    ("get", "/api/overview"): {200: (_EVENTS,)},
    ("get", "/metrics"): {200: (_ANY,)},
}
_SAID = {
    200: "Done.",
    201: "Made.",
    204: "Nothing more comes.",
    206: "The part that was asked for.",
    304: "It is as it was.",
}

#: Refusals that every route knows; others are in docs/errors.md.
_REFUSALS = {
    "401": "A key is needed, or the one that was shown is not good.",
    "429": "Something is used up; `Retry-After` says until when, where that is known.",
    "503": "The server is stopping, full, or has no store now; `Retry-After` says when to come again.",
    "4XX": "The request cannot be served as it is.",
    "5XX": "The server, or whom it asked, has failed.",
}

#: How a key is passed, and the paths on which none is asked for. What counts is what the authenticator reads.
_KEYS = {
    "HTTPBearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, as the OpenAI SDKs send it.",
    },
    "APIKeyHeader": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "An API key, as the Anthropic SDKs send it.",
    },
}
_KEYLESS = frozenset({"/api/session", "/health", "/ready", "/metrics"})

_WORD = {"type": "string"}
_PERHAPS = {"type": ["string", "null"]}
_SHAPES: Mapping[failures.Family, dict[str, Any]] = {
    failures.OPENAI: {"message": _WORD, "type": _WORD, "param": _PERHAPS, "code": _PERHAPS},
    failures.MESSAGES: {"type": _WORD, "message": _WORD, "code": _WORD, "param": _WORD},
    failures.SIMPLE: {"code": _WORD, "message": _WORD, "retry": {"type": "boolean"}, "param": _PERHAPS},
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
#: What the framework says of parameters that are not valid; here that is a 400.
_UNTRUE = ("HTTPValidationError", "ValidationError")


def completed(description: dict[str, Any]) -> dict[str, Any]:
    """The framework's description, with what it cannot know. It is changed in place."""
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            found = operation["responses"]
            found.pop("422", None)
            replies = _REPLIES.get((method, path), {})
            for status, kinds in replies.items():
                found[str(status)] = {"description": _SAID[status], **_content(kinds)}
            found |= {status: found.get(status) or _refusal(status, path, method) for status in _REFUSALS}
            if path not in _KEYLESS:
                operation["security"] = [{scheme: []} for scheme in _KEYS]
    components = description.setdefault("components", {})
    components["securitySchemes"] = _KEYS
    for name in _UNTRUE:
        components.get("schemas", {}).pop(name, None)
    return description


def _content(kinds: tuple[str, ...]) -> dict[str, Any]:
    return {"content": {kind: {} for kind in kinds}} if kinds else {}


def _refusal(status: str, path: str, method: str) -> dict[str, Any]:
    family = failures.family_of({"path": path})
    headers = {"headers": _RETRY_AFTER} if status in ("429", "503") else {}
    if method == "head":
        return {"description": _REFUSALS[status], **headers}
    return {"description": _REFUSALS[status], "content": {family.media_type: {"schema": _shape(family)}}, **headers}


def _shape(family: failures.Family) -> dict[str, Any]:
    """The body of a family's errors."""
    if family.bare:
        return _WORD
    needed = ["message", "type"] if family is not failures.SIMPLE else ["code", "message", "retry"]
    error = {"type": "object", "required": needed, "properties": _SHAPES[family]}
    return {"type": "object", "required": ["error"], "properties": {"error": error}}
