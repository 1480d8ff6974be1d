"""A request of the AI SDK's ``useChat``: read, and refused with the name of the field that is wrong."""

from typing import Any

import msgspec

from headrace.wire.fields import wrong
from headrace.wire.json_object import parse

#: Characters of a chat's id, and of a message's that an answer continues: they are kept with the stream.
MAX_ID = 255


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``body`` is all of it; ``chat`` is the chat's id, and ``model`` is empty where none was named.

    ``continues`` is the id of the message that the answer becomes part of: the model goes on after its tools' results.
    Empty where the answer is a message of its own.
    """

    body: dict[str, Any]
    chat: str
    model: str = ""
    continues: str = ""


def parse_request(body: bytes) -> ChatRequest:
    """The request in ``body``. Raises RequestError, with ``param`` where a field is wrong.

    The messages' parts are looked at where they become a prompt (:mod:`headrace.wire.ui.reading`).
    """
    value = parse(body)
    chat = value.get("id")
    if not isinstance(chat, str) or not 0 < len(chat) <= MAX_ID:
        raise wrong("id", f"must be the chat's id, of 1 to {MAX_ID} characters")
    model = value.get("model")
    if not isinstance(model, str | None):
        raise wrong("model", "must be the name of a model")
    messages = value.get("messages")
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", "must be a list of at least one message")
    return ChatRequest(body=value, chat=chat, model=model or "", continues=_continued(value, messages[-1]))


def parse_stop(body: bytes) -> str:
    """The stream that is to be stopped, by its id or its message's; empty where none is named. Raises RequestError."""
    if not body.strip():
        return ""
    value = parse(body)
    for name in ("stream", "messageId"):
        given = value.get(name)
        if not isinstance(given, str | None):
            raise wrong(name, "must be the id of the answer to stop")
        if given:
            return given
    return ""


def _continued(value: dict[str, Any], last: object) -> str:
    """The id of the last message, where that is the model's.

    Under another id its parts would be shown, and sent back, twice. Who regenerates wants a message of its own.
    """
    if not isinstance(last, dict) or last.get("role") != "assistant" or value.get("trigger") == "regenerate-message":
        return ""
    id = last.get("id")
    if not isinstance(id, str | None) or len(id or "") > MAX_ID:
        raise wrong(f"messages[{len(value['messages']) - 1}].id", f"must be a text of at most {MAX_ID} characters")
    return id or ""
