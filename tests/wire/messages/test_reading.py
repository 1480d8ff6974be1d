"""Messages requests as prompts: what is carried, what is dropped, what is refused by name."""

import base64
from contextlib import suppress

import pytest
from anthropic.types.beta import message_create_params as beta
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asked import JSON

from headrace.errors import RequestError
from headrace.model.dialect import MESSAGES, RESPONSES
from headrace.model.prompt import Format, Media, Prompt, Thinking, Thought, Tool, ToolResult, ToolUse, Turn, Words
from headrace.wire.json_object import encode
from headrace.wire.manner import PLAIN
from headrace.wire.messages.carried import FIELDS
from headrace.wire.messages.reading import read
from headrace.wire.messages.writing import write
from headrace.wire.seal import Seal

USER = {"role": "user", "content": "hi"}
TEXT = {"type": "text", "text": "hi"}
LOOK = {"name": "look", "input_schema": {"type": "object"}}
AT = "messages[0].content[0]"
PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
SHAPE = {"type": "json_schema", "schema": {"type": "object"}}


def _read(*messages, **fields) -> Prompt:
    return read({"model": "m", "max_tokens": 100, "messages": list(messages) or [USER], **fields})


def _param(*messages, **fields) -> str | None:
    with pytest.raises(RequestError) as caught:
        _read(*messages, **fields)
    assert caught.value.status == 400
    return caught.value.param


def _parts(role, *blocks):
    (turn,) = _read({"role": role, "content": list(blocks)}).turns
    return turn.parts


def test_each_message_is_a_turn_and_the_system_prompt_the_first():
    prompt = _read(
        USER, {"role": "system", "content": "now"}, {"role": "assistant", "content": [TEXT]}, system="be kind"
    )
    assert prompt.turns == (
        Turn(role="system", parts=(Words(text="be kind", at="system"),), at="system"),
        Turn(role="user", parts=(Words(text="hi", at="messages[0].content"),), at="messages[0]"),
        Turn(role="system", parts=(Words(text="now", at="messages[1].content"),), at="messages[1]"),
        Turn(role="assistant", parts=(Words(text="hi", at="messages[2].content[0]"),), at="messages[2]"),
    )


def test_blocks_of_the_system_prompt_are_parts_of_it():
    blocks = [{**TEXT, "cache_control": {"type": "ephemeral"}}, TEXT]
    assert [part.at for part in _read(system=blocks).turns[0].parts] == ["system[0]", "system[1]"]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "image", "source": PNG}, Media(kind="image", media_type="image/png", data="AAAA", at=AT)),
        (
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a"}},
            Media(kind="image", url="https://example.org/a", at=AT),
        ),
        (
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            Media(kind="image", file_id="file_1", at=AT),
        ),
        (
            {"type": "document", "title": "a", "source": {**PNG, "media_type": "application/pdf"}},
            Media(kind="file", media_type="application/pdf", data="AAAA", name="a", at=AT),
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
            Media(kind="file", url="https://example.org/a.pdf", at=AT),
        ),
        (
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}, "citations": {"enabled": False}},
            Media(kind="file", file_id="file_1", at=AT),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "naïve"}},
            Media(kind="file", media_type="text/plain", data=base64.b64encode("naïve".encode()).decode(), at=AT),
        ),
    ],
)
def test_media_is_carried(block, expected):
    assert _parts("user", block) == (expected,)


def test_a_document_of_blocks_is_its_blocks_after_what_is_told_of_it():
    source = {"type": "content", "content": [TEXT, {"type": "image", "source": PNG}]}
    context, words, image = _parts("user", {"type": "document", "source": source, "context": "from 2019"})
    assert (context, words.text) == (Words(text="from 2019", at=f"{AT}.context"), "hi")
    assert image.at == f"{AT}.source.content[1]"


