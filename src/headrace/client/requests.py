"""The questions that clients ask, and what their replies say."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from headrace.client.exchange import Asked, Reply, stranger
from headrace.model.outcome import State, Usage
from headrace.wire.json_object import encode

T = TypeVar("T")

#: Messages as the chat API has them, or one text that the user says.
Messages = str | Sequence[Mapping[str, Any]]

_JSON = {"content-type": "application/json"}
#: Streams on one page of a list: what a server gives at most.
_PAGE = 1000


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A stream in a list. Times are Unix seconds; ``reason``, ``ended`` and ``usage`` are those of an ended one."""

    id: str
    model: str
    dialect: str
    created: float
    state: State
    records: int
    bytes: int
    reason: str = ""
    ended: float | None = None
    usage: Usage | None = None


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a stop. ``cancelled`` tells whether it was this one that stopped the answer."""

    cancelled: bool
    state: State


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the list of streams, newest first."""

    data: list[Summary]
    has_more: bool

    def next(self, limit: int) -> Asked | None:
        """What asks for as many after these; None where there are none, or none are wanted."""
        return streams(limit, self.data[-1].id) if self.has_more and self.data and limit > 0 else None


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


def new_key() -> str:
    """An idempotency key: by it the server knows a repeated request, and the answer that it started."""
    return f"client-{secrets.token_hex(16)}"


def chat(model: str, messages: Messages, *, system: str, key: str, on_leave: str, options: Mapping[str, Any]) -> Asked:
    """What starts an answer."""
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    if system:
        turns.insert(0, {"role": "system", "content": system})
    body = {"stream_options": {"include_usage": True}, **options, "model": model, "messages": turns, "stream": True}
    headers = {**_JSON, "idempotency-key": key, "headrace-on-leave": on_leave}
    return Asked("POST", "/v1/chat/completions", encode(body), headers)


def cancel(id: str) -> Asked:
    """What stops an answer."""
    return Asked("POST", f"/v1/streams/{quote(id, safe='')}/cancel")


def streams(limit: int, before: str = "") -> Asked:
    """What lists streams, as many as one page has at most."""
    after = f"&before={quote(before, safe='')}" if before else ""
    return Asked("GET", f"/v1/streams?limit={min(limit, _PAGE)}{after}")


def models() -> Asked:
    """What lists the models."""
    return Asked("GET", "/v1/models")


def cancelled_of(reply: Reply) -> Cancelled:
    """What came of a stop. Raises Refused where it is no Headrace that answers; so do the others."""
    return _read(reply, Cancelled)


def page_of(reply: Reply) -> Page:
    """A page of streams."""
    return _read(reply, Page)


def models_of(reply: Reply) -> list[str]:
    """The models' names."""
    return [model.id for model in _read(reply, _Models).data]


def _read(reply: Reply, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise stranger(reply.status) from None
