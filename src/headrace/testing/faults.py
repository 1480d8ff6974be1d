"""What goes wrong with upstreams, ready-made: scripts for a streamed OpenAI chat answer and what must come of each.

The ids are those of the fault table that this server is built to (U1 … U19). One table serves all layers: the upstream
alone, and a whole server with a stock client in front of it. A fault of the connection itself (U1 refused, U2 TLS, U18
a dead kept connection) has no script here, nor has one that only a deadline ends without a bound (U5).
"""

import gzip
from typing import NamedTuple

from headrace.errors import (
    HeadraceError,
    UpstreamFault,
    UpstreamProtocol,
    UpstreamRefused,
    UpstreamTruncated,
)
from headrace.testing.scripted_upstream import Endless, Fin, Next, Reset, Script, Stall, Trickle, chunked, head, sse
from headrace.wire.bounds import SizeExceeded


class Fault(NamedTuple):
    """A script and its outcome.

    ``text`` is what the answer says, up to the failure. ``error`` is None where it completes in spite of all.
    ``code``, ``status`` and ``accepted`` are the error's. ``ignored`` frames are counted, not logged (None:
    that depends on how the bytes are cut).
    ``endless`` scripts are ended by a deadline or a cap of the core alone, with none of the above.
    """

    id: str
    script: Script
    text: str = ""
    error: type[HeadraceError] | None = None
    code: str = ""
    status: int = 0
    accepted: bool = True
    retry_after: float | None = None
    ignored: int | None = None
    endless: bool = False


_GOOD = sse("One", " two", finish_reason="stop", done=True)
_PART = sse("One", " two")
_HELLO = sse("Héllo 👋🏽", "\u2028x", finish_reason="stop", done=True)
_OVERLOADED = b'data: {"error": {"message": "Overloaded", "type": "overloaded_error", "code": "overloaded"}}\n\n'
_TOO_LONG = (
    b'{"error": {"message": "Too many tokens", "type": "invalid_request_error", "code": "context_length_exceeded"}}'
)
_HTML = b"<html><body>Bad gateway at http://10.0.0.1/ key sk-canary0000</body></html>"
_FINISH = sse(finish_reason="stop")
_DONE = b"data: [DONE]\n\n"


def _refused(status: int, body: bytes, *fields: str, type: str = "application/json") -> Script:
    return [head(status, *fields, type=type, body=str(len(body))), body, Next()]


def _limited(id: str, status: int, value: str, code: str, retry_after: float | None) -> Fault:
    script = _refused(status, b"{}", f"Retry-After: {value}")
    told = 429 if status == 429 else 503
    return Fault(id, script, "", UpstreamRefused, code, told, accepted=False, retry_after=retry_after)


def _cut(id: str, *script: bytes | Fin | Reset) -> Fault:
    return Fault(id, script, "One two", UpstreamTruncated, "upstream_truncated", 502)


def _good(id: str, body: bytes, text: str = "One two", ignored: int | None = 0) -> Fault:
    return Fault(id, [head(), body], text, ignored=ignored)


