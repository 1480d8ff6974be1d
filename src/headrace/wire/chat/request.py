"""A request in the OpenAI chat dialect: read, and refused with the name of the field that is wrong.

Checked is what would break us or surely the upstream; everything else, unknown fields too, passes on as it is.
"""

from collections.abc import Callable
from typing import Any

from headrace.errors import RequestError
from headrace.model.request import Request
from headrace.wire.json_object import parse

DIALECT = "openai.chat"


def parse_request(body: bytes) -> Request:
    """The request in ``body``. Raises RequestError, with ``param`` where a field is wrong."""
    value = parse(body)
    check(value)
    model = value.get("model")
    if not isinstance(model, str) or not model:
        raise wrong("model", "must be the name of a model")
    return Request(dialect=DIALECT, body=value, model=model, stream=value.get("stream") is True)


def check(value: dict[str, Any]) -> None:
    """Raise RequestError where ``messages`` or a common field is missing or of the wrong type; null is as if absent."""
    check_messages(value.get("messages"))
    for name, (fits, words) in _FIELDS.items():
        given = value.get(name)
        if given is not None and not fits(given):
            raise wrong(name, words)
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


def wrong(name: str, words: str) -> RequestError:
    """The error for one field."""
    return RequestError(f"'{name}' {words}.", param=name)


def is_count(value: object) -> bool:
    """A whole number from 1 on that fits into 32 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31


def is_number(value: object) -> bool:
    """A number of any kind; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_stop(value: object) -> bool:
    """A text or a list of texts."""
    return isinstance(value, str) or _is_texts(value)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is(*types: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, types)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_Rule = tuple[Callable[[object], bool], str]
_FLAG: _Rule = (_is(bool), "must be true or false")
_COUNT: _Rule = (is_count, "must be a whole number above 0")
_NUMBER: _Rule = (is_number, "must be a number")
_LIST: _Rule = (_is(list), "must be a list")
_FIELDS: dict[str, _Rule] = {
    "stream": _FLAG,
    "stream_options": (_is(dict), "must be an object"),
    "n": _COUNT,
    "max_tokens": _COUNT,
    "max_completion_tokens": _COUNT,
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "seed": (_is_whole, "must be a whole number"),
    "stop": (is_stop, "must be a text or a list of texts"),
    "tools": _LIST,
    "functions": _LIST,
    "tool_choice": (_is(str, dict), "must be a text or an object"),
    "response_format": (_is(dict), "must be an object"),
    "metadata": (_is(dict), "must be an object"),
    "logprobs": _FLAG,
    "store": _FLAG,
    "parallel_tool_calls": _FLAG,
    "user": (_is(str), "must be a text"),
}
