"""OpenAI-compatible upstreams, against scripted servers on real sockets."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.upstreams.kit import AT_ONCE, KEY, Client, ask, drain, stopped, text_of

from headrace.errors import (
    ConfigError,
    LimitExceeded,
    NotFound,
    UpstreamFault,
    UpstreamProtocol,
    UpstreamRefused,
    UpstreamTruncated,
)
from headrace.model.outcome import Usage
from headrace.testing.clock import FakeClock
from headrace.testing.scripted_upstream import (
    Endless,
    Fin,
    Next,
    Script,
    ScriptedUpstream,
    Stall,
    answer,
    chunked,
    head,
    sse,
    whole,
)
from headrace.upstreams.openai import OpenAI
from headrace.upstreams.profile import COMPATIBLE


async def test_keep_alives_read_as_nothing():
    """A comment is life without progress."""
    gate = asyncio.Event()
    script: Script = [head(), b": ping\n\n", gate, sse("One")]
    async with ScriptedUpstream(script) as server, Client(server) as upstream:
        one = await upstream.open(ask())
        assert await one.read() == []
        gate.set()
        assert text_of(list(await one.read())) == "One"


async def test_the_request_is_the_clients_with_our_credentials():
    """Unknown fields go on as they are, the model is the upstream's, and nothing of the client's credentials passes."""
    theirs = {
        "Authorization": "Bearer client-canary",
        "X-Api-Key": "client-canary",
        "Cookie": "client-canary",
        "Idempotency-Key": "client-canary",
        "Host": "client-canary",
        "OpenAI-Beta": "x=1",
        "Traceparent": "00-1",
        "X-Client-Request-Id": "a\r\nforged: 1",
    }
    ours: dict[str, Any] = {"organization": "org", "project": "proj", "headers": {"X-Title": "t"}}
    async with ScriptedUpstream([answer("One")]) as server, Client(server, **ours) as upstream:
        await drain(await upstream.open(ask(headers=theirs, seed=7, vendor={"deep": [None, 1.5]})))
    [request] = server.requests
    assert request.target == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "client-canary" not in str(request.headers)
    assert "forged" not in request.headers
    assert request.headers["openai-beta"] == "x=1"
    assert request.headers["openai-organization"] == "org"
    assert request.headers["openai-project"] == "proj"
    assert request.headers["x-title"] == "t"
    assert request.headers["content-type"] == "application/json"
    assert request.json() == {
        "model": "real",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "seed": 7,
        "vendor": {"deep": [None, 1.5]},
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(("wanted", "records"), [(None, 2), (False, 2), (True, 3)])
async def test_usage_is_always_asked_for(wanted: bool | None, records: int):
    """The usage chunk that only we asked for is not a record, but its content is known."""
    options = {} if wanted is None else {"stream_options": {"include_usage": wanted, "include_obfuscation": False}}
    async with ScriptedUpstream([answer("One", usage=(3, 4))]) as server, Client(server) as upstream:
        one = await upstream.open(ask(**options))
        found, error = await drain(one)
    assert error is None
    assert len(found) == records
    assert one.usage == Usage(input=3, output=4)
    assert (one.finish_reason, one.upstream_id, one.model) == ("stop", "chatcmpl-fake", "fake")
    sent = server.requests[0].json()
    assert isinstance(sent, dict)
    assert sent["stream_options"]["include_usage"] is True
    assert ("include_obfuscation" in sent["stream_options"]) is (wanted is not None)


async def test_a_server_without_the_usage_option_is_not_asked():
    async with (
        ScriptedUpstream([answer("One")]) as server,
        Client(server, profile=COMPATIBLE._replace(usage_option=False)) as upstream,
    ):
        await drain(await upstream.open(ask()))
    assert "stream_options" not in server.requests[0].body.decode()


async def test_a_server_without_an_end_marker_may_be_configured():
    script: Script = [head(), sse("One", finish_reason="stop"), Fin()]
    async with ScriptedUpstream(script) as server:
        async with Client(server, profile=COMPATIBLE._replace(done_marker=False)) as upstream:
            one = await upstream.open(ask())
            assert (await drain(one))[1] is None
            assert one.ended
        async with Client(server) as upstream:
            assert isinstance((await drain(await upstream.open(ask())))[1], UpstreamTruncated)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_whole_body_is_one_record(stream: bool):
    """Not streamed, or JSON though a stream was asked for: the body as it is, with what it tells taken note of."""
    async with ScriptedUpstream([whole("Hello", usage=(5, 6)), Next()]) as server, Client(server) as upstream:
        one = await upstream.open(ask(stream=stream))
        assert one.format == "openai.chat.object"
        [record], error = await drain(one)
        one.close()
        assert error is None
        assert json.loads(record.data)["choices"][0]["message"]["content"] == "Hello"
        assert (one.upstream_id, one.model, one.finish_reason) == ("chatcmpl-fake", "fake", "stop")
        assert one.usage == Usage(input=5, output=6)
        await drain(await upstream.open(ask(stream=stream)))
        assert len(server.connections) == 1
    sent = server.requests[0].json()
    assert isinstance(sent, dict)
    assert sent["stream"] is stream


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error": {"message": "No", "type": "server_error"}}', UpstreamFault),
        (b'{"object": "error", "message": "No"}', UpstreamFault),
        (b'{"choices": null}', UpstreamProtocol),
        (b"[]", UpstreamProtocol),
        (b"", UpstreamProtocol),
        (b"\xff{}", UpstreamProtocol),
        (b"[" * 100_000, UpstreamProtocol),
        (b'{"choices": ["' + b"x" * (17 << 20), LimitExceeded),
    ],
    ids=["error", "flat-error", "no-choices", "list", "empty", "not-utf8", "deep", "huge"],
)
async def test_a_whole_body_that_is_no_answer(body: bytes, error: type[Exception]):
    script: Script = [head(type="application/json"), body]
    async with ScriptedUpstream(script) as server, Client(server) as upstream:
        _, found = await drain(await upstream.open(ask(stream=False)))
    assert type(found) is error


async def test_a_records_lines_end_in_lf():
    """A pretty-printed body may have CRLF; a record may not."""
    body = b'\xef\xbb\xbf{\r\n "choices": []\r\n}\r\n'
    script: Script = [head(type="application/json; charset=utf-8", body=str(len(body))), body]
    async with ScriptedUpstream(script) as server, Client(server) as upstream:
        [record], _ = await drain(await upstream.open(ask(stream=False)))
    assert record.data == b'{\n "choices": []\n}'


async def test_an_error_object_passes_on_scrubbed():
    body = b'{"error": {"message": "Over 8192, see https://x.example/a", "code": "context_length_exceeded"}}'
    async with ScriptedUpstream([head(400, type="application/json"), body]) as server, Client(server) as upstream:
        with pytest.raises(UpstreamRefused) as caught:
            await upstream.open(ask())
    assert caught.value.detail is not None
    assert caught.value.detail.code == "context_length_exceeded"
    assert "x.example" not in caught.value.detail.message
    assert not caught.value.retryable


async def test_the_connection_is_kept_after_an_answer():
    """Also where the zero chunk comes a moment after the answer's own end."""
    gate = asyncio.Event()
    script: Script = [head(body="chunked"), chunked(sse("a", finish_reason="stop", done=True), end=False), gate]
    async with ScriptedUpstream([[*script, b"0\r\n\r\n", Next()]]) as server, Client(server) as upstream:
        for _ in range(3):
            one = await upstream.open(ask())
            assert (await drain(one))[1] is None
            one.close()
            gate.set()
            for _ in range(10):  # looks at its sockets, as many times
                await asyncio.sleep(0.002)
        assert len(server.connections) == 1
        assert len(server.requests) == 3


