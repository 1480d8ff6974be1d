"""Anthropic's Messages API, against scripted servers on real sockets."""

import json
from typing import Any

import msgspec
import pytest
from tests.upstreams.kit import KEY, Opened, ask, drain, speaking, told

from headrace.errors import ConfigError, NotFound, RequestError, UpstreamRefused
from headrace.model.dialect import CHAT, MESSAGES
from headrace.testing.scripted_upstream import Next, Script, ScriptedUpstream, head
from headrace.testing.spoken import Said, refusal_body, spoken, whole_body
from headrace.upstreams.anthropic import Anthropic

SAID = Said(texts=("One", " two"))
GOOD: Script = [head(), b"".join(spoken(MESSAGES, SAID))]


def asked(server: ScriptedUpstream) -> dict[str, Any]:
    """The body of the last request."""
    body = server.requests[-1].json()
    assert isinstance(body, dict)
    return body


async def test_the_request_is_the_clients_with_our_credentials():
    """Beta headers and the query go on, unknown fields stay, and nothing of the client's credentials passes."""
    theirs = {
        "Authorization": "Bearer client-canary",
        "X-Api-Key": "client-canary",
        "Cookie": "client-canary",
        "Idempotency-Key": "client-canary",
        "Anthropic-Beta": "tools-2030-01-01",
        "X-Client-Request-Id": "a\r\nforged: 1",
    }
    call = ask(MESSAGES, headers=theirs, query="beta=true", vendor={"deep": [None, 1.5]})
    async with ScriptedUpstream(GOOD) as server, speaking(MESSAGES, server) as upstream:
        await drain(await upstream.open(call))
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/v1/messages?beta=true")
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["anthropic-beta"] == "tools-2030-01-01"
    assert request.headers["accept"] == "text/event-stream"
    assert "canary" not in str({**request.headers, "x-api-key": ""})
    assert "forged" not in request.headers
    assert asked(server) == {
        "model": "real",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 100,
        "stream": True,
        "vendor": {"deep": [None, 1.5]},
    }


@pytest.mark.parametrize(
    ("ours", "theirs", "version", "header"),
    [
        ("", None, "2023-06-01", "x-api-key"),
        ("2023-06-01", "2023-01-01", "2023-01-01", "x-api-key"),
        ("2023-06-01", "2026-10-21", "2026-10-21", "authorization"),
        ("2026-10-21", None, "2026-10-21", "authorization"),
        ("2026-10-21", "2023-06-01", "2023-06-01", "x-api-key"),
        ("2023-06-01", "newest", "2023-06-01", "x-api-key"),
        ("2023-06-01", "2099-01-01", "2099-01-01", "authorization"),
    ],
)
async def test_the_credential_goes_with_the_version(ours: str, theirs: str | None, version: str, header: str):
    """A client's own version is stronger than ours; of the two headers there is always one, never both."""
    headers = {} if theirs is None else {"anthropic-version": theirs}
    async with ScriptedUpstream(GOOD) as server, speaking(MESSAGES, server, api_version=ours) as upstream:
        await drain(await upstream.open(ask(MESSAGES, headers=headers)))
    sent = server.requests[0].headers
    assert sent["anthropic-version"] == version
    assert sent[header] == (KEY if header == "x-api-key" else f"Bearer {KEY}")
    assert ("x-api-key" in sent) is not ("authorization" in sent)


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({"auth_token": "tok"}, ("authorization", "Bearer tok")),
        ({"auth_token": "tok", "api_key": "key"}, ("x-api-key", "key")),
        ({}, None),
    ],
)
async def test_a_token_is_a_bearers_in_every_version(options: dict[str, str], header: tuple[str, str] | None):
    """Where there is a key as well, that is sent, as the SDKs do."""
    async with ScriptedUpstream(GOOD) as server, Opened(Anthropic(base_url=server.url, **options)) as upstream:
        await drain(await upstream.open(ask(MESSAGES)))
    sent = server.requests[0].headers
    assert [(name, sent[name]) for name in ("x-api-key", "authorization") if name in sent] == [header] * bool(header)


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/proxy", "/proxy/v1"])
async def test_an_address_may_have_the_version_or_not(path: str):
    """``https://host`` is how Anthropic's own tools name it, ``https://host/v1`` how OpenAI's would."""
    async with (
        ScriptedUpstream(GOOD) as server,
        Opened(Anthropic(base_url=f"{server.url}{path}")) as upstream,
    ):
        await drain(await upstream.open(ask(MESSAGES)))
    prefix = "/proxy" if "proxy" in path else ""
    assert server.requests[0].target == f"{prefix}/v1/messages"


