"""The faults of upstreams as a client of the whole server meets them: the scripts, and what must come of each.

Most are those of :mod:`headrace.testing.faults`; what only a whole server can show is added: faults of the connection
itself, deadlines, and answers that are not streamed. Every case is a model name, so that one server serves them all.
"""

import gzip
import json
from dataclasses import dataclass, replace

from headrace.testing.faults import FAULTS
from headrace.testing.scripted_upstream import (
    Endless,
    Fin,
    Next,
    Reset,
    Script,
    Stall,
    Step,
    Trickle,
    answer,
    chunked,
    head,
    sse,
    whole,
)

#: What no client and no log may ever show: keys and addresses of upstreams, and what hostile bodies hold.
SECRETS = ("canary", "sk-upstream-secret", "10.0.0.1", "nowhere.invalid", "Traceback")

#: What the client asks; no log may show it.
PROMPT = "prompt-of-a-client"

#: The server's settings: short deadlines, so that what stalls takes seconds, and a gate beyond them.
SETTINGS = """
[deadlines]
connect = 1.0
first = 2.5
idle = 1.4
send = 5
total = 3.8

[server]
gate = {gate}
drain = 1

[limits]
stream_bytes = "512KiB"

[log]
format = "json"
level = "debug"
"""


@dataclass(frozen=True)
class Case:
    """One fault. ``model`` is what the client asks for; ``text`` what it is told before the failure, if any.

    ``code`` is empty where the answer completes in spite of all; ``status`` is the HTTP status of a failure before the
    first record. ``at_least``: there may be more text than that. ``roled``: the answer begins with a role, without
    which Node's helper takes nothing for complete. ``script`` is None where another upstream is asked.
    """

    id: str
    script: Script | None
    text: str = ""
    code: str = ""
    status: int = 0
    upstream: str = "up"
    at_least: bool = False
    roled: bool = False

    @property
    def model(self) -> str:
        """The model that plays it."""
        return f"{self.upstream}/{self.id}"

    @property
    def completes(self) -> bool:
        """Whether the answer is whole."""
        return not self.code

    @property
    def early(self) -> bool:
        """Whether it fails before the first record, so that its HTTP status tells it."""
        return bool(self.code) and not self.text


_PART = sse("One", " two")
_GOOD = sse("One", " two", finish_reason="stop", done=True)
_ROLE = b'"delta":{"role":"assistant",'


def _with_role(step: Step) -> Step:
    """A step with a role in its first delta, where its framing bears that."""
    if isinstance(step, Trickle):
        return replace(step, data=_role_in(step.data))
    if not isinstance(step, bytes) or step.startswith(b"HTTP/"):
        return step
    if step.startswith(b"\x1f\x8b"):
        try:
            return gzip.compress(_role_in(gzip.decompress(step)))
        except (EOFError, OSError):
            return step
    return _role_in(step)


def _role_in(data: bytes) -> bytes:
    return data.replace(b'"delta":{', _ROLE, 1)


def _roled(script: Script) -> Script:
    """The same with a role, unless chunk sizes would have to change with it."""
    is_chunked = any(isinstance(step, bytes) and b"Transfer-Encoding: chunked" in step for step in script)
    return script if is_chunked else [_with_role(step) for step in script]


def _of_the_table() -> list[Case]:
    cases: list[Case] = []
    for fault in FAULTS:
        script = _roled(fault.script)
        roled = script is not fault.script and list(script) != list(fault.script)
        case = Case(fault.id, script, fault.text, roled=roled)
        if fault.endless:
            cases.append(replace(case, **_ENDLESS[fault.id]))
        elif fault.error is None:
            cases.append(case)
        else:
            cases.append(replace(case, code=_SAID.get(fault.id, fault.code or fault.error.code), status=fault.status))
    return cases


#: How the faults end that only a deadline or a cap of ours ends.
_ENDLESS = {
    "U5-no-head": {"code": "upstream_timeout", "status": 504},
    "U5-no-body": {"code": "upstream_timeout", "status": 504},
    "U6-stall": {"code": "upstream_stalled"},
    "U7-pings": {"code": "upstream_stalled"},
    "U13-endless": {"code": "limit", "text": "One two", "at_least": True},
}
#: Where a provider's own error object passes on, its code does too.
_SAID = {"U4-400-object": "context_length_exceeded"}

#: An error object that says what it should not.
_TELLTALE = (
    b'{"error": {"message": "Key sk-upstream-secret-0123456789 or sk-canary000011112222 is not for '
    b'https://user:canary@10.0.0.1/v1?key=canary", "type": "t", "code": "bad", "param": "http://10.0.0.1/"}}'
)

_UNREACHABLE = {"code": "upstream_unreachable", "status": 502}
_TWO_TOOLS = [
    {"index": 0, "id": "call_0", "type": "function", "function": {"name": "f", "arguments": '{"a'}},
    {"index": 0, "function": {"arguments": '": "\\ud83d'}},
    {"index": 0, "function": {"arguments": '\\udc4b"}'}},
    {"index": 1, "id": "call_1", "type": "function", "function": {"name": "g", "arguments": "{}"}},
]


