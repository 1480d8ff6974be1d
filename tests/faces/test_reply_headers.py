"""What every reply carries, of whatever kind it is, through the whole app."""

import pytest
from tests.faces.front import BOB, MESSAGES, Fake, bearer, front, script

from headrace.config import Cors
from headrace.errors import StoreUnavailable

CARRIED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "x-request-id": "r1",
    "request-id": "r1",
}
FRIEND = "https://app.example.com"
CHAT = {"model": "fake", "messages": MESSAGES}
PREFLIGHT = {"access-control-request-method": "POST"}

#: A kind of reply: its status, the request, its body, and what it shows.
KINDS = [
    (200, "GET", "/health", b"", {}),
    (200, "GET", "/docs", b"", {}),
    (200, "GET", "/openapi.json", b"", {}),
    (200, "HEAD", "/docs", b"", {}),
    (200, "POST", "/v1/chat/completions", CHAT, {}),
    (200, "POST", "/v1/chat/completions", CHAT | {"stream": True}, {}),
    (200, "POST", "/infer", {"model": "fake", "message": "x"}, {}),
    (200, "GET", "/v1/files/a.txt", b"", {}),
    (200, "HEAD", "/v1/files/a.txt", b"", {}),
    (204, "DELETE", "/api/session", b"", {}),
    (204, "OPTIONS", "/chat", b"", PREFLIGHT),
    (206, "GET", "/v1/files/a.txt", b"", {"range": "bytes=0-0"}),
    (304, "GET", "/v1/files/a.txt", b"", {"if-none-match": "*"}),
    (400, "POST", "/chat", b"{", {}),
    (400, "GET", "/v1/streams?limit=x", b"", {}),
    (401, "POST", "/chat", {"message": "x"}, {"authorization": "Bearer wrong"}),
    (403, "POST", "/chat", {"message": "x"}, {"origin": "https://evil.example"}),
    (404, "GET", "/v1/streams/none", b"", {}),
    (404, "HEAD", "/v1/streams/none", b"", {}),
    (404, "GET", "/nowhere", b"", {}),
    (405, "PATCH", "/chat", b"", {}),
    (405, "HEAD", "/chat", b"", {}),
    (408, "POST", "/chat", (b"{",), {}),
    (413, "POST", "/chat", b"x", {"content-length": "99999999999"}),
    (415, "POST", "/chat", b"x", {"content-encoding": "gzip"}),
    (416, "GET", "/v1/files/a.txt", b"", {"range": "bytes=9-"}),
    (421, "GET", "/health", b"", {"host": "evil.example"}),
    (431, "GET", "/health", b"", {"x-large": "x" * 70_000}),
    (500, "POST", "/v1/chat/completions", {"model": "broken", "messages": MESSAGES}, {}),
    (503, "POST", "/v1/chat/completions", {"model": "full", "messages": MESSAGES}, {}),
]


class Broken(Fake):
    """An upstream of which two models do what nobody foresaw: one fails, the other's answers cannot be kept."""

    def prepare(self, call):
        if call.model == "broken":
            raise ZeroDivisionError
        if call.model == "full":
            raise StoreUnavailable
        return call


@pytest.mark.parametrize(("status", "method", "target", "body", "more"), KINDS)
async def test_every_kind_of_reply_carries_the_same(tmp_path, status, method, target, body, more):
    """Successes, refusals by anybody, streams, files, replies without a body; for pages of other origins too."""
    (tmp_path / "a.txt").write_bytes(b"a")
    upstream = Broken(lambda _: script("a"))
    upstream.configured = ("fake", "broken", "full")
    settings = {
        "files": {"folder": tmp_path},
        "cors": Cors(origins=(FRIEND,)),
        "keys": {"bob": {"secret": BOB}},
        "deadlines": {"body": 0.01},
    }
    async with front(upstream, **settings) as at:
        headers = bearer(BOB) | {"x-request-id": "r1", "origin": FRIEND} | more
        async with at.open(method, target, body, headers, finished=status != 408) as exchange:
            reply = await exchange.response()
    assert reply.status == status, reply.body
    assert {name: reply.headers.get(name) for name in CARRIED} == CARRIED
    allowed = None if headers["origin"] != FRIEND else FRIEND
    assert reply.headers.get("access-control-allow-origin") == allowed
    assert "server" not in reply.headers
    if status in (204, 304):
        assert reply.body == b""
    if status >= 400 and method != "HEAD":
        assert reply.headers["content-type"].startswith("application/json")
        assert b'"code":' in reply.body