async def test_a_query_that_cannot_be_sent_stays_behind():
    async with ScriptedUpstream(GOOD) as server, speaking(MESSAGES, server) as upstream:
        await drain(await upstream.open(ask(MESSAGES, query="a=b\r\nx: y")))
    assert server.requests[0].target == "/v1/messages"


async def test_a_stream_tells_what_is_known_of_it():
    """Pings are no records; the others keep their names and their payload."""
    async with ScriptedUpstream(GOOD) as server, speaking(MESSAGES, server) as upstream:
        one = await upstream.open(ask(MESSAGES))
        records, error = await drain(one)
    assert error is None
    assert (one.format, one.upstream_id, one.model, one.finish_reason) == (MESSAGES, "msg_spoken", "m-1", "stop")
    assert one.usage is not None
    assert (one.usage.input, one.usage.cached, one.usage.output, one.usage.exact) == (11, 3, 7, True)
    assert [record.event for record in records][:2] == ["message_start", "content_block_start"]
    assert all(json.loads(record.data)["type"] == record.event for record in records)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_whole_body_is_one_record(stream: bool):
    """Not streamed, or JSON though a stream was asked for."""
    body = whole_body(MESSAGES, SAID)
    script: Script = [head(type="application/json", body=str(len(body))), body, Next()]
    async with ScriptedUpstream(script) as server, speaking(MESSAGES, server) as upstream:
        one = await upstream.open(ask(MESSAGES, stream=stream))
        [record], error = await drain(one)
    assert error is None
    assert record.data == body
    assert (one.format, one.upstream_id, one.finish_reason) == (f"{MESSAGES}.object", "msg_spoken", "stop")
    assert one.usage is not None
    assert one.usage.input == 11
    assert asked(server)["stream"] is stream


async def test_a_call_in_another_dialect_is_converted():
    """The limit that this API insists on is ours where the client names none; the client's headers stay behind."""
    call = ask(CHAT, headers={"openai-beta": "x"}, query="a=b", temperature=0.5)
    async with ScriptedUpstream(GOOD) as server, speaking(MESSAGES, server, max_tokens=77) as upstream:
        one = await upstream.open(call)
        records, _ = await drain(one)
    assert told(one.format, records) == "One two"
    assert server.requests[0].target == "/v1/messages"
    assert "openai-beta" not in server.requests[0].headers
    assert {name: asked(server)[name] for name in ("model", "max_tokens", "stream", "temperature")} == {
        "model": "real",
        "max_tokens": 77,
        "stream": True,
        "temperature": 0.5,
    }


async def test_the_second_generation_is_sent_no_sampling():
    """It refuses these parameters, even at their defaults."""
    options = {"api_version": "2026-10-21"}
    async with ScriptedUpstream(GOOD) as server, speaking(MESSAGES, server, **options) as upstream:
        await drain(await upstream.open(ask(CHAT, temperature=0.5, top_p=0.9)))
    assert not {"temperature", "top_p", "top_k"} & set(asked(server))


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("claude-3-5-sonnet-20241022", None),
        ("claude-3-opus-20240229", None),
        ("claude-3-7-sonnet-20250219", "enabled"),
        ("claude-sonnet-4-20250514", "enabled"),
        ("claude-sonnet-4-5-20250929", "enabled"),
        ("claude-opus-4-6", "adaptive"),
        ("claude-opus-5", "adaptive"),
        ("somebody-elses", "enabled"),
    ],
)
def test_a_model_is_told_to_reason_as_its_version_knows(model: str, thinking: str | None):
    """By nothing, a budget or an effort: the others are refused."""
    call = msgspec.structs.replace(ask(CHAT, reasoning_effort="high"), model=model)
    prepared = Anthropic(api_key=KEY).prepare(call)
    assert prepared.body.get("thinking", {}).get("type") == thinking


