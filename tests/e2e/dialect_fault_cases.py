"""The faults of upstreams of every dialect as clients of every dialect meet them: the scripts, and what comes of each.

Most are those of :mod:`headrace.testing.dialect_faults`; what only a whole server can show is added. Every case is a
model of the upstream that speaks its dialect (see :data:`tests.e2e.dialect_house.SPEAKS`).
"""

import gzip
from collections.abc import Iterator
from dataclasses import replace

from tests.e2e.dialect_house import SPEAKS
from tests.e2e.fault_cases import LATE as LATE_CASES
from tests.e2e.fault_cases import Case

from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.testing.dialect_faults import dialect_faults
from headrace.testing.scripted_upstream import Endless, Fin, Next, Reset, Script, Stall, Trickle, head
from headrace.testing.spoken import Said, Use, fault, refusal_body, spoken, whole_body

_SAID = Said(texts=("One", " two"))
_CALLING = Said(texts=("One", " two"), calls=(Use(id="c0", name="f", arguments=('{"a"', ": 1}")),), finish="tool_calls")
_JSON = "application/json"
_HTML = b"<html><body>Bad gateway at http://10.0.0.1/ key sk-canary0000</body></html>"
#: How many frames stand after the last piece of text, and how many after the first piece of a call.
_ENDING = {CHAT: 3, RESPONSES: 4, MESSAGES: 3}
_ENDING_OF_CALL = 4

#: What an error says that it should not.
_TELLTALE = (
    "Key sk-upstream-secret-0123456789 or sk-canary000011112222 is not for https://user:canary@10.0.0.1/v1?key=canary"
)

#: How the faults end that only a deadline or a cap of ours ends.
_ENDLESS = {
    "U5-no-body": {"code": "upstream_timeout", "status": 504},
    "U6-stall": {"code": "upstream_stalled"},
    "U7-pings": {"code": "upstream_stalled"},
}
_TRUNCATED = {"code": "upstream_truncated", "status": 502}
_PROTOCOL = {"code": "upstream_protocol", "status": 502}
_REFUSED = {"code": "upstream_error", "status": 502}


def _cases_of(upstream: str) -> Iterator[Case]:
    dialect = SPEAKS[upstream]
    for case in (*_of_the_table(dialect), *_refusals(dialect), *_cuts(dialect), *_limits(dialect), *_own(dialect)):
        yield replace(case, upstream=upstream)


def _of_the_table(dialect: str) -> Iterator[Case]:
    for fault_ in dialect_faults(dialect):
        case = Case(fault_.id, fault_.script, fault_.text)
        if fault_.endless:
            yield replace(case, **_ENDLESS[fault_.id])
        elif fault_.error is None:
            yield case
        else:
            code = _own_code(dialect, "context_length_exceeded") if fault_.id == "U4-400" else fault_.code
            yield replace(case, code=code, status=fault_.status)


def _own_code(dialect: str, code: str) -> str:
    """The code of an error that the provider's own words are passed on of: Anthropic's have none."""
    return "upstream_refused" if dialect == MESSAGES else code


def _refusals(dialect: str) -> list[Case]:
    """Refused before the first frame, or never begun."""
    telltale = refusal_body(dialect, _TELLTALE, "bad", "http://10.0.0.1/")
    stalled: Script = [head(429, "Retry-After: 7", type=_JSON, body="99"), b"{", Stall()]
    huge: Script = [head(429, "Retry-After: 99999999999", type=_JSON, body="2"), b"{}", Next()]
    good = b"".join(spoken(dialect, _SAID))
    twice = gzip.compress(gzip.compress(good))
    return [
        Case("U3-429-huge", huge, code="rate_limit", status=429),
        Case("U4-400-secrets", _body(400, telltale), code=_own_code(dialect, "bad"), status=400),
        Case("U4-404-html", [head(404, type="text/html"), _HTML], **_REFUSED),
        Case("U4-500-endless", [head(500), Endless(b"x" * 65536)], code="upstream_refused", status=502),
        Case("U4-429-stalled", stalled, code="rate_limit", status=429),
        Case("U5-no-head", [Stall()], code="upstream_timeout", status=504),
        Case("U8-before-head", [Fin()], **_TRUNCATED),
        Case("U8-reset-before-head", [Reset()], **_TRUNCATED),
        Case("U14-double", [head(200, "Content-Encoding: gzip, gzip"), twice], **_PROTOCOL),
        Case("U14-unknown", [head(200, "Content-Encoding: br"), good], **_PROTOCOL),
        Case("U17-redirect", [head(307, "Location: http://127.0.0.1:9/", body="0")], **_REFUSED),
        Case("U19-long-header", [head(200, "X-Long: " + "a" * 1_000_000), good], **_PROTOCOL),
    ]