def test_calls_and_results_are_carried():
    (use,) = _parts("assistant", {"type": "tool_use", "id": "t", "name": "look", "input": {"at": [1, None]}})
    assert use == ToolUse(id="t", name="look", arguments='{"at":[1,null]}', at=AT)
    block = {"type": "tool_result", "tool_use_id": "t", "content": [TEXT, {"type": "image", "source": PNG}]}
    (result,) = _parts("user", {**block, "is_error": True})
    words, image = result.content
    assert result == ToolResult(id="t", content=(words, image), failed=True, at=AT)
    assert (words.text, image.at) == ("hi", f"{AT}.content[1]")


@pytest.mark.parametrize("content", [{}, {"content": []}, {"content": None}])
def test_a_result_may_be_empty(content):
    assert _parts("user", {"type": "tool_result", "tool_use_id": "t", **content}) == (ToolResult(id="t", at=AT),)


@pytest.mark.parametrize(
    ("block", "text", "seal"),
    [
        ({"type": "thinking", "thinking": "hm", "signature": "sig"}, "hm", Seal(MESSAGES, "sig")),
        ({"type": "redacted_thinking", "data": "xyz"}, "", Seal(MESSAGES, "xyz", hidden=True)),
        ({"type": "thinking", "thinking": "hm", "signature": ""}, "hm", ""),
        (
            {"type": "thinking", "thinking": "hm", "signature": str(Seal(RESPONSES, "enc", id="rs_1"))},
            "hm",
            Seal(RESPONSES, "enc", id="rs_1"),
        ),
    ],
)
def test_thoughts_keep_their_seals_whoever_made_them(block, text, seal):
    assert _parts("assistant", block) == (Thought(text=text, seal=str(seal), at=AT),)


def test_settings_are_carried():
    prompt = _read(
        temperature=0, top_p=0.5, top_k=3, stop_sequences=["x"], metadata={"user_id": "u"}, system=None, max_tokens=7
    )
    assert (prompt.temperature, prompt.top_p, prompt.top_k, prompt.stop) == (0, 0.5, 3, ("x",))
    assert (prompt.user, prompt.max_tokens) == ("u", 7)
    assert prompt.at["stop"] == "stop_sequences"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, Thinking(budget=0)),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Thinking(budget=2000, shown=True)),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, Thinking()),
        ({"output_config": {"effort": "low"}}, Thinking(effort="low")),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            Thinking(effort="max", shown=True),
        ),
    ],
)
def test_how_much_to_think(fields, expected):
    assert _read(**fields).thinking == expected


@pytest.mark.parametrize("fields", [{"output_config": {"format": SHAPE}}, {"output_format": SHAPE}])
def test_the_shape_of_the_answer_under_its_newer_and_its_older_name(fields):
    assert _read(**fields).format == Format(schema={"type": "object"})


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ("", "", None)),
        ({"type": "auto"}, ("auto", "", None)),
        ({"type": "any", "disable_parallel_tool_use": True}, ("required", "", False)),
        ({"type": "tool", "name": "look", "disable_parallel_tool_use": False}, ("tool", "look", True)),
        ({"type": "none"}, ("none", "", None)),
    ],
)
def test_each_choice_of_a_tool(choice, expected):
    prompt = _read(tools=[LOOK], tool_choice=choice)
    assert (prompt.choice, prompt.choice_name, prompt.parallel) == expected


def test_a_tool_is_carried_whole():
    (tool,) = _read(
        tools=[{**LOOK, "type": "custom", "description": "Look.", "strict": True, "defer_loading": True}]
    ).tools
    assert tool == Tool(name="look", description="Look.", schema={"type": "object"}, strict=True, at="tools[0]")


REFUSED = {
    "container": "c",
    "fallbacks": [{"model": "n"}],
    "inference_geo": "eu",
    "mcp_servers": [{"url": "https://example.org"}],
    "thread": {"id": "t"},
}


@pytest.mark.parametrize("field", FIELDS.refused)
def test_what_would_change_the_answer_is_refused_by_its_name(field):
    assert _param(**{field: REFUSED[field]}) == field