FAULTS: tuple[Fault, ...] = (
    _limited("U3-429-seconds", 429, "7", "rate_limit", 7.0),
    _limited("U3-429-date-past", 429, "Wed, 21 Oct 2015 07:28:00 GMT", "rate_limit", 0.0),
    _limited("U3-429-date-far", 429, "Wed, 21 Oct 2099 07:28:00 GMT", "rate_limit", 60.0),
    _limited("U3-429-huge", 429, "99999999999", "rate_limit", 60.0),
    _limited("U3-429-negative", 429, "-5", "rate_limit", None),
    _limited("U3-429-garbage", 429, "soon", "rate_limit", None),
    _limited("U3-429-nan", 429, "nan", "rate_limit", None),
    _limited("U3-503", 503, "3", "overloaded", 3.0),
    _limited("U3-529", 529, "3", "overloaded", 3.0),
    Fault(
        "U4-400-object",
        _refused(400, _TOO_LONG),
        error=UpstreamRefused,
        code="upstream_refused",
        status=400,
        accepted=False,
    ),
    Fault(
        "U4-401",
        _refused(401, b'{"error": {"message": "Bad key sk-canary0000", "code": "invalid_api_key"}}'),
        error=UpstreamRefused,
        code="upstream_error",
        status=502,
        accepted=False,
    ),
    Fault(
        "U4-404-html",
        _refused(404, _HTML, type="text/html"),
        error=UpstreamRefused,
        code="upstream_error",
        status=502,
        accepted=False,
    ),
    Fault("U4-500-empty", _refused(500, b""), error=UpstreamRefused, code="upstream_refused", status=502),
    Fault(
        "U4-502-html",
        _refused(502, _HTML, type="text/html"),
        error=UpstreamRefused,
        code="upstream_refused",
        status=502,
    ),
    Fault(
        "U4-500-endless-body",
        [head(500, type="text/html"), Endless(b"x" * 65536)],
        error=UpstreamRefused,
        code="upstream_refused",
        status=502,
    ),
    Fault(
        "U4-429-stalled-body",
        [head(429, "Retry-After: 7", type="application/json", body="99"), b"{", Stall()],
        error=UpstreamRefused,
        code="rate_limit",
        status=429,
        accepted=False,
        retry_after=7.0,
    ),
    Fault("U5-no-head", [Stall()], endless=True),
    Fault("U5-no-body", [head(), Stall()], endless=True),
    Fault("U6-stall", [head(), _PART, Stall()], "One two", endless=True),
    Fault("U7-pings", [head(), _PART, Endless(b": ping\n\n")], "One two", endless=True),
    _cut("U8-fin", head(), _PART, Fin()),
    _cut("U8-reset", head(body="chunked"), chunked(_PART, end=False), Reset()),
    _cut("U8-chunked-cut", head(body="chunked"), chunked(_PART, end=False), Fin()),
    _cut("U8-zero-chunk-early", head(body="chunked"), chunked(_PART), Fin()),
    _cut("U8-length-short", head(body="9999"), _PART, Fin()),
    _cut("U8-half-a-frame", head(), _PART + b'data: {"choices": [{"ind', Fin()),
    _cut("U8-done-without-finish", head(), _PART + _DONE, Fin()),
    Fault("U8-no-body", [head(), Fin()], error=UpstreamTruncated, code="upstream_truncated", status=502),
    Fault("U9-error-object", [head(), _PART + _OVERLOADED], "One two", UpstreamFault, "overloaded", 503),
    Fault("U9-stop-after-error", [head(), _PART + _OVERLOADED + _GOOD], "One two", UpstreamFault, "overloaded", 503),
    Fault(
        "U9-error-with-200",
        [head(type="application/json"), b'{"error": {"message": "No", "code": "overloaded"}}'],
        error=UpstreamFault,
        code="overloaded",
        status=503,
    ),
    _good(
        "U10-invalid-json", sse("One") + b"data: {oops\n\n" + sse(" two", finish_reason="stop", done=True), ignored=1
    ),
    _good(
        "U10-invalid-utf8",
        sse("One")
        + b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n'
        + sse(" two", finish_reason="stop", done=True),
        ignored=1,
    ),
    _good("U10-nul", sse("One") + b"data: \0\0\n\n" + sse(" two", finish_reason="stop", done=True), ignored=1),
    Fault("U10-too-much", [head(), b"data: garbage\n\n" * 500], "", UpstreamProtocol, "upstream_protocol", 502),
    Fault("U11-byte-by-byte", [head(), Trickle(_HELLO)], "Héllo 👋🏽\u2028x"),
    Fault("U11-odd-pieces", [head(), Trickle(_HELLO, size=7)], "Héllo 👋🏽\u2028x"),
    _good("U12-crlf", _GOOD.replace(b"\n", b"\r\n")),
    _good("U12-cr", _GOOD.replace(b"\n", b"\r")),
    _good("U12-bom", b"\xef\xbb\xbf" + _GOOD),
    _good("U12-no-space", _GOOD.replace(b"data: ", b"data:")),
    _good(
        "U12-noise",
        b": hi\nretry: 5\nfoo: bar\nid: 7\n" + _GOOD.replace(b"\n\n", b"\n\n: ping\n\ndata:\n\n"),
        ignored=None,
    ),
    _good("U12-many-lines", _GOOD.replace(b'{"id"', b'{\ndata: "id"')),
    Fault("U13-long-line", [head(), _PART + b"data: ", Endless(b"x" * 65536)], "One two", SizeExceeded, "limit", 502),
    Fault("U13-endless", [head(), Endless(_PART)], endless=True),
    Fault("U14-gzip", [head(200, "Content-Encoding: gzip"), gzip.compress(_GOOD)], "One two"),
    Fault(
        "U14-gzip-cut",
        [head(200, "Content-Encoding: gzip"), gzip.compress(_PART)[:-8]],
        "One two",
        UpstreamTruncated,
        "upstream_truncated",
        502,
    ),
    Fault(
        "U14-bomb",
        [head(200, "Content-Encoding: gzip"), gzip.compress(_PART + b"data: " + bytes(20_000_000))],
        "One two",
        SizeExceeded,
        "limit",
        502,
    ),
    Fault(
        "U14-double",
        [head(200, "Content-Encoding: gzip, gzip"), gzip.compress(gzip.compress(_GOOD))],
        error=UpstreamProtocol,
        code="upstream_protocol",
        status=502,
    ),
    Fault(
        "U14-unknown",
        [head(200, "Content-Encoding: br"), _GOOD],
        error=UpstreamProtocol,
        code="upstream_protocol",
        status=502,
    ),
    Fault(
        "U15-html",
        [head(type="text/html"), _HTML],
        error=UpstreamProtocol,
        code="upstream_protocol",
        status=502,
    ),
    Fault("U15-octet-stream", [head(type="application/octet-stream"), _GOOD], "One two"),
    Fault(
        "U15-octet-stream-html",
        [head(type="application/octet-stream"), _HTML],
        error=UpstreamProtocol,
        code="upstream_protocol",
        status=502,
    ),
    _good("U16-finish-twice", _PART + _FINISH + _FINISH + _DONE, ignored=1),
    _good("U16-done-twice", _GOOD + _DONE, ignored=None),
    _good("U16-data-after-done", _GOOD + sse(" three", finish_reason="length", done=True), ignored=None),
    _good(
        "U16-usage-twice",
        _PART
        + _FINISH
        + 2 * b'data: {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}\n\n'
        + _DONE,
        ignored=1,
    ),
    Fault(
        "U17-redirect",
        [head(307, "Location: http://127.0.0.1:9/", body="0")],
        error=UpstreamRefused,
        code="upstream_error",
        status=502,
        accepted=False,
    ),
    Fault("U17-early-hints", [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3, head(), _GOOD], "One two"),
    Fault(
        "U17-informational-flood",
        [Endless(b"HTTP/1.1 103 Early Hints\r\n\r\n")],
        error=UpstreamProtocol,
        code="upstream_protocol",
        status=502,
    ),
    Fault(
        "U17-trailers",
        [head(body="chunked"), chunked(_GOOD, end=False) + b"0\r\nX-Trailer: 1\r\n\r\n", Next()],
        "One two",
    ),
    Fault("U17-http-1.0", [b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + _GOOD], "One two"),
    Fault(
        "U17-upgrade",
        [b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"],
        error=UpstreamRefused,
        code="upstream_error",
        status=502,
        accepted=False,
    ),
    Fault(
        "U19-long-header",
        [head(200, "X-Long: " + "a" * 1_000_000), _GOOD],
        error=UpstreamProtocol,
        code="upstream_protocol",
        status=502,
    ),
    Fault(
        "U19-many-headers",
        [head(200, *(f"X-{n}: 1" for n in range(10_000))), _GOOD],
        error=UpstreamProtocol,
        code="upstream_protocol",
        status=502,
    ),
    Fault("U19-forged-header", [head(200, "X-Bad: a\rSet-Cookie: b"), _GOOD], error=UpstreamProtocol, status=502),
)
