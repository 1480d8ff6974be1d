"""CORS: what web pages of other origins may do, in response headers (Fetch, section 3.3)."""

from collections.abc import Mapping

from headrace.config import Cors

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_ALLOWED = b"Authorization, Content-Type, Last-Event-ID, Idempotency-Key, Headrace-On-Leave, If-None-Match"
_EXPOSED = b"Headrace-Stream-Id, Location, x-request-id, Retry-After, x-should-retry"

#: Below this, pages read parts of files.
_FILES = "/v1/files/"
_FILES_ALLOWED = b", Range, If-Range, If-Modified-Since"
_FILES_EXPOSED = b", ETag, Accept-Ranges, Content-Range, Content-Disposition"

#: Below this, pages speak Durable Streams, which says most things in headers.
_TOPICS = "/v1/topics/"
_TOPICS_ALLOWED = (
    b", Stream-Seq, Stream-TTL, Stream-Expires-At, Stream-Closed, Stream-Forked-From, Stream-Fork-Offset,"
    b" Stream-Fork-Sub-Offset, Producer-Id, Producer-Epoch, Producer-Seq"
)
_TOPICS_EXPOSED = (
    b", ETag, Stream-Next-Offset, Stream-Up-To-Date, Stream-Closed, Stream-Cursor, Stream-TTL, Stream-Expires-At,"
    b" Stream-SSE-Data-Encoding, Producer-Epoch, Producer-Seq, Producer-Expected-Seq, Producer-Received-Seq"
)

#: What is allowed and exposed beyond that, below some paths.
_BELOW = ((_TOPICS, _TOPICS_ALLOWED, _TOPICS_EXPOSED), (_FILES, _FILES_ALLOWED, _FILES_EXPOSED))

Headers = list[tuple[bytes, bytes]]


class CorsPolicy:
    """Which origins are allowed. ``null`` (a sandbox, a file) never is: it is everybody's and nobody's."""

    def __init__(self, cors: Cors) -> None:
        self._any = "*" in cors.origins
        self._origins = frozenset(cors.origins) - {"*"}
        self._credentials = cors.credentials
        self._max_age = cors.max_age

    def allows(self, origin: str) -> bool:
        """Whether a page of this origin may ask."""
        return origin.lower() in self._origins or (self._any and origin not in ("", "null"))

    def is_preflight(self, method: str, headers: Mapping[bytes, list[bytes]]) -> bool:
        """Whether a browser asks for leave to ask."""
        return method == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers

    def headers(self, origin: str, path: str = "") -> Headers:
        """What every response to a request from ``origin`` carries, errors and preflights too."""
        exposed = self._exposed(path)
        if self._any:
            return [] if not self.allows(origin) else [(b"access-control-allow-origin", b"*"), *exposed]
        if not self._origins:
            return []
        vary = (b"vary", b"Origin")
        if not self.allows(origin):
            return [vary]
        return [vary, (b"access-control-allow-origin", origin.encode("latin-1")), *exposed]

    def preflight(self, path: str = "") -> Headers:
        """What the answer to an allowed preflight carries beyond that."""
        allowed = _ALLOWED + _more(path)[0]
        return [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", allowed),
            (b"access-control-max-age", str(self._max_age).encode()),
        ]

    def _exposed(self, path: str) -> Headers:
        exposed = [(b"access-control-expose-headers", _EXPOSED + _more(path)[1])]
        if self._credentials:
            exposed.append((b"access-control-allow-credentials", b"true"))
        return exposed


def _more(path: str) -> tuple[bytes, bytes]:
    return next(((allowed, exposed) for prefix, allowed, exposed in _BELOW if path.startswith(prefix)), (b"", b""))