def _chunks(*deltas: dict[str, object], reason: str = "tool_calls") -> bytes:
    """Chunks with these deltas, then a finish and ``[DONE]``."""
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": reason})
    head = {"id": "chatcmpl-tools", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
    return b"".join(b"data: %b\n\n" % json.dumps({**head, "choices": [one]}).encode() for one in choices) + (
        b"data: [DONE]\n\n"
    )


#: What is not in the table of scripts.
_MORE = (
    Case(
        "U4-400-secrets",
        [head(400, type="application/json", body=str(len(_TELLTALE))), _TELLTALE, Next()],
        code="bad",
        status=400,
    ),
    Case("U9-secrets", [head(), _PART + b"data: " + _TELLTALE + b"\n\n"], "One two", "bad"),
    Case("U1-refused", None, upstream="refused", **_UNREACHABLE),
    Case("U1-no-such-host", None, upstream="nowhere", **_UNREACHABLE),
    Case("U2-unknown-authority", None, upstream="badcert", **_UNREACHABLE),
    Case("U2-handshake-stalls", None, upstream="mute", **_UNREACHABLE),
    Case("U2-not-tls", None, upstream="plain", **_UNREACHABLE),
    Case(
        "U7-trickle",
        [head(), *[step for _ in range(20) for step in (_PART, Trickle(b": x", pause=0.15))]],
        "One two",
        "timeout",
        at_least=True,
    ),
    Case("U7-bytes", [head(), _PART, Trickle(b"data: " + b"x" * 100, pause=0.05)], "One two", "upstream_stalled"),
    Case("U8-before-head", [Fin()], code="upstream_truncated", status=502),
    Case("U8-reset-before-head", [Reset()], code="upstream_truncated", status=502),
    Case("U8-half-a-head", [b"HTTP/1.1 200 O", Fin()], code="upstream_truncated", status=502),
    Case(
        "U8-bad-chunk-size",
        [head(body="chunked"), Trickle(chunked(_PART, end=False), 9999, 0.1), b"zz\r\n"],
        "One two",
        "upstream_truncated",
    ),
    Case("U15-json", [_with_role(whole("One two")), Next()], "One two", roled=True),
    Case(
        "U15-json-cut",
        [head(type="application/json", body="9999"), b'{"choices":', Fin()],
        code="upstream_truncated",
        status=502,
    ),
    Case(
        "U15-json-broken",
        [head(type="application/json"), b'{"choices": [', Fin()],
        code="upstream_protocol",
        status=502,
    ),
    Case(
        "U15-json-other", [head(type="application/json"), b'{"detail": "canary"}'], code="upstream_protocol", status=502
    ),
    Case("U16-no-role", [head(), _GOOD], "One two"),
    Case(
        "U19-crlf-in-header",
        [head(200, "X-A: b", "Set-Cookie: canary=1", "Location: http://10.0.0.1/"), _role_in(_GOOD)],
        "One two",
        roled=True,
    ),
)

CASES = (*_of_the_table(), *_MORE)

#: Faults that come when the status has been sent already, with a gate of a tenth of a second.
LATE = (
    Case("U5-no-head", [Stall()], code="upstream_timeout"),
    Case("U5-no-body", [head(), Stall()], code="upstream_timeout"),
    Case(
        "U3-429-late",
        [Trickle(head(429, "Retry-After: 7", body="2") + b"{}", size=40, pause=0.2), Next()],
        code="rate_limit",
    ),
    Case("U8-late", [Trickle(head(), size=20, pause=0.2), Fin()], code="upstream_truncated"),
)

#: Bodies that are not streamed.
WHOLES = (
    Case("W-good", [whole("One two"), Next()], "One two"),
    Case("W-cut", [whole("One two")[:-10], Fin()], code="upstream_truncated", status=502),
    Case("W-reset", [whole("One two")[:-10], Reset()], code="upstream_truncated", status=502),
    Case(
        "W-chunked-cut",
        [head(type="application/json", body="chunked"), chunked(b'{"choices": []', end=False), Fin()],
        code="upstream_truncated",
        status=502,
    ),
    Case("W-close-cut", [head(type="application/json"), b'{"choices": [', Fin()], code="upstream_protocol", status=502),
    Case(
        "W-error-with-200",
        [head(type="application/json"), b'{"error": {"message": "No", "code": "overloaded"}}'],
        code="overloaded",
        status=503,
    ),
    Case("W-html", [head(type="text/html"), b"<html>canary</html>"], code="upstream_protocol", status=502),
    Case("W-empty", [head(type="application/json", body="0"), Next()], code="upstream_protocol", status=502),
    Case("W-endless", [head(type="application/json"), Endless(b" " * 65536)], code="limit", status=507),
    Case(
        "W-stall",
        [head(type="application/json", body="99"), b'{"choices": [', Stall()],
        code="upstream_timeout",
        status=504,
    ),
)

TOOLS = Case(
    "tools", [head(), _chunks({"role": "assistant", "content": None}, *({"tool_calls": [one]} for one in _TWO_TOOLS))]
)


def script_of(id: str) -> Script:
    """The script of a case, by the model name that an upstream is asked for."""
    return _SCRIPTS[id]


_SCRIPTS = {case.id: case.script for case in (*LATE, *CASES, *WHOLES, TOOLS) if case.script is not None} | {
    "good": [answer("One", " two"), Next()]
}
