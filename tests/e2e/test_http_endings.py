"""How answers end on the wire, on both servers: chunks, END_STREAM, and neither where an answer did not complete."""

import asyncio
import re
import ssl
import time

import pytest
import trustme
from tests.e2e.server import KINDS, HeadraceServer, upstream_toml
from tests.e2e.wire import CLEAN, CUT, Http1, Http2
from tests.faces.surface import methods_of, routes

from headrace.testing.scripted_upstream import Received, Reset, ScriptedUpstream, Stall, answer, head, sse, whole
from headrace.web import assets

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

TEXTS = ["one ", "two ", "three"]


def play(request: Received):
    """The model says what happens."""
    if (
        request.method != "POST"
        or b'"stream":false' in request.body.replace(b" ", b"")
        or "embeddings" in request.target
    ):
        return [whole("one two three")]
    what = request.json()["model"]
    return {
        "good": [answer(*TEXTS)],
        "cut": [head(), sse(*TEXTS), Reset()],
        "stall": [head(), sse(*TEXTS), Stall()],
        "mute": [Stall()],
    }[what]


MODELS = '["good", "cut", "stall", "mute"]'


def chat(model, **more):
    return {"model": model, "stream": True, "messages": [{"role": "user", "content": "x"}], **more}


def simple(model, **more):
    return {"model": model, "message": "x", **more}


class House:
    """An upstream and a server."""

    def __init__(self, server, upstream):
        self.server = server
        self.port = server.port
        self.upstream = upstream


