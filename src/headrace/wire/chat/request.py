"""A request in the OpenAI chat dialect: read, and refused with the name of the field that is wrong.

Checked is what would break us or surely the upstream; everything else, unknown fields too, passes on as it is.
"""

from typing import Any

from headrace.errors import RequestError
from headrace.model.request import Request
from headrace.wire.fields import (
    COUNT,
    FLAG,
    LIST,
    NUMBER,
    OBJECT,
    TEXT,
    Rule,
    check_fields,
    is_a,
    is_stop,
    is_whole_number,
    model_in,
    wrong,
)
from headrace.wire.json_object import parse

DIALECT = "openai.chat"


def parse_request(body: bytes) -> Request:
    """The request in ``body``. Raises RequestError, with ``param`` where a field is wrong."""
    value = parse(body)
    check(value)
    return Request(dialect=DIALECT, body=value, model=model_in(value), stream=value.get("stream") is True)


def check(value: dict[str, Any]) -> None:
    """Raise RequestError where ``messages`` or a common field is missing or of the wrong type; null is as if absent."""
    check_messages(value.get("messages"))
    check_fields(value, _FIELDS)
    options = value.get("stream_options") or {}
    if not isinstance(options.get("include_usage"), bool | None):
        raise wrong("stream_options.include_usage", "must be true or false")


def check_messages(messages: object) -> None:
    """Raise RequestError unless this is a list of at least one message, each with a role."""
    if messages is None:
        raise RequestError("'messages' is missing; it must be a list of messages.", param="messages")
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", "must be a list of at least one message")
    for i, message in enumerate(messages):
        if not isinstance(message, dict):
            raise wrong(f"messages[{i}]", "must be an object with a role and content")
        role, content = message.get("role"), message.get("content")
        if not isinstance(role, str) or not role:
            raise wrong(f"messages[{i}].role", "must be a text such as 'user'")
        if not isinstance(content, str | list | None):
            raise wrong(f"messages[{i}].content", "must be a text or a list of parts")


_FIELDS: dict[str, Rule] = {
    "stream": FLAG,
    "stream_options": OBJECT,
    "n": COUNT,
    "max_tokens": COUNT,
    "max_completion_tokens": COUNT,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER,
    "seed": (is_whole_number, "must be a whole number"),
    "stop": (is_stop, "must be a text or a list of texts"),
    "tools": LIST,
    "functions": LIST,
    "tool_choice": (is_a(str, dict), "must be a text or an object"),
    "response_format": OBJECT,
    "metadata": OBJECT,
    "logprobs": FLAG,
    "store": FLAG,
    "parallel_tool_calls": FLAG,
    "user": TEXT,
}