@pytest.mark.parametrize("field", FIELDS.refused)
def test_the_same_field_passes_where_it_asks_for_nothing(field):
    for value in (None, *FIELDS.refused[field].idle):
        assert _read(**{field: value}) == _read()


@pytest.mark.parametrize("field", FIELDS.dropped)
def test_what_nobody_misses_is_left_out(field):
    assert _read(**{field: {"any": "thing"}}) == _read()


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "tool", "content": "42"}, "messages[0].role"),
        ({"role": "user", "content": 1}, "messages[0].content"),
        ({"role": "user", "content": ["x"]}, "messages[0].content"),
        ({"role": "user", "content": [{"type": "search_result"}]}, f"{AT}.type"),
        ({"role": "user", "content": [{"type": "tool_use"}]}, f"{AT}.type"),
        ({"role": "assistant", "content": [{"type": "server_tool_use"}]}, f"{AT}.type"),
        ({"role": "assistant", "content": [{"type": "tool_result"}]}, f"{AT}.type"),
        ({"role": "system", "content": [{"type": "image"}]}, f"{AT}.type"),
        ({"role": "user", "content": [{"type": "image", "source": {"type": "paint"}}]}, f"{AT}.source.type"),
        ({"role": "user", "content": [{"type": "image"}]}, f"{AT}.source.type"),
        ({"role": "user", "content": [{"type": "image", "source": {"type": "base64"}}]}, f"{AT}.source.media_type"),
        ({"role": "user", "content": [{"type": "document", "citations": {"enabled": True}}]}, f"{AT}.citations"),
        ({"role": "user", "content": [{"type": "tool_result"}]}, f"{AT}.tool_use_id"),
        (
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "x"}]}]},
            f"{AT}.content[0].type",
        ),
        ({"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": "x"}]}, f"{AT}.input"),
    ],
)
def test_a_message_that_cannot_be_carried_is_refused_by_the_clients_own_path(message, param):
    assert _param(message) == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"tools": [LOOK, {}]}, "tools[1].name"),
        ({"tool_choice": {"type": "required"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "deep"}}, "thinking.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": -1}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "vast"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "grammar"}}}, "output_config.format.type"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"metadata": {"user_id": 1}}, "metadata.user_id"),
    ],
)
def test_a_setting_that_cannot_be_carried_is_refused_by_its_path(fields, param):
    assert _param(**fields) == param


def test_each_field_of_anthropics_own_types_has_one_place_in_the_tables():
    tables = (FIELDS.carried, FIELDS.dropped, FIELDS.refused)
    places = {name: sum(name in table for table in tables) for table in tables for name in table}
    assert set(places.values()) == {1}
    assert MessageCreateParamsNonStreaming.__annotations__.keys() <= places.keys()
    assert beta.MessageCreateParamsNonStreaming.__annotations__.keys() <= places.keys()


_FIELDS = st.sampled_from(sorted({*FIELDS.carried, *FIELDS.refused, *FIELDS.dropped}))
_KINDS = ["text", "image", "document", "thinking", "redacted_thinking", "tool_use", "tool_result"]
_SOURCES = st.fixed_dictionaries(
    {"type": st.sampled_from(["base64", "url", "file", "text", "content"])},
    optional=dict.fromkeys(("data", "media_type", "url", "file_id", "content"), JSON),
)
_BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from(_KINDS)},
    optional={
        "source": _SOURCES | JSON,
        **dict.fromkeys(("text", "thinking", "signature", "data", "id", "name", "input", "tool_use_id"), JSON),
        **dict.fromkeys(("content", "is_error", "title", "context", "citations"), JSON),
    },
)
_MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": JSON | st.lists(_BLOCKS, max_size=3)}
)


@given(st.dictionaries(_FIELDS, JSON, max_size=4), st.lists(_MESSAGES, max_size=3))
def test_whatever_json_a_client_sends_only_request_errors_come_of_it(fields, messages):
    with suppress(RequestError):
        encode(write(read({"messages": messages, **fields}), PLAIN))