@pytest.fixture(params=KINDS)
async def house(request, tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_bytes(b"one two three")
    async with ScriptedUpstream(play) as upstream:
        toml = upstream_toml(f"{upstream.url}/v1", models=MODELS) + '[files]\nfolder = "files"\n'
        toml += f'[proxy.up]\nbase_url = "{upstream.url}/v1"\nprivate = true\n'
        toml += 'methods = ["GET", "HEAD", "POST", "PUT", "PATCH"]\n'
        server = HeadraceServer(tmp_path, toml, kind=request.param)
        await asyncio.to_thread(server.start)
        try:
            yield House(server, upstream)
        finally:
            await asyncio.to_thread(server.stop)


async def test_a_completed_answer_on_http1_leaves_its_connection_usable(house):
    """Chunked, without a length, with the zero chunk; five answers of all faces on one connection."""
    async with await Http1.connect(house.port) as http:
        for path, body, headers in (
            ("/v1/chat/completions", chat("good"), {}),
            ("/chat", simple("good"), {}),
            ("/v1/chat/stream", simple("good"), {}),
            ("/infer", simple("good"), {}),
            ("/chat", simple("good"), {"accept": "text/plain"}),
        ):
            await http.ask("POST", path, body, headers)
            assert http.status == 200
            assert http.headers["transfer-encoding"] == "chunked"
            assert "content-length" not in http.headers
            assert http.headers.get("connection", "keep-alive").lower() == "keep-alive"
            assert b"three" in await http.rest()
            assert http.ended == CLEAN
        await http.ask("POST", "/chat", simple("good", stream=False))
        assert b'"one two three"' in await http.rest()


@pytest.mark.parametrize(("path", "accept"), [("/chat", "text/plain"), ("/infer", "*/*")])
async def test_an_unfinished_answer_without_a_word_for_it_is_cut_on_http1(house, path, accept):
    """No zero chunk; other connections go on."""
    async with await Http1.connect(house.port) as other, await Http1.connect(house.port) as http:
        await other.ask("POST", "/chat", simple("stall"))
        await http.ask("POST", path, simple("cut"), {"accept": accept})
        assert http.status == 200
        assert b"three" in await http.rest()
        assert http.ended == CUT
        assert other.ended == ""
        await other.chunk()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat", "/v1/chat/stream"])
async def test_a_failure_that_is_told_ends_cleanly_on_http1(house, path):
    """The event says it; the connection serves the next request."""
    async with await Http1.connect(house.port) as http:
        await http.ask("POST", path, chat("cut") if "completions" in path else simple("cut"))
        assert b"error" in await http.rest()
        assert http.ended == CLEAN
        await http.ask("GET", "/health")
        assert http.status == 200


async def test_the_first_block_comes_before_the_model_says_anything(house):
    """With the stream's id; and the framing to the letter."""
    for path, event in (("/chat", ""), ("/v1/chat/stream", "event: start\n")):
        begun = time.monotonic()
        async with await Http1.connect(house.port) as http:
            await http.ask("POST", path, simple("mute"))
            first = (await http.chunk()).decode()
        assert time.monotonic() - begun < 2
        id = http.headers["headrace-stream-id"]
        assert re.fullmatch(rf"{event}data: {{.*}}\nid: {id}:0\nretry: [2-5]\d\d\d\n\n", first)


async def test_the_framing_of_named_events(house):
    """LF only; event, data, id; ``close`` is last."""
    async with await Http1.connect(house.port) as http:
        await http.ask("POST", "/v1/chat/stream", simple("good"))
        body = (await http.rest()).decode()
    assert "\r" not in body
    assert body.endswith("\n\n")
    names = []
    for number, block in enumerate(body[:-2].split("\n\n")):
        match = re.fullmatch(r"event: (\w+)\ndata: (\{.*\})\nid: (st_\w+:\S+)(\nretry: \d+)?", block)
        assert match, block
        assert bool(match[4]) == (number == 0)
        names.append(match[1])
    assert names == ["start", "token", "token", "token", "done", "close"]


async def test_localhost_is_served_on_both_families(house):
    """IPv4 and IPv6, where the machine has it."""
    async with await Http1.connect(house.port, "127.0.0.1") as http:
        await http.ask("GET", "/health")
        assert http.status == 200
    async with await Http1.connect(house.port, "::1") as http:
        await http.ask("POST", "/chat", simple("good"))
        assert b"three" in await http.rest()
        assert http.ended == CLEAN


async def test_the_whole_surface(house):
    """Every route that the app has, on a real server; a new one without a line here fails."""
    asked = set()
    async with await Http1.connect(house.port) as http:

        async def ask(method, target, body=None, status=200, route=None, **headers):
            await http.ask(method, target, body, {"content-type": "application/json", **headers})
            data = await http.rest()
            assert http.status == status, (method, target, http.status, data)
            assert http.ended == CLEAN
            assert http.headers["x-request-id"]
            asked.add((method, route or target.partition("?")[0]))
            return data

        await ask("POST", "/v1/chat/completions", chat("good"))
        id = http.headers["headrace-stream-id"]
        await ask("POST", "/chat/completions", chat("good"))
        assert b"one two three" in await ask("POST", "/v1/chat/completions", chat("good") | {"stream": False})
        whole_id = http.headers["headrace-stream-id"]
        one = "/v1/chat/completions/{id}"
        assert b"[DONE]" in await ask("GET", f"/v1/chat/completions/{id}?stream=true&starting_after=1", route=one)
        assert b"one two three" in await ask("GET", f"/v1/chat/completions/{id}", route=one)
        assert b"one two three" in await ask("GET", f"/v1/chat/completions/{whole_id}", route=one)
        await ask("POST", f"/v1/chat/completions/{id}/cancel", route=f"{one}/cancel")
        asked_for = {"model": "demo/echo", "input": "hello"}
        assert b"response.completed" in await ask("POST", "/v1/responses", asked_for | {"stream": True})
        response_id = http.headers["headrace-stream-id"].replace("st_", "resp_")
        assert b'"completed"' in await ask("POST", "/v1/responses", asked_for)
        one = "/v1/responses/{id}"
        assert b"hello" in await ask("GET", f"/v1/responses/{response_id}", route=one)
        assert b"hello" in await ask("GET", f"/v1/responses/{response_id}?stream=true&starting_after=1", route=one)
        assert b"hello" in await ask("GET", f"/v1/responses/{response_id}/input_items", route=f"{one}/input_items")
        assert b"hello" in await ask("POST", f"/v1/responses/{response_id}/cancel", route=f"{one}/cancel")
        await ask("DELETE", f"/v1/responses/{response_id}", route=one)
        await ask("GET", f"/v1/responses/{response_id}", status=410, route=one)
        assert b"message_stop" in await ask("POST", "/v1/messages", chat("good", max_tokens=9))
        message, one = http.headers["headrace-stream-id"], "/v1/messages/{id}"
        assert b"message_stop" in await ask("GET", f"/v1/messages/{message}?stream=true&after=1", route=one)
        assert b'"text":"one two three"' in await ask("GET", f"/v1/messages/{message}", route=one)
        await ask("POST", f"/v1/messages/{message}/cancel", route=f"{one}/cancel")
        assert b'"estimated":true' in await ask("POST", "/v1/messages/count_tokens", chat("good"))
        page = {"id": "a/b", "model": "good", "messages": [{"role": "user", "parts": [{"type": "text", "text": "x"}]}]}
        assert b"three" in await ask("POST", "/api/chat", page)
        one = "/api/chat/{chat:path}"
        assert b"three" in await ask("GET", "/api/chat/a%2Fb/stream", route=f"{one}/stream")
        await ask("GET", "/api/chat/%ff%00/stream", status=204, route=f"{one}/stream")
        await ask("POST", "/api/chat/a%2Fb/stop", {"stream": "st_other"}, status=409, route=f"{one}/stop")
        for path in ("/chat", "/chat/stream", "/v1/chat/stream", "/infer"):
            assert b"three" in await ask("POST", path, simple("good"))
            assert b'"content":"one two three"' in await ask("POST", path, simple("good", stream=False))
        for path in ("/chat/stream", "/chat/completions"):
            assert b"three" in await ask("GET", f"{path}?message=x&model=good")
        built = (assets.STATIC / "index.html").exists()
        for served in assets.routes():
            await ask("GET", served.path, status=200 if built and "{" not in served.path else 404)
        assert b'"protected":false' in await ask("GET", "/api/session")
        await ask("POST", "/api/session", {"key": "any"}, status=204)
        await ask("DELETE", "/api/session", status=204)
        await ask("POST", "/api/conversations", {"id": "c1"}, status=201)
        assert b'"c1"' in await ask("GET", "/api/conversations")
        one = "/api/conversations/{id}"
        told = {"id": "a1", "message": {"id": "u1", "text": "x"}, "model": "good", "stream": False}
        assert b"one two three" in await ask("POST", "/api/conversations/c1/answers", told, 201, f"{one}/answers")
        await ask("GET", "/api/conversations/c1", route=one)
        await ask("GET", "/api/conversations/c1/export", route=f"{one}/export")
        await ask("PATCH", "/api/conversations/c1", {"title": "x"}, route=one)
        await ask("DELETE", "/api/conversations/c1", route=one)
        await ask("GET", "/api/conversations/%ff", status=404, route=one)
        one = "/api/overview/streams/{id}/cancel"
        await ask("POST", f"/api/overview/streams/{id}/cancel", route=one)
        await ask("GET", "/v1/streams")
        one = "/v1/streams/{id}"
        assert b"[DONE]" in await ask("GET", f"/v1/streams/{id}", route=one)
        await ask("GET", f"/v1/streams/{id}?after=4", route=one)
        await ask("GET", f"/v1/streams/{id}?after=5", status=204, route=one)
        await ask("GET", f"/v1/streams/{id}?after=6", status=410, route=one)
        await ask("HEAD", f"/v1/streams/{id}", route=one)
        await ask("HEAD", "/v1/streams/none", status=404, route=one)
        await ask("POST", f"/v1/streams/{id}/cancel", route=f"{one}/cancel")
        await ask("POST", f"/v1/streams/{id}/tickets", {}, route=f"{one}/tickets")
        await ask("DELETE", f"/v1/streams/{id}", route=one)
        await ask("GET", f"/v1/streams/{id}", status=410, route=one)
        await ask("GET", "/v1/streams/%ff%00", status=404, route=one)
        await ask("GET", "/v1/exports/generations")
        await ask("HEAD", "/v1/exports/generations?format=csv")
        one = "/v1/exports/topics/{path:path}"
        await ask("GET", "/v1/exports/topics/none", status=404, route=one)
        await ask("HEAD", "/v1/exports/topics/none", status=404, route=one)
        one = "/v1/topics/{path:path}"
        await ask("PUT", "/v1/topics/a/b", [1], status=201, route=one)
        await ask("POST", "/v1/topics/a/b", [2], status=204, route=one)
        assert await ask("GET", "/v1/topics/a/b", route=one) == b"[1,2]"
        await ask("HEAD", "/v1/topics/a/b", route=one)
        assert b'"path":"a/b"' in await ask("GET", "/v1/topics")
        await ask("DELETE", "/v1/topics/a/b", status=204, route=one)
        await ask("GET", "/v1/topics/%ff%00", status=400, route=one)
        one = "/v1/proxy/{target}/{path:path}"
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH"):
            await ask(method, "/v1/proxy/up/embeddings", route=one)
        await ask("DELETE", "/v1/proxy/up/x", status=405, route=one)
        await ask("GET", "/v1/models")
        await ask("GET", "/v1/models/demo/echo", route="/v1/models/{id:path}")
        await ask("POST", "/v1/embeddings", {"model": "good", "input": "x"}, route="/v1/{path:path}")
        await ask("GET", "/v1/batches", route="/v1/{path:path}")
        await ask("DELETE", "/v1/batches/1", route="/v1/{path:path}")
        one = "/v1/files/{path:path}"
        assert await ask("GET", "/v1/files/a.txt", route=one) == b"one two three"
        await ask("HEAD", "/v1/files/a.txt", route=one)
        await ask("GET", "/v1/files/none", status=404, route=one)
        for path in ("/health", "/healthz", "/ready", "/readyz", "/metrics", "/docs", "/openapi.json"):
            await ask("GET", path)
        await ask("GET", "/nope", status=404)
        await ask("POST", "/chat", b"{nope", status=400)
    # Feeds have no end of their own: a connection for each, which is dropped.
    for feed in ("/api/conversations/watch", "/api/overview"):
        async with await Http1.connect(house.port) as http:
            await http.ask("GET", feed)
            await http.chunk()
            assert http.status == 200
            asked.add(("GET", feed))
    there = {(method, route.path) for route in routes() for method in methods_of(route)}
    assert ("POST", "/v1/chat/completions") in there
    assert there - asked == set()


class TestHttp2:
    """Where the settings ask for it."""

    @pytest.fixture
    async def house(self, tmp_path):
        async with ScriptedUpstream(play) as upstream:
            toml = upstream_toml(f"{upstream.url}/v1", models=MODELS)
            server = HeadraceServer(tmp_path, toml, kind="granian")
            await asyncio.to_thread(server.start)
            try:
                yield House(server, upstream)
            finally:
                await asyncio.to_thread(server.stop)

    async def test_a_completed_answer_ends_its_stream(self, house):
        async with await Http2.connect(house.port) as http:
            streams = [
                await http.ask("POST", "/v1/chat/completions", chat("good")),
                await http.ask("POST", "/chat", simple("good")),
                await http.ask("POST", "/infer", simple("good")),
            ]
            await http.finish(*streams)
            for stream in streams:
                assert http.heads[stream][":status"] == "200"
                assert "connection" not in http.heads[stream]
                assert "content-length" not in http.heads[stream]
                assert b"three" in http.bodies[stream]
                assert http.ended[stream] == CLEAN
            again = await http.ask("GET", "/health")
            await http.finish(again)
            assert http.ended[again] == CLEAN

    async def test_one_cut_stream_leaves_the_others_of_its_connection_unharmed(self, house):
        """RST_STREAM on the one; the others go on, and new ones begin."""
        async with await Http2.connect(house.port) as http:
            stalled = await http.ask("POST", "/chat", simple("stall"), {"idempotency-key": "k1"})
            cut = await http.ask("POST", "/infer", simple("cut"))
            text = await http.ask("POST", "/chat", simple("cut"), {"accept": "text/plain"})
            await http.finish(cut, text)
            assert http.ended[cut] == http.ended[text] == CUT
            assert not http.closed
            assert http.bodies[text] == b"one two three"
            good = await http.ask("POST", "/infer", simple("good"))
            await http.finish(good)
            assert http.ended[good] == CLEAN
            assert stalled not in http.ended
            cancel = await http.ask("POST", "/v1/streams/k1/cancel")
            await http.finish(cancel, stalled)
            assert http.ended[stalled] == CLEAN
            assert b'"code":"cancelled"' in http.bodies[stalled]

    async def test_a_client_that_resets_its_stream_leaves(self, house):
        """Under policy ``cancel`` the upstream's connection is closed; the connection goes on."""
        async with await Http2.connect(house.port) as http:
            stream = await http.ask("POST", "/chat", simple("stall"), {"headrace-on-leave": "cancel"})
            await http.until(lambda: b"three" in http.bodies[stream])
            await http.reset(stream)
            await asyncio.wait_for(house.upstream.connections[-1].closed.wait(), 2)
            good = await http.ask("POST", "/infer", simple("good"))
            await http.finish(good)
            assert http.ended[good] == CLEAN


@pytest.mark.parametrize("http2", [False, True])
async def test_tls_where_a_certificate_is_given(tmp_path, http2):
    """HTTP/1.1 and HTTP/2 on one port, by ALPN."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    (tmp_path / "key.pem").write_bytes(certificate.private_key_pem.bytes())
    (tmp_path / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    toml = f'[server]\ntls_certificate = "{tmp_path}/cert.pem"\ntls_key = "{tmp_path}/key.pem"\n'
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    trusting.set_alpn_protocols(["h2" if http2 else "http/1.1"])
    server = TlsServer(tmp_path, toml)
    server.context = trusting
    await asyncio.to_thread(server.start)
    try:
        body = simple("demo/counter", max_tokens=3)
        if http2:
            async with await Http2.connect(server.port, "localhost", tls=trusting) as http:
                stream = await http.ask("POST", "/infer", body)
                await http.finish(stream)
                assert http.ended[stream] == CLEAN
                assert b'"finish_reason":"length"' in http.bodies[stream]
        else:
            async with await Http1.connect(server.port, "localhost", tls=trusting) as http:
                await http.ask("POST", "/infer", body)
                assert b'"finish_reason":"length"' in await http.rest()
                assert http.ended == CLEAN
    finally:
        await asyncio.to_thread(server.stop)


class TlsServer(HeadraceServer):
    """One whose readiness is asked over TLS."""

    context: ssl.SSLContext

    def request(self, method, path, body=None, headers=None, timeout=10.0):
        async def ask():
            async with await Http1.connect(self.port, "localhost", tls=self.context) as http:
                await http.ask(method, path)
                return http.status, http.headers, await http.rest()

        return asyncio.run(ask())
