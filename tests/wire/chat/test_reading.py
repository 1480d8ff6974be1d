"""OpenAI chat requests as prompts: what is carried, what is dropped, what is refused by name."""

from contextlib import suppress
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageParam
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from tests.wire.asked import JSON

from headrace.errors import RequestError
from headrace.model.prompt import Declined, Format, Media, Prompt, Thinking, Tool, ToolResult, ToolUse, Turn, Words
from headrace.wire.chat.carried import FIELDS, MESSAGE
from headrace.wire.chat.reading import read
from headrace.wire.chat.writing import write
from headrace.wire.json_object import encode
from headrace.wire.manner import PLAIN

USER = {"role": "user", "content": "hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
LOOK = {"type": "function", "function": {"name": "look"}}
WAIT = {"type": "function", "function": {"name": "wait"}}
TEXT = {"type": "text", "text": "hi"}


def _read(*messages, **fields) -> Prompt:
    return read({"model": "m", "messages": list(messages) or [USER], **fields})


def _param(*messages, **fields) -> str | None:
    with pytest.raises(RequestError) as caught:
        _read(*messages, **fields)
    assert caught.value.status == 400
    return caught.value.param


def _parts(message):
    (turn,) = _read(message).turns
    return turn.parts


def test_each_message_is_a_turn_that_knows_its_place():
    prompt = _read(
        {"role": "system", "content": "be kind"},
        {"role": "developer", "content": [TEXT]},
        USER,
        {"role": "assistant", "content": "well", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
    )
    use = ToolUse(id="call_1", name="look", arguments='{"at": 1}', at="messages[3].tool_calls[0]")
    result = ToolResult(id="call_1", content=(Words(text="42", at="messages[4].content"),), at="messages[4]")
    assert prompt.turns == (
        Turn(role="system", parts=(Words(text="be kind", at="messages[0].content"),), at="messages[0]"),
        Turn(role="system", parts=(Words(text="hi", at="messages[1].content[0]"),), at="messages[1]"),
        Turn(role="user", parts=(Words(text="hi", at="messages[2].content"),), at="messages[2]"),
        Turn(role="assistant", parts=(Words(text="well", at="messages[3].content"), use), at="messages[3]"),
        Turn(role="user", parts=(result,), at="messages[4]"),
    )


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://example.org/a", "detail": "low"}},
            Media(kind="image", url="https://example.org/a", detail="low"),
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            Media(kind="image", media_type="image/png", data="AAAA"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            Media(kind="audio", media_type="audio/mpeg", data="AAAA"),
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
            Media(kind="file", media_type="application/pdf", data="AAAA", name="a.pdf"),
        ),
        (
            {"type": "file", "file": {"file_data": "JVBERi0xLjc="}},
            Media(kind="file", media_type="application/pdf", data="JVBERi0xLjc="),
        ),
        ({"type": "file", "file": {"file_data": "AAAA"}}, Media(kind="file", data="AAAA")),
        ({"type": "file", "file": {"file_id": "file-1"}}, Media(kind="file", file_id="file-1")),
    ],
)
def test_media_is_carried(part, expected):
    (found,) = _parts({"role": "user", "content": [part]})
    assert found == type(expected)(**{**{f: getattr(expected, f) for f in expected.__struct_fields__}, "at": found.at})
    assert found.at == "messages[0].content[0]"


def test_refusals_are_carried_from_either_place():
    message = {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "refusal": "never"}
    assert [part.text for part in _parts(message) if isinstance(part, Declined)] == ["no", "never"]


def test_settings_are_carried():
    prompt = _read(
        max_completion_tokens=9,
        max_tokens=5,
        temperature=0,
        top_p=0.5,
        seed=0,
        presence_penalty=1,
        frequency_penalty=-1,
        stop="x",
        parallel_tool_calls=False,
        reasoning_effort="high",
        safety_identifier="u",
    )
    assert (prompt.max_tokens, prompt.at["max_tokens"]) == (9, "max_completion_tokens")
    assert (prompt.temperature, prompt.top_p, prompt.seed) == (0, 0.5, 0)
    assert (prompt.presence_penalty, prompt.frequency_penalty, prompt.stop) == (1, -1, ("x",))
    assert (prompt.parallel, prompt.thinking, prompt.user) == (False, Thinking(effort="high"), "u")


def test_the_older_limit_is_named_as_the_client_named_it():
    prompt = _read(max_tokens=5)
    assert (prompt.max_tokens, prompt.at["max_tokens"]) == (5, "max_tokens")


def test_null_is_as_if_absent():
    assert _read(**dict.fromkeys(FIELDS.carried.keys() - {"messages"}), n=None) == _read()


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, Format()),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}},
            Format(schema={"type": "object"}, name="a", strict=True),
        ),
        ({"type": "json_schema", "json_schema": {"name": "a"}}, Format(schema={}, name="a")),
    ],
)
def test_the_format_of_the_answer(format, expected):
    assert _read(response_format=format).format == expected


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ("auto", "")),
        ("none", ("none", "")),
        ("required", ("required", "")),
        ({"type": "function", "function": {"name": "look"}}, ("tool", "look")),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [LOOK, WAIT]}}, ("required", "")),
        (None, ("", "")),
    ],
)
def test_each_choice_of_a_tool(choice, expected):
    prompt = _read(tools=[LOOK, WAIT], tool_choice=choice)
    assert (prompt.choice, prompt.choice_name) == expected
    assert [tool.name for tool in prompt.tools] == ["look", "wait"]