def _cuts(dialect: str) -> list[Case]:
    """Stopped, or gone wrong, in the middle."""
    frames = spoken(dialect, _SAID)
    part = b"".join(frames[: -_ENDING[dialect]])
    in_call = b"".join(spoken(dialect, _CALLING)[:-_ENDING_OF_CALL])
    told = "bad" if dialect != MESSAGES else "upstream_error"
    cut_body = whole_body(dialect, _SAID)
    return [
        Case("U8-in-a-call", [head(), in_call, Fin()], "One two", **_TRUNCATED),
        Case("U9-in-a-call", [head(), in_call + fault(dialect)], "One two", code="overloaded"),
        Case("U9-secrets", [head(), part + fault(dialect, _TELLTALE, "bad")], "One two", told),
        Case("U15-json-cut", [head(type=_JSON, body="9999"), cut_body, Fin()], **_TRUNCATED),
        Case("U15-json-broken", [head(type=_JSON), cut_body[:-20], Fin()], **_PROTOCOL),
    ]


def _limits(dialect: str) -> list[Case]:
    """What only a deadline or a cap of ours ends."""
    frames = spoken(dialect, _SAID)
    part, last = frames[: -_ENDING[dialect]], frames[-_ENDING[dialect] - 1]
    trickle = [step for _ in range(20) for step in (last, Trickle(b": x\n", pause=0.1))]
    long = spoken(dialect, Said(texts=("One", " two", "x" * 4000)))[-_ENDING[dialect] - 1]
    bomb = gzip.compress(b"".join(part) + b"data: " + bytes(20_000_000))
    return [
        Case("U7-trickle", [head(), *part, *trickle], "One two", "timeout", at_least=True),
        Case("U7-bytes", [head(), *part, Trickle(b"data: " + b"x" * 100, pause=0.05)], "One two", "upstream_stalled"),
        Case("U13-long-line", [head(), *part, b"data: ", Endless(b"x" * 65536)], "One two", "limit", 502),
        Case("U13-endless", [head(), *part, Endless(long)], "One two", "limit", at_least=True),
        Case("U14-bomb", [head(200, "Content-Encoding: gzip"), bomb], "One two", "limit", 502),
    ]


def _own(dialect: str) -> list[Case]:
    """What one dialect alone can do wrong."""
    frames = spoken(dialect, _SAID)
    part = b"".join(frames[: -_ENDING[dialect]])

    def cut(id: str, end: bytes, **told: object) -> Case:
        return Case(id, [head(), part + end, Fin()], "One two", **(told or _TRUNCATED))  # type: ignore[arg-type]

    if dialect == CHAT:
        return [cut("C-done-without-finish", frames[-1])]
    if dialect == MESSAGES:
        return [cut("M-stop-without-reason", frames[-1])]
    error = b'event: error\ndata: {"type":"error","code":"overloaded","message":"No","param":null}\n\n'
    bare = b'data: {"type":"response.%b","response":{"id":"r","status":"%b","error":null,"output":[]}}\n\n'
    return [
        cut("R-error-event", error, code="overloaded"),
        cut("R-error-object", b'data: {"error":{"message":"No","code":"overloaded"}}\n\n', code="overloaded"),
        cut("R-failed", bare % (b"failed", b"failed"), code="upstream_error"),
        cut("R-cancelled", bare % (b"cancelled", b"cancelled"), code="upstream_error"),
        cut("R-completed-as-failed", bare % (b"completed", b"failed"), code="upstream_error"),
    ]


def _body(status: int, body: bytes) -> Script:
    return [head(status, type=_JSON, body=str(len(body))), body, Next()]


CASES = tuple(case for upstream in SPEAKS for case in _cases_of(upstream))

#: Faults that come when the status has been sent already, with a gate of a tenth of a second.
LATE = tuple(replace(case, upstream=upstream) for upstream in SPEAKS for case in LATE_CASES)

#: Of which the stock JavaScript clients see these: one of each kind.
MAIN = frozenset(
    {
        "U3-429",
        "U4-400",
        "U4-401",
        "U5-no-body",
        "U6-stall",
        "U8-no-body",
        "U8-fin",
        "U8-reset",
        "U8-all-but-the-end",
        "U8-in-a-call",
        "U9-error",
        "U9-in-a-call",
        "U9-secrets",
        "U9-error-with-200",
        "U10-invalid-json",
        "U10-too-much",
        "U13-long-line",
        "U14-gzip",
        "U15-html",
        "U15-whole",
        "U16-data-after-the-end",
        "R-error-event",
        "R-failed",
        "R-cancelled",
        "M-stop-without-reason",
    }
)


def script_of(upstream: str, id: str) -> Script:
    """The script of a case, by its upstream and the model that this is asked for."""
    return _SCRIPTS[upstream, id]


_SCRIPTS = {(case.upstream, case.id): case.script or () for case in (*LATE, *CASES)}
