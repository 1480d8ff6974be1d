"""What goes wrong with upstreams of every dialect: as :mod:`headrace.testing.faults`, which has OpenAI chat's own.

``dialect_faults(dialect)`` is the part of that table which any dialect has, in its words: the same ids, the same text
up to the failure, and the same outcome.
"""

import gzip

from headrace.errors import UpstreamFault, UpstreamProtocol, UpstreamRefused, UpstreamTruncated
from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.testing.faults import Fault
from headrace.testing.scripted_upstream import Endless, Fin, Next, Reset, Script, Stall, Trickle, chunked, head
from headrace.testing.spoken import Said, fault, refusal_body, spoken, whole_body

_SAID = Said(texts=("One", " two"))
_HELLO = Said(texts=("Héllo 👋🏽", "\u2028x"))
#: How many frames come after the last piece of text.
_ENDING = {CHAT: 3, RESPONSES: 4, MESSAGES: 3}
_PINGS = {MESSAGES: b'event: ping\ndata: {"type": "ping"}\n\n'}
_HTML = b"<html><body>Bad gateway at http://10.0.0.1/ key sk-canary0000</body></html>"
_JSON = "application/json"


def dialect_faults(dialect: str) -> tuple[Fault, ...]:
    """The table in one dialect."""
    frames = spoken(dialect, _SAID)
    good, part = b"".join(frames), b"".join(frames[: -_ENDING[dialect]])
    return (*_refusals(dialect), *_cuts(frames, part), *_errors(dialect, good, part), *_bytes(dialect, frames, good))


def _refusals(dialect: str) -> list[Fault]:
    """Refused before the first frame."""
    limited: Script = [head(429, "Retry-After: 7", type=_JSON, body="2"), b"{}", Next()]
    overloaded: Script = [head(529, "Retry-After: 3", type=_JSON, body="2"), b"{}", Next()]
    wrong = refusal_body(dialect, "Too many tokens", "context_length_exceeded")
    locked = refusal_body(dialect, "Bad key sk-canary0000", "invalid_api_key")
    refused = UpstreamRefused
    return [
        Fault("U3-429", limited, "", refused, "rate_limit", 429, accepted=False, retry_after=7.0),
        Fault("U3-529", overloaded, "", refused, "overloaded", 503, accepted=False, retry_after=3.0),
        Fault("U4-400", _body(400, wrong), "", refused, "upstream_refused", 400, accepted=False),
        Fault("U4-401", _body(401, locked), "", refused, "upstream_error", 502, accepted=False),
        Fault("U4-500", _body(500, _HTML), "", refused, "upstream_refused", 502),
    ]


def _cuts(frames: list[bytes], part: bytes) -> list[Fault]:
    """Silent, or stopped before the dialect's own end."""
    stopped: dict[str, Script] = {
        "U8-fin": [head(), part, Fin()],
        "U8-reset": [head(body="chunked"), chunked(part, end=False), Reset()],
        "U8-zero-chunk-early": [head(body="chunked"), chunked(part), Fin()],
        "U8-half-a-frame": [head(), part + frames[-2][:-9], Fin()],
        "U8-all-but-the-end": [head(), b"".join(frames[:-1]), Fin()],
        "U14-gzip-cut": [head(200, "Content-Encoding: gzip"), gzip.compress(part)[:-8]],
    }
    return [
        Fault("U5-no-body", [head(), Stall()], endless=True),
        Fault("U6-stall", [head(), part, Stall()], "One two", endless=True),
        Fault("U7-pings", [head(), part, Endless(b": ping\n\n")], "One two", endless=True),
        Fault("U8-no-body", [head(), Fin()], "", UpstreamTruncated, "upstream_truncated", 502),
        *(Fault(id, script, "One two", UpstreamTruncated, "upstream_truncated", 502) for id, script in stopped.items()),
    ]


def _errors(dialect: str, good: bytes, part: bytes) -> list[Fault]:
    """An error where an answer was to come, or what is no answer."""
    error = fault(dialect)
    alone = _failed(dialect)
    return [
        Fault("U9-error", [head(), part + error], "One two", UpstreamFault, "overloaded", 503),
        Fault("U9-stop-after-error", [head(), part + error + good], "One two", UpstreamFault, "overloaded", 503),
        Fault("U9-error-with-200", _body(200, alone), "", UpstreamFault, "overloaded", 503),
        Fault("U10-too-much", [head(), b"data: garbage\n\n" * 500], "", UpstreamProtocol, "upstream_protocol", 502),
        Fault("U15-html", [head(type="text/html"), _HTML], "", UpstreamProtocol, "upstream_protocol", 502),
        Fault("U15-other-json", _body(200, b'{"detail": "x"}'), "", UpstreamProtocol, "upstream_protocol", 502),
    ]


def _bytes(dialect: str, frames: list[bytes], good: bytes) -> list[Fault]:
    """Answers that are complete, however they are written."""
    ping = _PINGS.get(dialect, b": ping\n\n")
    garbled = b"".join([*frames[:2], b"data: {oops\n\n", *frames[2:]])
    told: dict[str, bytes] = {
        "U12-crlf": good.replace(b"\n", b"\r\n"),
        "U12-bom": b"\xef\xbb\xbf" + good,
        "U12-no-space": good.replace(b"data: ", b"data:"),
        "U12-noise": b": hi\nretry: 5\nid: 7\n" + good.replace(b"\n\n", b"\n\n" + ping),
        "U16-end-twice": good + frames[-1],
        "U16-data-after-the-end": good + good,
    }
    compressed: Script = [head(200, "Content-Encoding: gzip"), gzip.compress(good)]
    return [
        *(Fault(id, [head(), body], "One two") for id, body in told.items()),
        Fault("U10-invalid-json", [head(), garbled], "One two", ignored=1),
        Fault("U11-byte-by-byte", [head(), Trickle(b"".join(spoken(dialect, _HELLO)))], "Héllo 👋🏽\u2028x"),
        Fault("U14-gzip", compressed, "One two"),
        Fault("U15-octet-stream", [head(type="application/octet-stream"), good], "One two"),
        Fault("U15-whole", _body(200, whole_body(dialect, _SAID)), "One two"),
    ]


def _failed(dialect: str) -> bytes:
    """A whole body that is an error."""
    if dialect == CHAT:
        return refusal_body(dialect, "No", "overloaded")
    frame = fault(dialect)
    data = frame[frame.index(b"data: ") + 6 :].strip()
    if dialect == MESSAGES:
        return data
    start = data.index(b'"response":{') + len(b'"response":')
    return data[start:-1]


def _body(status: int, body: bytes) -> Script:
    return [head(status, type=_JSON, body=str(len(body))), body, Next()]