def test_tools_that_are_not_allowed_are_not_offered():
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [WAIT]}}
    assert [tool.name for tool in _read(tools=[LOOK, WAIT], tool_choice=allowed).tools] == ["wait"]


def test_a_function_is_carried_whole():
    function = {"name": "look", "description": "Look.", "parameters": {"type": "object"}, "strict": True}
    (tool,) = _read(tools=[{"type": "function", "function": function}]).tools
    assert tool == Tool(name="look", description="Look.", schema={"type": "object"}, strict=True, at="tools[0]")


REFUSED = {
    "audio": {"format": "mp3"},
    "function_call": {"name": "look"},
    "functions": [{"name": "look"}],
    "logit_bias": {"1": 1},
    "logprobs": True,
    "modalities": ["text", "audio"],
    "moderation": {"model": "m"},
    "n": 2,
    "top_logprobs": 1,
    "web_search_options": {},
}


@pytest.mark.parametrize("field", FIELDS.refused)
def test_what_would_change_the_answer_is_refused_by_its_name(field):
    assert _param(**{field: REFUSED[field]}) == field


@pytest.mark.parametrize("field", FIELDS.refused)
def test_the_same_field_passes_where_it_asks_for_nothing(field):
    for value in FIELDS.refused[field].idle:
        assert _read(**{field: value}) == _read()


@pytest.mark.parametrize("field", FIELDS.dropped)
def test_what_nobody_misses_is_left_out(field):
    assert _read(**{field: {"any": "thing"}}) == _read()


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([USER, {"role": "poet", "content": "o"}], "messages[1].role"),
        ([{"role": "function", "name": "look", "content": "42"}], "messages[0].role"),
        ([{"role": "user", "content": 1}], "messages[0].content"),
        ([{"role": "user", "content": [TEXT, "x"]}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "video_url"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"text": "x"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "messages[0].content[0].image_url.url"),
        ([{"role": "user", "content": [{"type": "file", "file": {}}]}], "messages[0].content[0].file.file_data"),
        ([{"role": "system", "content": [{"type": "image_url"}]}], "messages[0].content[0].type"),
        ([{"role": "assistant", "content": [{"type": "image_url"}]}], "messages[0].content[0].type"),
        ([{"role": "assistant", "audio": {"id": "a"}}], "messages[0].audio"),
        ([{"role": "assistant", "function_call": {"name": "look"}}], "messages[0].function_call"),
        ([{"role": "assistant", "tool_calls": [{**CALL, "type": "custom"}]}], "messages[0].tool_calls[0]"),
        ([{"role": "assistant", "tool_calls": [{**CALL, "id": ""}]}], "messages[0].tool_calls[0].id"),
        ([{"role": "tool", "content": "42"}], "messages[0].tool_call_id"),
    ],
)
def test_a_message_that_cannot_be_carried_is_refused_by_the_clients_own_path(messages, param):
    assert _param(*messages) == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0]"),
        ({"tools": [LOOK, {"type": "function"}]}, "tools[1].function.name"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "x"}}}, "tool_choice"),
        ({"tool_choice": {"type": "dream"}}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function.name"),
        ({"reasoning_effort": "vast"}, "reasoning_effort"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        ({"stop": [1]}, "stop"),
        ({"seed": 1 << 64}, "seed"),
    ],
)
def test_a_setting_that_cannot_be_carried_is_refused_by_its_path(fields, param):
    assert _param(**fields) == param


def test_each_field_of_openais_own_type_has_one_place_in_the_tables():
    tables = (FIELDS.carried, FIELDS.dropped, FIELDS.refused)
    places = {name: sum(name in table for table in tables) for table in tables for name in table}
    assert set(places.values()) == {1}
    assert CompletionCreateParamsNonStreaming.__annotations__.keys() <= places.keys()


def test_each_field_of_a_message_has_one_place_in_the_tables():
    tables = (MESSAGE.carried, MESSAGE.dropped, MESSAGE.refused)
    names = [name for table in tables for name in table]
    assert len(set(names)) == len(names)
    types = get_args(ChatCompletionMessageParam)
    assert {name for type in types for name in type.__annotations__} <= set(names)


_FIELDS = st.sampled_from(sorted({*FIELDS.carried, *FIELDS.refused, *FIELDS.dropped}))
_ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
_PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "refusal", "image_url", "input_audio", "file"])},
    optional=dict.fromkeys(("text", "refusal", "image_url", "input_audio", "file"), JSON),
)
_MESSAGES = st.fixed_dictionaries(
    {"role": _ROLES},
    optional={
        "content": JSON | st.lists(_PARTS, max_size=2),
        "tool_calls": JSON,
        "tool_call_id": JSON,
        "refusal": JSON,
    },
)


@given(st.dictionaries(_FIELDS, JSON, max_size=4), st.lists(_MESSAGES, max_size=3))
def test_whatever_json_a_client_sends_only_request_errors_come_of_it(fields, messages):
    with suppress(RequestError):
        encode(write(read({"messages": messages, **fields}), PLAIN))
