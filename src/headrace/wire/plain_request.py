"""A request of the simple faces: as JSON or as a query string, made into an OpenAI chat request.

Fields of others are left out, because a page may send what no upstream knows.
"""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from headrace.errors import RequestError
from headrace.wire.chat.request import check_messages
from headrace.wire.fields import is_count, is_number, is_stop, wrong
from headrace.wire.json_object import parse

#: Characters of a conversation's name: it becomes a name of the stream.
MAX_CONVERSATION = 255


class SimpleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``body`` is an OpenAI chat request without ``model`` and ``stream``. ``model`` is empty where none was named.

    ``history`` says whether it came as ``messages``, which on some routes decides the form of the answer.
    """

    body: dict[str, Any]
    model: str = ""
    stream: bool = True
    conversation: str = ""
    history: bool = False


def parse_simple(body: bytes) -> SimpleRequest:
    """The request in a JSON body. Raises RequestError, with ``param`` where a field is wrong."""
    return _request(parse(body))


def parse_query(query: Mapping[str, str]) -> SimpleRequest:
    """The request in a query string; ``messages`` is JSON there. Raises RequestError as ``parse_simple`` does."""
    value: dict[str, Any] = {name: query[name] for name in _TEXTS if query.get(name)}
    for name, read in (("max_tokens", _whole), ("temperature", _number), ("stream", _flag)):
        if query.get(name):
            value[name] = read(name, query[name])
    if query.get("messages"):
        wrapped = b'{"messages":%b}' % query["messages"].encode(errors="replace")
        try:
            value["messages"] = parse(wrapped)["messages"]
        except RequestError:
            raise wrong("messages", "must be a JSON list of messages") from None
    return _request(value)


def _request(value: dict[str, Any]) -> SimpleRequest:
    for name in ("model", "system", "conversation"):
        if not isinstance(value.get(name), str | None):
            raise wrong(name, "must be a text")
    if len(value.get("conversation") or "") > MAX_CONVERSATION:
        raise wrong("conversation", f"must have at most {MAX_CONVERSATION} characters")
    if not isinstance(value.get("stream"), bool | None):
        raise wrong("stream", "must be true or false")
    body: dict[str, Any] = {"messages": _messages(value)}
    for name, fits, words in _SETTINGS:
        given = value.get(name)
        if given is None:
            continue
        if not fits(given):
            raise wrong(name, words)
        body[name] = given
    return SimpleRequest(
        body=body,
        model=value.get("model") or "",
        stream=value.get("stream") is not False,
        conversation=value.get("conversation") or "",
        history=value.get("messages") is not None,
    )


def _messages(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The history, or the one message; ``system`` before it."""
    message, history = value.get("message"), value.get("messages")
    if message is not None and history is not None:
        raise RequestError("Give either 'message' or 'messages', not both.", param="message")
    if history is None:
        if not isinstance(message, str | None):
            raise wrong("message", "must be a text")
        if not message or not message.strip():
            raise wrong("message", "is empty or missing; it must be a text")
        history = [{"role": "user", "content": message}]
    check_messages(history)
    system = value.get("system")
    return [{"role": "system", "content": system}, *history] if system else list(history)


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise wrong(name, "must be a whole number above 0")
    return int(text)


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise wrong(name, "must be a number")
    return number


def _flag(name: str, text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise wrong(name, "must be true or false")
    return _FLAGS[text.lower()]


_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_TEXTS = ("message", "model", "system", "conversation", "stop")
_SETTINGS = (
    ("max_tokens", is_count, "must be a whole number above 0"),
    ("temperature", is_number, "must be a number"),
    ("stop", is_stop, "must be a text or a list of texts"),
)
