"""What a client asks and what the replies mean, before and after anything goes over a network."""

import math
import os
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from headrace.client.errors import Gone, Refused
from headrace.client.patience import PATIENCE, Patience
from headrace.wire.openai_errors import scrub

DEFAULT_URL = "http://127.0.0.1:8003"

#: What a proxy says where the server is away. The server itself says whether to try again.
_AWAY = frozenset({408, 429, 500, 502, 503, 504})
#: Codes by which the server tells that there is no such stream, or not as much of it.
_GONE = frozenset({"not_found", "gone", "offset_ahead"})

_NO_ADDRESS = f"The server is a URL such as {DEFAULT_URL}."


class Lost(Exception):
    """There is no connection, or it broke."""


class Asked(NamedTuple):
    """A question; ``path`` begins at the server's root. Only what may be asked twice is one.

    ``waits`` where the server is silent for as long as there is nothing to say, as it is in a long poll.
    """

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = {}
    waits: bool = False


class Head(NamedTuple):
    """How an answer begins; the headers' names are in lower case."""

    status: int
    headers: Mapping[str, str]


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Address:
    """Where a server is, and who asks it. Its ``repr`` is without the key.

    Raises ValueError for a URL or a key that cannot be one; without a word of it, since it may hold a secret.
    """

    def __init__(self, url: str, key: str = "") -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # which shows what stands where a port should, or the whole host
            raise ValueError(_NO_ADDRESS) from None
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
        if parts.scheme not in ("http", "https") or not parts.hostname or not plain or not url.isascii():
            raise ValueError(_NO_ADDRESS)
        if not key.isascii() or any(char <= " " or char == "\x7f" for char in key):
            raise ValueError("A key is printable ASCII without spaces.")
        self.secure = parts.scheme == "https"
        self.host = parts.hostname
        self.port = port
        self.root = parts.path.rstrip("/")
        self.url = url.rstrip("/")
        self.headers = {"authorization": f"Bearer {key}"} if key else {}

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


def address_of(url: str | None, key: str | None) -> Address:
    """The address that was given, or that the environment names. Raises ValueError."""
    url = url or os.environ.get("HEADRACE_URL") or DEFAULT_URL
    return Address(url, os.environ.get("HEADRACE_API_KEY", "") if key is None else key)


def again(reply: Reply, patience: Patience) -> float | None:
    """Seconds after which the same question may find a better answer; None where this is the answer.

    Raises Refused where it is one that says no, and also where patience is over.
    """
    if reply.status < 300:
        patience.succeeded()
        return None
    otherwise = "true" if reply.status in _AWAY else "false"
    if reply.status < 400 or reply.headers.get("x-should-retry", otherwise) != "true":
        patience.succeeded()
        raise refusal(reply)
    return patience.pause(_retry_after(reply), refusal(reply) if reply.headers.get("x-should-retry") else None)


def refusal(reply: Reply) -> Refused:
    """What the server says is wrong, in one line."""
    said = scrub(reply.body)
    kind = Gone if said.code in _GONE else Refused
    message = said.message or f"The server answers with status {reply.status}."
    return kind(message, code=said.code, status=reply.status)


def stranger(status: int) -> Refused:
    """What is said of a reply that no Headrace gives."""
    return Refused("What answers there is no Headrace.", code="not_headrace", status=status)


def _retry_after(reply: Reply) -> float:
    try:
        seconds = float(reply.headers.get("retry-after", ""))
    except ValueError:
        return 0.0
    return min(seconds, PATIENCE) if math.isfinite(seconds) else 0.0
