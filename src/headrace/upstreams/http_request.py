"""A request as it goes out: where to, and the bytes of its head.

Nothing that is not plain HTTP leaves here: a value with a line break in it is refused, and how the message is framed
(RFC 9112, section 6) is decided here alone, whatever headers are handed in.
"""

import re
from collections.abc import AsyncIterable, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from headrace import __version__

#: What is sent unless the caller says otherwise.
_SENT = {"accept": "*/*", "accept-encoding": "identity", "user-agent": f"headrace/{__version__}"}
#: Headers that say how the message is framed and what becomes of the connection: never the caller's.
_OURS = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
#: Methods whose request has a length even where it has no body (RFC 9110, section 8.6).
_WITH_BODY = frozenset({"PATCH", "POST", "PUT"})
_PORTS = {"http": 80, "https": 443}

_METHOD = re.compile(r"[A-Z]+")
_URL = re.compile(r"[\x21-\x7e]+")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

Body = bytes | AsyncIterable[bytes] | None


class Origin(NamedTuple):
    """Whom a connection is to, and a credential is for. ``host`` is a name or an address without brackets."""

    scheme: str
    host: str
    port: int


class Request(NamedTuple):
    """A request, ready to be sent. ``length`` is None where the body goes out in chunks."""

    origin: Origin
    method: str
    head: bytes
    body: Body
    length: int | None


def outgoing(method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Request:
    """A request, from a URL that is sent as it is written. A body that streams may say its ``content-length``.

    Raises ValueError where this cannot be sent.
    """
    origin, host, target = _place(url)
    if not _METHOD.fullmatch(method) or method == "CONNECT":
        raise ValueError("not a method")
    fields = dict(_SENT)
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError("not a header")
        fields[name.lower()] = value.strip(" \t")
    length = _length(body, fields.get("content-length", ""))
    lines = [f"{method} {target} HTTP/1.1", f"host: {fields.pop('host', host)}"]
    lines += [f"{name}: {value}" for name, value in fields.items() if name not in _OURS]
    if length is None:
        lines.append("transfer-encoding: chunked")
    elif body is not None or method in _WITH_BODY:
        lines.append(f"content-length: {length}")
    return Request(origin, method, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), body, length)


@lru_cache(256)  # a server asks a few URLs again and again
def _place(url: str) -> tuple[Origin, str, str]:
    """The origin, what its Host header says, and the target. Raises ValueError."""
    if not _URL.fullmatch(url):
        raise ValueError("not a URL")
    parts = urlsplit(url)
    host, default = parts.hostname, _PORTS.get(parts.scheme)
    if not host or default is None or parts.port == 0 or "@" in parts.netloc:
        raise ValueError("not a URL of ours")
    port = parts.port or default
    name = f"[{host}]" if ":" in host else host
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Origin(parts.scheme, host, port), name if port == default else f"{name}:{port}", target


def _length(body: Body, told: str) -> int | None:
    if body is None:
        return 0
    if isinstance(body, bytes):
        return len(body)
    return int(told) if told.isascii() and told.isdecimal() else None
