"""A request in the Anthropic Messages dialect: read, and refused with the name of the field that is wrong.

Checked is what would break us or surely the upstream; everything else, unknown fields too, passes on as it is.
"""

from typing import Any

from headrace.errors import RequestError
from headrace.model.dialect import MESSAGES
from headrace.model.request import Request
from headrace.wire.fields import FLAG, LIST, NUMBER, OBJECT, Rule, check_fields, is_a, is_texts, model_in, wrong
from headrace.wire.json_object import parse


def parse_request(body: bytes) -> Request:
    """The request in ``body``. Raises RequestError, with ``param`` where a field is wrong."""
    value = parse(body)
    request = _request(value)
    if value.get("max_tokens") is None:
        raise RequestError("'max_tokens' is missing; it must be a whole number.", param="max_tokens")
    return request


def parse_count(body: bytes) -> Request:
    """The same for a request that only asks how many tokens it would have: it needs no ``max_tokens``."""
    return _request(parse(body))


def _request(value: dict[str, Any]) -> Request:
    _check_messages(value.get("messages"))
    check_fields(value, _FIELDS)
    return Request(dialect=MESSAGES, body=value, model=model_in(value), stream=value.get("stream") is True)


def _check_messages(messages: object) -> None:
    if messages is None:
        raise RequestError("'messages' is missing; it must be a list of messages.", param="messages")
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", "must be a list of at least one message")
    for i, message in enumerate(messages):
        if not isinstance(message, dict):
            raise wrong(f"messages[{i}]", "must be an object with a role and content")
        if not isinstance(message.get("role"), str) or not message["role"]:
            raise wrong(f"messages[{i}].role", "must be a text such as 'user'")
        if not isinstance(message.get("content"), str | list):
            raise wrong(f"messages[{i}].content", "must be a text or a list of blocks")


def _is_limit(value: object) -> bool:
    """A whole number. 0 asks to fill the provider's cache and nothing else."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31


_FIELDS: dict[str, Rule] = {
    "max_tokens": (_is_limit, "must be a whole number, not below 0"),
    "stream": FLAG,
    "system": (is_a(str, list), "must be a text or a list of blocks"),
    "tools": LIST,
    "tool_choice": OBJECT,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "top_k": NUMBER,
    "stop_sequences": (is_texts, "must be a list of texts"),
    "thinking": OBJECT,
    "metadata": OBJECT,
}
