"""A target of the proxy: what may be asked of it, where that goes, and what of the answer may pass.

The client chooses a path below the target's base and nothing else: host, port, scheme and credentials are the
configuration's. What a path means is decided here, once, and it is written anew for the target, so that no server
behind this one reads it in another way.
"""

import re
import unicodedata
from collections.abc import AsyncIterable, Collection, Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote_plus, unquote_to_bytes, urljoin, urlsplit

from headrace.errors import NotFound, RequestError
from headrace.upstreams.http import Exchange, Http

#: A client's headers that go on. Never a credential or a cookie, nor anything that says where it comes from.
CLIENT_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "content-language",
        "content-type",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "last-event-id",
        "range",
        "traceparent",
        "tracestate",
    }
)
#: A target's headers that come back. Never its cookies, its length (the reply's own is told), its framing, nor what
#: would speak to a browser for our whole origin (CORS, HSTS, challenges, links).
TARGET_HEADERS = frozenset(
    {
        "accept-ranges",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-range",
        "content-type",
        "etag",
        "last-modified",
        "retry-after",
    }
)
#: How often a path may be escaped over and over; who does it more often means no good.
_ESCAPED = 4
_LONGEST = 8192

_QUERY = re.compile(r"[\x21\x22\x24-\x7e]*")
_FIELD = re.compile(r"[\x20-\x7e]*")
_LENGTH = re.compile(r"[0-9]{1,18}")
#: What a segment must not hold, escaped or not: separators of some server or other, and control characters.
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u2028\u2029]")
#: What is written as it is. All else is escaped.
_PLAIN = "!$&'()*+,;=:@~"


class Asked(NamedTuple):
    """A client's request to a target. ``path`` is as it was sent, escapes and all; ``query`` is without ``?``."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes | AsyncIterable[bytes] | None = None


class ProxyTarget:
    """A server that requests are passed on to.

    ``base`` is an origin and a path without a slash at its end, ``headers`` what it is sent with each request: with
    the connections of ``http``, which belong to it, these go to its own origin alone.
    """

    def __init__(self, base: str, headers: Mapping[str, str], methods: Collection[str], http: Http) -> None:
        self.base = base
        self.methods = methods
        self._own = {name.lower(): value for name, value in headers.items()}
        self._secrets = frozenset(
            part
            for name, value in self._own.items()
            if name not in CLIENT_HEADERS and name != "user-agent"
            for part in (value, value.rpartition(" ")[2])
        )
        self._http = http

    def url(self, path: str, query: str) -> str:
        """Where a request goes. Raises NotFound for a path that leads elsewhere, RequestError for a bad query."""
        if not _QUERY.fullmatch(query) or len(query) > _LONGEST:
            raise RequestError("The query has characters that a URL cannot have, or is too long.")
        kept = "&".join(part for part in query.split("&") if unquote_plus(part.partition("=")[0]) != "ticket")
        return self.base + clean_path(path) + (f"?{kept}" if kept else "")

    async def ask(self, asked: Asked) -> Exchange:
        """Send a request and wait for the head of the answer, whatever its status; cancelling closes the connection.

        Raises NotFound and RequestError for what cannot be asked, UpstreamError.
        """
        url = self.url(asked.path, asked.query)
        lower = {name.lower(): value for name, value in asked.headers.items()}
        passed = {name: value for name, value in lower.items() if name in CLIENT_HEADERS and _FIELD.fullmatch(value)}
        sent = {**passed, **self._own}
        length = lower.get("content-length", "")
        if asked.body is not None and not isinstance(asked.body, bytes) and _LENGTH.fullmatch(length):
            sent["content-length"] = length
        return await self._http.request(asked.method, url, sent, asked.body)

    def passed(self, exchange: Exchange, asked: Asked, below: str) -> dict[str, str]:
        """The headers of an answer that may pass. ``below`` is where the client finds this target, without a slash.

        A redirect within the target is one within ``below``; one that leads elsewhere is not told. A header in which
        the target repeats its credentials is left out.
        """
        headers = {name: value for name, value in exchange.headers.items() if name in TARGET_HEADERS}
        place = self._within(exchange.headers.get("location", ""), asked)
        if place is not None:
            headers["location"] = below + place
        return {name: value for name, value in headers.items() if not any(secret in value for secret in self._secrets)}

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    def _within(self, location: str, asked: Asked) -> str | None:
        """The path and query of a redirect, where it leads to somewhere below the base."""
        if not location or not _QUERY.fullmatch(location.partition("#")[0]):
            return None
        try:
            parts = urlsplit(urljoin(self.url(asked.path, asked.query), location))
            base = urlsplit(self.base)
            same = (parts.scheme, parts.netloc.lower()) == (base.scheme, base.netloc.lower())
            rest = parts.path.removeprefix(base.path)
            inside = same and parts.path.startswith(base.path) and rest[:1] in ("", "/")
            return clean_path(rest) + (f"?{parts.query}" if parts.query else "") if inside else None
        except (ValueError, NotFound):
            return None


def clean_path(path: str) -> str:
    """A path, written anew: each segment unescaped once and escaped by one rule. Empty, or with a slash in front.

    Raises NotFound for one that some server may read as leading elsewhere: with dots or separators, escaped however
    often; with an empty segment that is not the last; or not in UTF-8.
    """
    if not path:
        return ""
    first, *segments = path.split("/")
    if first or len(path) > _LONGEST or not all(segments[:-1]):
        raise NotFound
    return "".join(f"/{_clean(segment)}" for segment in segments)


def _clean(segment: str) -> str:
    once = _unescaped(segment)
    text = once
    for _ in range(_ESCAPED):
        plain = unicodedata.normalize("NFKC", text)
        if _UNSAFE.search(text) or _UNSAFE.search(plain) or plain.partition(";")[0].strip() in (".", ".."):
            raise NotFound
        text, before = _unescaped(text), text
        if text == before:
            return quote(once, safe=_PLAIN)
    raise NotFound


def _unescaped(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise NotFound from None
