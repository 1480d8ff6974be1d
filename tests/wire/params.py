"""The SDKs' own types of requests, as judges of what the writers write."""

from collections.abc import Iterator
from typing import Any

from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from headrace.model.dialect import CHAT, MESSAGES, RESPONSES

_TYPES = {
    CHAT: TypeAdapter(CompletionCreateParamsNonStreaming),
    RESPONSES: TypeAdapter(ResponseCreateParamsNonStreaming),
    MESSAGES: TypeAdapter(MessageCreateParamsNonStreaming),
}
#: Their API takes these, or did; their types have forgotten them.
_UNTYPED = {CHAT: (), RESPONSES: (), MESSAGES: ("temperature", "top_p", "top_k")}


def valid(body: dict[str, Any], dialect: str) -> dict[str, Any]:
    """The body, where the SDK's type has a place for all of it; ``model`` is added by others."""
    known = {name: value for name, value in body.items() if name not in _UNTYPED[dialect]} | {"model": "m"}
    assert _read(_TYPES[dialect].validate_python(known)) == known
    return body


def _read(value: object) -> object:
    """A validated value with its lists, which pydantic checks as they are read; what it does not know is not there."""
    if isinstance(value, dict):
        return {name: _read(each) for name, each in value.items()}
    return [_read(each) for each in value] if isinstance(value, list | Iterator) else value