def test_what_cannot_be_carried_is_the_clients_own_field():
    upstream = Anthropic(api_key=KEY)
    with pytest.raises(RequestError) as caught:
        upstream.prepare(ask(CHAT, messages=[{"role": "user", "content": [{"type": "input_video"}]}]))
    assert caught.value.param is not None
    assert caught.value.param.startswith("messages[0]")


async def test_an_error_object_passes_on_scrubbed():
    body = refusal_body(MESSAGES, "prompt is too long: 9 tokens > 8, see https://x.example/a")
    script: Script = [head(400, type="application/json", body=str(len(body))), body]
    async with ScriptedUpstream(script) as server, speaking(MESSAGES, server) as upstream:
        with pytest.raises(UpstreamRefused) as caught:
            await upstream.open(ask(MESSAGES))
    assert caught.value.status == 400
    assert caught.value.detail is not None
    assert caught.value.detail.type == "invalid_request_error"
    assert caught.value.detail.message.startswith("prompt is too long")
    assert "x.example" not in caught.value.detail.message


async def test_models_are_asked_for_in_one_page():
    listed = json.dumps(
        {
            "data": [
                {"type": "model", "id": "claude-x", "display_name": "X", "created_at": "2025-02-19T00:00:00Z"},
                {"type": "model", "id": "claude-y", "created_at": "soon"},
                {"type": "model", "id": "claude-z", "created_at": "2025-02-19T00:00:00"},
                {"id": "bad\nname"},
                7,
            ],
            "has_more": False,
        }
    ).encode()
    script: Script = [head(type="application/json", body=str(len(listed))), listed, Next()]
    async with ScriptedUpstream(script) as server, Opened(Anthropic(base_url=server.url, api_key=KEY)) as opened:
        cards = await opened.upstream.models()
        assert isinstance(opened.upstream, Anthropic)
        assert list(opened.upstream.known()) == ["claude-x", "claude-y", "claude-z"]
    assert [(card.id, card.created, card.owned_by) for card in cards] == [
        ("claude-x", 1739923200, "anthropic"),
        ("claude-y", 0, "anthropic"),
        ("claude-z", 1739923200, "anthropic"),
    ]
    [request] = server.requests
    assert (request.method, request.target) == ("GET", "/v1/models?limit=1000")
    assert request.headers["x-api-key"] == KEY


async def test_forward_passes_other_calls_on():
    """Such as the count of tokens; with the same rules for version, credential and headers."""
    script: Script = [head(200, type="application/json", body="19"), b'{"input_tokens": 3}']
    theirs = {"Authorization": "Bearer client", "Content-Type": "application/json", "Anthropic-Version": "2026-10-21"}
    async with ScriptedUpstream(script) as server:
        upstream = Anthropic(base_url=server.url, api_key=KEY)
        exchange = await upstream.forward("POST", "/messages/count_tokens", "beta=true", theirs, b"{}")
        assert await exchange.read_all(100) == b'{"input_tokens": 3}'
        exchange.release()
        with pytest.raises(NotFound):
            await upstream.forward("GET", "/../x", "", {})
        await upstream.close()
    [request] = server.requests
    assert request.target == "/v1/messages/count_tokens?beta=true"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["anthropic-version"] == "2026-10-21"
    assert "x-api-key" not in request.headers


@pytest.mark.parametrize("options", [{"api_key": "sk-canary\r\nX: y"}, {"auth_token": "canary\n"}, {"base_url": "x"}])
def test_what_cannot_be_sent_is_refused_without_telling_it(options: dict[str, str]):
    with pytest.raises(ConfigError) as caught:
        Anthropic(**options)
    assert "canary" not in str(caught.value)


def test_a_version_is_a_date():
    with pytest.raises(ConfigError, match="2023-06-01"):
        Anthropic(api_key=KEY, api_version="v1")
