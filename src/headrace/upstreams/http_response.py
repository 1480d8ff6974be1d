"""A response as it comes in: bytes are fed, and it is known what has come of it. No sockets here.

The parser is llhttp. What it leaves to its users is done here: bounds on everything that is not body, how a body ends
that the close of its connection ends, and that nothing may follow a response that nobody asked for.
"""

import re
from collections.abc import Callable

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from headrace.errors import UpstreamError, UpstreamProtocol, UpstreamTruncated

#: Bytes and fields that a response's head may have.
HEAD_BYTES = 65536
HEAD_FIELDS = 256
#: Informational responses (1xx) before the final one.
INFORMATIONAL = 32

#: Response headers that are looked at or passed on; all others are dropped at the edge.
RESPONSE_HEADERS = frozenset(
    {
        "accept-ranges",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-range",
        "content-type",
        "etag",
        "last-modified",
        "location",
        "openai-model",
        "openai-processing-ms",
        "openai-version",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-limit-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
        "x-request-id",
        "x-should-retry",
    }
)
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SWITCHING = 101
_WITHOUT_BODY = frozenset({204, 304})


class OutOfBounds(Exception):
    """The parser is told to stop. Nobody else sees this."""


class Response:
    """One response, for a request with this method. What breaks it is noted, and raised only by ``take``."""

    def __init__(self, method: str) -> None:
        self.status = 0
        #: Lower-case names; only those of ``RESPONSE_HEADERS``, the first of each, none with control characters.
        self.headers: dict[str, str] = {}
        #: Something came, be it one byte.
        self.heard = False
        #: The final head is there.
        self.headed = False
        #: What has come of the body and was not taken, and about how many bytes these are.
        self.parts: list[bytes] = []
        self.size = 0
        #: The body came to its end.
        self.complete = False
        #: What it broke with. Parts that came before are good.
        self.error: type[UpstreamError] | None = None
        #: The connection may serve another request after this.
        self.keep_alive = False
        #: Its connection was told to read no more for now.
        self.paused = False

        self._method = method
        self._until_close = False
        self._codings: list[str] = []
        self._fields = 0
        self._field_bytes = 0
        self._informational = 0
        #: Bytes since the last that were body: heads, framing, trailers.
        self._overhead = 0
        # llhttp calls this for each piece of a body: it is the list's own method, with nothing in between.
        self.on_body = self.parts.append
        parser = HttpResponseParser(self)
        # Bare LF and padded chunk sizes are met in the wild, and cannot be taken for anything else.
        parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True)
        self._parser: HttpResponseParser | None = parser
        self._parse: Callable[[bytes], None] = parser.feed_data

    @property
    def over(self) -> bool:
        """Nothing more will come of it. Where it counts, this is looked up without a call."""
        return self.complete or self.error is not None

    def feed(self, data: bytes) -> None:
        """Take what came. Not called once it is over."""
        self.heard = True
        try:
            self._parse(data)
        except (HttpParserError, HttpParserUpgrade):
            self.keep_alive = False
            self._break(UpstreamTruncated if self.headed else UpstreamProtocol)
        if self.parts:
            self.size += len(data)
            self._overhead = 0
        else:
            self._overhead += len(data)
            if self._overhead > HEAD_BYTES:
                self._break(UpstreamTruncated if self.headed else UpstreamProtocol)
        if self.complete or self.error is not None:
            self._release()

    def close(self) -> None:
        """Note that the other side has ended in good manners, which is how some bodies end."""
        if self.headed and self._until_close:
            self.complete = True
        self.cut()

    def cut(self) -> None:
        """Note that the connection is gone."""
        self._break(UpstreamTruncated)
        self._release()

    def take(self) -> bytes | None:
        """What has come of the body; empty at its end, None where it has to be waited for.

        Raises what it broke with, after all that came before.
        """
        parts = self.parts
        if parts:
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            self.size = 0
            return data
        if self.complete:
            return b""
        if self.error is not None:
            raise self.error
        return None

    # -- what the parser calls: the names are its own ----------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Another head begins: after an informational one that is well, after the final one nobody asked for it."""
        if self.headed:
            raise OutOfBounds

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; those of a trailer are of no use."""
        if self.headed:
            return
        self._fields += 1
        self._field_bytes += len(name) + len(value)
        if self._fields > HEAD_FIELDS or self._field_bytes > HEAD_BYTES:
            raise OutOfBounds
        key = name.decode("latin-1").lower()
        if key == "transfer-encoding":
            self._codings.append(value.decode("latin-1").strip().lower())
        elif key in RESPONSE_HEADERS and key not in self.headers:
            text = value.decode("latin-1").strip(" \t")
            if not _CONTROLS.search(text):
                self.headers[key] = text

    def on_headers_complete(self) -> None:
        """Take the status, and decide how the body will end (RFC 9112, section 6.3)."""
        assert self._parser is not None  # noqa: S101 - it is the parser that calls
        status = self._parser.get_status_code()
        self._fields = self._field_bytes = self._overhead = 0
        if 100 <= status < 200 and status != _SWITCHING:
            self._informational += 1
            if self._informational > INFORMATIONAL:
                raise OutOfBounds
            self.headers.clear()
            self._codings.clear()
            return
        # Only chunked is asked for and understood.
        if self._codings not in ([], ["chunked"]):
            raise OutOfBounds
        self.status = status
        self.headed = True
        bodiless = status in _WITHOUT_BODY or status == _SWITCHING
        self.keep_alive = status != _SWITCHING and self._parser.should_keep_alive()
        self._until_close = not (bodiless or self._codings or "content-length" in self.headers)
        if self._method == "HEAD":
            # The parser cannot be told, and waits for a body: this connection is at its end.
            self.keep_alive = False
            self.complete = True
            raise OutOfBounds

    def on_message_complete(self) -> None:
        """Note the end of the body; an informational response has one too."""
        if self.headed:
            self.complete = True

    # -- small parts -------------------------------------------------------------------------------------------------

    def _break(self, error: type[UpstreamError]) -> None:
        if not self.complete and self.error is None:
            self.error = error

    def _release(self) -> None:
        """Let go of the parser, which holds on to this object."""
        self._parser = None
        self._parse = _ignore


def _ignore(data: bytes) -> None:
    """Drop what comes when it is over."""