async def test_closing_an_answer_closes_its_socket_at_once():
    async with ScriptedUpstream([head(), sse("One"), Endless(sse("x"))]) as server, Client(server) as upstream:
        one = await upstream.open(ask())
        await one.read()
        start = asyncio.get_running_loop().time()
        one.close()
        one.close()
        await server.connections[0].closed.wait()
        assert (server.connections[0].closed_at or 0) - start < AT_ONCE
        assert server.connections[0].left


async def test_models_are_asked_for_and_remembered():
    """The list is kept for five minutes; after a failure the last one stands."""
    listed = b'{"data": [{"id": "m1", "created": 5, "owned_by": "them"}, {"id": "m2"}, {"id": 3}, null]}'
    good: Script = [head(type="application/json", body=str(len(listed))), listed, Next()]
    bad: Script = [head(500, body="0")]
    clock = FakeClock()
    async with ScriptedUpstream([good, bad]) as server, Client(server, clock=clock) as upstream:
        assert upstream.known() == []
        for _ in range(2):
            cards = await asyncio.gather(upstream.models(), upstream.models())
            assert [(card.id, card.created, card.owned_by) for card in cards[0]] == [
                ("m1", 5, "them"),
                ("m2", 0, "openai"),
            ]
        assert len(server.requests) == 1
        assert (server.requests[0].method, server.requests[0].target) == ("GET", "/v1/models")
        await clock.advance(301)
        assert len(await upstream.models()) == 2
        assert len(server.requests) == 2
        assert upstream.known() == ["m1", "m2"]


