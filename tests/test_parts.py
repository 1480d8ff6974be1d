"""The upstreams of the settings: each kind reaches its server, and every word of its table has its effect."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from headrace.config import load
from headrace.core.routing import Call
from headrace.faces.service import Service
from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.parts import Parts
from headrace.testing.scripted_upstream import Received, Script, ScriptedUpstream, head
from headrace.testing.spoken import Said, dialect_at, spoken

TURNS = [{"role": "user", "content": "Hi"}]
BODIES = {CHAT: {"messages": TURNS}, RESPONSES: {"input": "Hi"}, MESSAGES: {"messages": TURNS, "max_tokens": 9}}


def play(request: Received) -> Script:
    """A list of models, or an answer in the dialect that was asked."""
    if request.method == "GET":
        listed = json.dumps({"data": [{"id": "claude-new" if "limit" in request.target else "house-model"}]}).encode()
        return [head(type="application/json", body=str(len(listed))), listed]
    return [head(), b"".join(spoken(dialect_at(request.target), Said(texts=("One",))))]


@asynccontextmanager
async def parts(folder: Any, toml: str, **environ: str) -> AsyncIterator[Service]:
    """The house of a configuration."""
    (folder / "headrace.toml").write_text(toml)
    settings = load(environ={"HEADRACE_DATA": "memory:", **environ}, folder=folder)
    async with Parts(settings) as made:
        yield made.service


async def say(at: Service, model: str, dialect: str = CHAT, **fields: Any) -> str:
    """One answer, and its format."""
    target = at.routes.targets(model)[0]
    call = Call(dialect=dialect, body={**BODIES[dialect], **fields}, model=target.model, stream=True)
    answer = await target.upstream.open(target.upstream.prepare(call))
    while not answer.ended:
        await answer.read()
    answer.close()
    return answer.format


async def test_an_anthropic_key_alone_makes_its_models_appear(tmp_path):
    """Listed, found by name before they are listed, and asked with the key."""
    async with ScriptedUpstream(play) as server:
        env = {"ANTHROPIC_API_KEY": "key-canary", "ANTHROPIC_BASE_URL": server.url}
        async with parts(tmp_path, "", **env) as at:
            assert await say(at, "claude-sonnet-4-5") == MESSAGES
            assert "claude-new" in [card.id for card in await at.routes.models()]
            assert "anthropic" in at.forwarders
    assert [request.target for request in server.requests] == ["/v1/messages", "/v1/models?limit=1000"]
    assert {request.headers["x-api-key"] for request in server.requests} == {"key-canary"}


async def test_beside_another_provider_each_name_finds_its_own(tmp_path):
    """By the makers' names at once, and any other as soon as the lists have been asked for."""
    async with ScriptedUpstream(play) as server:
        env = {"ANTHROPIC_API_KEY": "a", "ANTHROPIC_BASE_URL": server.url, "OPENAI_API_KEY": "o"}
        async with parts(tmp_path, "", OPENAI_BASE_URL=f"{server.url}/v1", **env) as at:
            assert await say(at, "claude-sonnet-4-5") == MESSAGES
            await at.routes.models()
            assert await say(at, "house-model") == CHAT
            assert at.routes.targets("claude-new")[0].upstream.name == "anthropic"


@pytest.mark.parametrize(
    ("extra", "client", "target", "sent"),
    [
        ("", CHAT, "/v1/chat/completions", {"stream_options": {"include_usage": True}}),
        ("", RESPONSES, "/v1/chat/completions", {"stream_options": {"include_usage": True}}),
        ('apis = ["responses"]', CHAT, "/v1/responses", {}),
        ('apis = ["chat", "responses"]', RESPONSES, "/v1/responses", {}),
        ('profile = "openai"', RESPONSES, "/v1/responses", {}),
        ('profile = "openai"', MESSAGES, "/v1/chat/completions", {"max_completion_tokens": 9}),
        ('profile = "vllm"', MESSAGES, "/v1/chat/completions", {"max_tokens": 9}),
        ("include_usage = false", CHAT, "/v1/chat/completions", {"stream_options": None}),
        ('profile = "mistral"', CHAT, "/v1/chat/completions", {"stream_options": None}),
        ('profile = "mistral"\ninclude_usage = true', CHAT, "/v1/chat/completions", {"stream_options": {}}),
        ('kind = "anthropic"\nmax_tokens = 5', CHAT, "/v1/messages", {"max_tokens": 5}),
        ('kind = "anthropic"\napi_version = "2026-10-21"', CHAT, "/v1/messages", {"temperature": None}),
        (
            'kind = "azure"\nmodels = ["m"]\napis = ["responses"]',
            CHAT,
            "/openai/v1/responses",
            {"model": "m"},
        ),
        (
            'kind = "azure"\nmodels = ["m"]\napi_version = "2030-01-01"',
            RESPONSES,
            "/openai/deployments/m/chat/completions?api-version=2030-01-01",
            {},
        ),
    ],
)
async def test_a_table_says_how_its_server_is_spoken_to(tmp_path, extra, client, target, sent):
    """Which of its APIs, and in what manner; explicit settings are stronger than the profile."""
    async with ScriptedUpstream(play) as server:
        path = "" if "azure" in extra or "anthropic" in extra else "/v1"
        toml = f'[upstreams.up]\nbase_url = "{server.url}{path}"\napi_key = "k"\n{extra}\n'
        async with parts(tmp_path, toml) as at:
            await say(at, "m", client, temperature=0.5)
    [request] = server.requests
    assert request.target == target
    body = json.loads(request.body)
    for name, value in sent.items():
        assert (body.get(name) is not None) if value == {} else body.get(name) == value


async def test_a_token_and_an_unmarked_end_are_configured_too(tmp_path):
    """``auth_token`` is a bearer's, and ``done_marker = false`` ends an answer with its body."""
    chat = b"".join(spoken(CHAT, Said(texts=("One",))))

    def unmarked(request: Received) -> Script:
        return [head(), chat.replace(b"data: [DONE]\n\n", b"")] if "chat" in request.target else play(request)

    async with ScriptedUpstream(unmarked) as server:
        toml = (
            f'[upstreams.a]\nkind = "anthropic"\nbase_url = "{server.url}"\nauth_token = "tok"\nmodels = ["a"]\n'
            f'[upstreams.b]\nbase_url = "{server.url}/v1"\ndone_marker = false\nmodels = ["b"]\n'
        )
        async with parts(tmp_path, toml) as at:
            assert await say(at, "a") == MESSAGES
            assert await say(at, "b") == CHAT
    assert server.requests[0].headers["authorization"] == "Bearer tok"
