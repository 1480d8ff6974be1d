"""A request in the OpenAI Responses dialect: read, and refused with the name of the field that is wrong.

Checked is what would break us or surely the upstream; everything else, unknown fields too, passes on as it is.
"""

from collections.abc import Mapping
from typing import Any

from headrace.errors import RequestError
from headrace.model.dialect import RESPONSES
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
    is_texts,
    model_in,
    wrong,
)
from headrace.wire.json_object import parse

#: What stands for ``input``, or goes in front of it.
_IN_PLACE_OF_INPUT = ("previous_response_id", "conversation", "prompt")

#: What a response says again of its request; ``include`` is there for the encoder.
_ECHOED = (
    "background",
    "conversation",
    "include",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
)


def parse_request(body: bytes) -> Request:
    """The request in ``body``. Raises RequestError, with ``param`` where a field is wrong."""
    value = parse(body)
    _check_input(value)
    check_fields(value, _FIELDS)
    if value.get("previous_response_id") is not None and value.get("conversation") is not None:
        raise wrong("previous_response_id", "can't be used together with 'conversation'")
    return Request(dialect=RESPONSES, body=value, model=model_in(value), stream=value.get("stream") is True)


def echo_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a Response object must say again of its request; what the client left open is not in it."""
    return {name: body[name] for name in _ECHOED if body.get(name) is not None}


def _check_input(value: Mapping[str, Any]) -> None:
    given = value.get("input")
    if given is None:
        if any(value.get(name) is not None for name in _IN_PLACE_OF_INPUT):
            return
        raise RequestError("'input' is missing; it must be a text or a list of items.", param="input")
    if not isinstance(given, str | list):
        raise wrong("input", "must be a text or a list of items")
    for i, item in enumerate(given if isinstance(given, list) else ()):
        if not isinstance(item, dict):
            raise wrong(f"input[{i}]", "must be an object")


_FIELDS: dict[str, Rule] = {
    "stream": FLAG,
    "stream_options": OBJECT,
    "background": FLAG,
    "store": FLAG,
    "previous_response_id": TEXT,
    "conversation": (is_a(str, dict), "must be a text or an object"),
    "prompt": OBJECT,
    "instructions": TEXT,
    "include": (is_texts, "must be a list of texts"),
    "tools": LIST,
    "tool_choice": (is_a(str, dict), "must be a text or an object"),
    "parallel_tool_calls": FLAG,
    "text": OBJECT,
    "reasoning": OBJECT,
    "max_output_tokens": COUNT,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "truncation": TEXT,
    "metadata": OBJECT,
    "user": TEXT,
    "safety_identifier": TEXT,
}
