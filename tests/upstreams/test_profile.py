"""Small differences between servers: each is taken in as it comes, or is a word in a profile."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.upstreams.kit import KEY, Client, ask, drain, events_of, told

from headrace.errors import UpstreamTruncated
from headrace.model import events
from headrace.model.dialect import CHAT, MESSAGES
from headrace.model.outcome import Usage
from headrace.testing.scripted_upstream import Fin, Script, ScriptedUpstream, answer, head
from headrace.upstreams.openai import OpenAI
from headrace.upstreams.profile import COMPATIBLE, PROFILES, profile_of

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def frame(*choices: dict[str, Any], **fields: Any) -> bytes:
    value = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **fields}
    return b"data: %b\n\n" % json.dumps(value).encode()


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": 0, "delta": fields, "finish_reason": finish}


def call(id: str | None = None, name: str | None = None, arguments: str = "", **fields: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": name} if name else {})}
    return {**({"id": id} if id else {}), "type": "function", "function": function, **fields}


HELLO = frame(delta(content="Hello"))
STOP = frame(delta("stop"))

#: What a server of a profile sends, and what is understood of it: text, reasoning, calls, usage.
SERVERS: list[tuple[str, str, bytes, dict[str, Any]]] = [
    (
        "azure: a first chunk without choices",
        "azure",
        b'data: {"id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}\n\n' + HELLO + STOP + DONE,
        {"text": "Hello"},
    ),
    (
        "mistral: usage on the chunk that finishes",
        "mistral",
        HELLO + frame(delta("stop", content=""), usage=USAGE) + DONE,
        {"text": "Hello", "usage": Usage(input=3, output=4)},
    ),
    (
        "gemini: tool calls without an index",
        "gemini",
        frame(delta(tool_calls=[call("a", "f", '{"x":1}')]))
        + frame(delta(tool_calls=[call("b", "g", "{}")]))
        + frame(delta("tool_calls"))
        + DONE,
        {"calls": [("a", "f", '{"x":1}'), ("b", "g", "{}")]},
    ),
    (
        "deepseek: reasoning_content, usage on the chunk that finishes",
        "deepseek",
        frame(delta(reasoning_content="Hm", content=None)) + HELLO + frame(delta("stop"), usage=USAGE) + DONE,
        {"text": "Hello", "reasoning": "Hm", "usage": Usage(input=3, output=4)},
    ),
    (
        "openrouter: reasoning, comments, another model's name",
        "openrouter",
        b": OPENROUTER PROCESSING\n\n"
        + frame(delta(reasoning="Hm", content=""), model="vendor/other")
        + frame(delta(content="Hello"), model="vendor/other")
        + frame(delta("stop"), model="vendor/other")
        + frame(usage=USAGE)
        + DONE,
        {"text": "Hello", "reasoning": "Hm", "usage": Usage(input=3, output=4), "model": "vendor/other"},
    ),
    (
        "groq: usage in a field of its own is no usage, and passes",
        "groq",
        HELLO + frame(delta("stop"), x_groq={"usage": USAGE}) + frame(usage=USAGE) + DONE,
        {"text": "Hello", "usage": Usage(input=3, output=4)},
    ),
    (
        "vllm: every index is 0, usage on each chunk",
        "vllm",
        frame(delta(role="assistant", content=""), usage=None)
        + frame(delta(tool_calls=[call("a", "f", "{", index=0)]))
        + frame(delta(tool_calls=[call(None, None, "}", index=0)]))
        + frame(delta(tool_calls=[call("b", "g", "{}", index=0)]))
        + frame(delta("tool_calls"))
        + frame(usage=USAGE)
        + DONE,
        {"calls": [("a", "f", "{}"), ("b", "g", "{}")], "usage": Usage(input=3, output=4)},
    ),
]


def understood(found: list[events.Event]) -> dict[str, Any]:
    calls: dict[int, list[str]] = {}
    for event in found:
        if isinstance(event, events.ToolCall):
            whole = calls.setdefault(event.call, ["", "", ""])
            for place, piece in enumerate((event.id, event.name, event.arguments)):
                whole[place] += piece
    return {
        "text": "".join(event.text for event in found if isinstance(event, events.Text)),
        "reasoning": "".join(event.text for event in found if isinstance(event, events.Reasoning)),
        "calls": [tuple(calls[number]) for number in sorted(calls)],
    }


@pytest.mark.parametrize(
    ("profile", "stream", "expected"), [server[1:] for server in SERVERS], ids=[server[0] for server in SERVERS]
)
async def test_a_server_is_understood(profile: str, stream: bytes, expected: dict[str, Any]):
    """Whatever it does in its own way, the same is read of it."""
    async with ScriptedUpstream([head(), stream]) as server, Client(server, profile=PROFILES[profile]) as upstream:
        one = await upstream.open(ask())
        records, error = await drain(one)
    assert error is None
    assert one.ended
    assert one.ignored == 0
    assert one.usage == expected.get("usage")
    assert one.model == expected.get("model", "m")
    nothing = {"text": "", "reasoning": "", "calls": []}
    wanted = {name: expected.get(name, empty) for name, empty in nothing.items()}
    assert understood(events_of(one.format, records)) == wanted


async def test_a_server_without_an_end_marker_ends_with_its_body():
    """Where the profile says so, and only once a choice has finished."""
    profile = COMPATIBLE._replace(done_marker=False)
    scripts: list[Script] = [[head(), HELLO + STOP, Fin()], [head(), HELLO, Fin()]]
    async with ScriptedUpstream(scripts) as server, Client(server, profile=profile) as upstream:
        one = await upstream.open(ask())
        records, error = await drain(one)
        assert error is None
        assert told(one.format, records) == "Hello"
        _, error = await drain(await upstream.open(ask()))
        assert isinstance(error, UpstreamTruncated)


@pytest.mark.parametrize(
    ("name", "field"),
    [(name, "max_completion_tokens" if name in {"openai", "azure", "groq"} else "max_tokens") for name in PROFILES],
)
async def test_a_converted_request_names_the_limit_as_the_server_does(name: str, field: str):
    profile = PROFILES[name]._replace(apis=(CHAT,))
    async with ScriptedUpstream([answer("One")]) as server, Client(server, profile=profile) as upstream:
        await drain(await upstream.open(upstream.prepare(ask(MESSAGES))))
    sent = server.requests[0].json()
    assert isinstance(sent, dict)
    assert {key: value for key, value in sent.items() if key.startswith("max_")} == {field: 100}


@pytest.mark.parametrize(
    ("name", "model", "effort"),
    [
        ("openai", "o3-mini", "high"),
        ("openai", "gpt-5.1", "high"),
        ("openai", "gpt-5-chat-latest", None),
        ("openai", "gpt-4o", None),
        ("mistral", "mistral-large-latest", None),
        ("compatible", "qwen3", "high"),
    ],
)
def test_only_models_that_reason_are_told_how_much(name: str, model: str, effort: str | None):
    """Agents ask for it of any model, and those that do not know the word refuse the request."""
    thinking = {"type": "enabled", "budget_tokens": 20_000}
    call = msgspec.structs.replace(ask(MESSAGES, thinking=thinking, max_tokens=30_000), model=model)
    upstream = OpenAI(api_key=KEY, profile=PROFILES[name]._replace(apis=(CHAT,)))
    assert upstream.prepare(call).body.get("reasoning_effort") == effort


@pytest.mark.parametrize("name", PROFILES)
async def test_a_server_is_asked_for_usage_unless_it_refuses(name: str):
    async with ScriptedUpstream([answer("One")]) as server, Client(server, profile=PROFILES[name]) as upstream:
        await drain(await upstream.open(ask()))
    sent = server.requests[0].json()
    assert isinstance(sent, dict)
    assert sent.get("stream_options") == (None if name == "mistral" else {"include_usage": True})


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.mistral.ai/v1", "mistral"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://openrouter.ai.example/api/v1", "compatible"),
        ("http://localhost:11434/v1", "compatible"),
    ],
)
def test_a_profile_is_chosen_by_the_host(url: str, name: str):
    assert profile_of(url) is PROFILES[name]


def test_the_documented_table_is_that_of_the_code():
    """Host, usage and limit of every profile, as docs/models.md says them."""
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*`) \| (.*) \| (yes|no).* \| `(max_\w+)` \|$", page, re.MULTILINE)
    told = {name: row[1:] for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
    others = {"azure": '`kind = "azure"`'}
    assert told == {
        name: (
            f"`{profile.hosts[0]}`" if profile.hosts else others.get(name, "any other host"),
            "yes" if profile.usage_option else "no",
            profile.manner.max_tokens_field,
        )
        for name, profile in PROFILES.items()
    }