@pytest.mark.parametrize("script", [[Fin()], [head(500)], [head(type="text/html"), b"<html>"], [head(), b"[1]"]])
async def test_models_never_raises(script: Script):
    async with ScriptedUpstream(script) as server, Client(server) as upstream:
        assert await upstream.models() == []


async def test_configured_models_are_not_asked_for():
    async with ScriptedUpstream([Stall()]) as server, Client(server, models=["a", "b"]) as upstream:
        assert [card.id for card in await upstream.models()] == ["a", "b"] == list(upstream.known())
    assert server.requests == []


async def test_forward_passes_other_calls_on():
    """The query, the body and the allowed headers go on; of the reply's headers only those of the list come back."""
    script: Script = [head(200, "X-Request-Id: r", "Server: s", type="audio/mpeg", body="3"), b"mp3"]
    async with ScriptedUpstream(script) as server, Client(server) as upstream:
        theirs = {"Authorization": "Bearer client", "Content-Type": "application/json", "Connection": "x"}
        exchange = await upstream.forward("POST", "/audio/speech", "a=b%20c&d", theirs, b"{}")
        assert await exchange.read_all(10) == b"mp3"
        assert exchange.headers == {"content-type": "audio/mpeg", "content-length": "3", "x-request-id": "r"}
        exchange.release()
    [request] = server.requests
    assert (request.target, request.body) == ("/v1/audio/speech?a=b%20c&d", b"{}")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"


@pytest.mark.slow
async def test_forward_is_constant_in_memory_both_ways():
    """An upload is taken as fast as the upstream reads it, and a download as fast as we do."""
    sent = 0

    async def upload() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1 << 28:
            sent += 65536
            yield bytes(65536)

    # The kernel takes the connection; nobody reads.
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        upstream = OpenAI(base_url=f"http://127.0.0.1:{deaf.getsockname()[1]}/v1")
        sending = asyncio.ensure_future(upstream.forward("POST", "/files", "", {}, upload()))
        once = await stopped(lambda: sent)
        sending.cancel()
        await asyncio.wait({sending})
        await upstream.close()
        assert 0 < once == sent < 1 << 26

    async with ScriptedUpstream([head(), Endless(bytes(65536))]) as scripted, Client(scripted) as client:
        exchange = await client.forward("GET", "/files/a/content", "", {})
        await stopped(lambda: scripted.connections[0].sent)
        exchange.abort()


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/../admin", ""),
        ("/a/../../b", ""),
        ("//host/x", ""),
        ("x", ""),
        ("/a%2e", ""),
        ("/a?b", ""),
        ("/a\\b", ""),
        ("/@host", ""),
        ("/", ""),
        ("/.env", ""),
        ("/a/", ""),
        ("/a", "b#c"),
        ("/a", "b c"),
        ("/a", "b\r\nx: y"),
    ],
)
async def test_forward_refuses_paths_that_lead_elsewhere(path: str, query: str):
    async with ScriptedUpstream([head()]) as server, Client(server) as upstream:
        with pytest.raises(NotFound):
            await upstream.forward("GET", path, query, {})
    assert server.connections == []


async def test_forward_maps_refusals():
    async with ScriptedUpstream([head(401, body="0")]) as server, Client(server) as upstream:
        with pytest.raises(UpstreamRefused) as caught:
            await upstream.forward("POST", "/embeddings", "", {}, b"{}")
    assert caught.value.status == 502


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x", "http://", "http://u:p@x/v1", "http://x/v1?a=b", "http://x/#f", "http://x:99999", "http://[x"],
)
def test_a_bad_base_url_is_refused_without_telling_it(url: str):
    with pytest.raises(ConfigError) as caught:
        OpenAI(base_url=url)
    assert "u:p" not in str(caught.value)


def test_a_bad_key_is_refused_without_telling_it():
    with pytest.raises(ConfigError) as caught:
        OpenAI(api_key="sk-canary\r\nX: y")
    assert "canary" not in str(caught.value)
