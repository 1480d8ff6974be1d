"""Responses requests as prompts: what is carried, what is dropped, what is refused by name."""

from contextlib import suppress
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from openai.types.responses.response_input_item_param import ResponseInputItemParam
from openai.types.responses.tool_param import ToolParam
from tests.wire.asked import JSON

from headrace.errors import RequestError
from headrace.model.dialect import MESSAGES, RESPONSES
from headrace.model.prompt import Declined, Format, Media, Prompt, Thinking, Thought, Tool, ToolResult, ToolUse, Words
from headrace.wire.manner import PLAIN
from headrace.wire.responses.carried import FIELDS, ITEMS, LACKS
from headrace.wire.responses.reading import read
from headrace.wire.responses.writing import write
from headrace.wire.seal import Seal

LOOK = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}
WAIT = {"type": "function", "name": "wait", "description": "sit still", "parameters": None, "strict": None}
SEARCH = {"type": "web_search"}


def _read(given: Any = "hi", **fields: Any) -> Prompt:
    return read({"model": "m", "input": given, **fields})


def _param(given: Any = "hi", **fields: Any) -> str | None:
    with pytest.raises(RequestError) as caught:
        _read(given, **fields)
    assert caught.value.status == 400
    assert f"'{caught.value.param}'" in caught.value.message
    return caught.value.param


def _part(item):
    """The one part of an item."""
    (turn,) = _read([item]).turns
    (part,) = turn.parts
    return turn.role, part


def _types(union):
    """The values of ``type`` in a union of the SDK's types."""
    return {word for each in get_args(union) for word in _words(get_type_hints(each)["type"])}


def _words(type):
    """The words of a literal, which may be optional."""
    return {word for each in get_args(type) for word in ({each} if isinstance(each, str) else _words(each))}


def test_a_text_is_a_user_s_turn_after_the_instructions():
    """A system prompt stands in front of the conversation."""
    system, user = _read("hi", instructions="be kind").turns

    assert (system.role, system.parts) == ("system", (Words(text="be kind", at="instructions"),))
    assert (user.role, user.parts) == ("user", (Words(text="hi", at="input"),))


@pytest.mark.parametrize(
    ("given", "role"),
    [("user", "user"), ("assistant", "assistant"), ("system", "system"), ("developer", "system")],
)
def test_messages_in_short_and_in_long_are_turns(given, role):
    """With a type or without one, with a text or a list of parts."""
    for item in ({"role": given, "content": "hi"}, {"type": "message", "id": "msg_1", "role": given, "content": "hi"}):
        assert _part(item) == (role, Words(text="hi", at="input[0].content"))


@pytest.mark.parametrize(
    ("part", "read_as"),
    [
        ({"type": "input_text", "text": "hi"}, Words(text="hi")),
        ({"type": "output_text", "text": "hi", "annotations": [{"type": "x"}], "logprobs": []}, Words(text="hi")),
        ({"type": "refusal", "refusal": "no"}, Declined(text="no")),
        (
            {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "original"},
            Media(kind="image", url="https://a.example/b.png", detail="high"),
        ),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "file_id": None},
            Media(kind="image", media_type="image/png", data="AAAA"),
        ),
        (
            {"type": "input_image", "file_id": "file-1", "detail": "low"},
            Media(kind="image", file_id="file-1", detail="low"),
        ),
        (
            {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,AAAA"},
            Media(kind="file", media_type="text/plain", data="AAAA", name="a.txt"),
        ),
        (
            {"type": "input_file", "file_data": "JVBERi0x"},
            Media(kind="file", media_type="application/pdf", data="JVBERi0x"),
        ),
        ({"type": "input_file", "file_url": "https://a.example/b"}, Media(kind="file", url="https://a.example/b")),
        ({"type": "input_file", "file_id": "file-1"}, Media(kind="file", file_id="file-1")),
    ],
)
def test_parts_are_carried(part, read_as):
    """In a message, and those that are no text of the model's in a tool's result."""
    _, got = _part({"role": "user", "content": [part]})
    assert got == type(got)(**{**_fields(read_as), "at": "input[0].content[0]"})

    _, result = _part({"type": "function_call_output", "call_id": "c", "output": [part]})
    kept = () if isinstance(read_as, Declined) else (type(got)(**{**_fields(read_as), "at": "input[0].output[0]"}),)
    assert result == ToolResult(id="c", content=kept, at="input[0]")


def _fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def _use(name, arguments):
    return ("assistant", ToolUse(id="c1", name=name, arguments=arguments, at="input[0]"))


def _result(text, *, at="input[0].output", failed=False):
    part = ToolResult(id="c1", content=(Words(text=text, at=at),), failed=failed, at="input[0]")
    return ("user", part)


@pytest.mark.parametrize(
    ("item", "part"),
    [
        ({"type": "function_call", "name": "look", "arguments": '{"a": 1}'}, _use("look", '{"a": 1}')),
        ({"type": "function_call", "name": "look", "arguments": ""}, _use("look", "{}")),
        ({"type": "custom_tool_call", "name": "sh", "input": 'a "b"'}, _use("sh", '{"input":"a \\"b\\""}')),
        ({"type": "local_shell_call", "action": {"command": ["ls"]}}, _use("local_shell", '{"command":["ls"]}')),
        ({"type": "shell_call", "action": {"commands": ["ls"]}}, _use("shell", '{"commands":["ls"]}')),
        ({"type": "apply_patch_call", "operation": {"path": "a"}}, _use("apply_patch", '{"path":"a"}')),
        ({"type": "function_call_output", "output": "42"}, _result("42")),
        ({"type": "custom_tool_call_output", "output": "42"}, _result("42")),
        ({"type": "local_shell_call_output", "output": "42"}, _result("42")),
        ({"type": "local_shell_call_output", "output": "42", "call_id": None, "id": "c1"}, _result("42")),
        ({"type": "shell_call_output", "output": [{"stdout": "a"}]}, _result('[{"stdout":"a"}]')),
        ({"type": "apply_patch_call_output", "status": "failed"}, _result("failed", failed=True)),
    ],
)
def test_what_the_client_runs_is_a_call_and_its_result(item, part):
    """Also where OpenAI has a type of its own for it: an agent that changes models keeps its history."""
    assert _part({"call_id": "c1", **item}) == part


@pytest.mark.parametrize(
    ("item", "text", "seal"),
    [
        ({"summary": []}, "", ""),
        ({"summary": [{"type": "summary_text", "text": "hm"}]}, "hm", ""),
        ({"summary": [{"text": "a"}, {"text": "b"}]}, "a\n\nb", ""),
        ({"summary": [{"text": "a"}], "content": [{"type": "reasoning_text", "text": "all"}]}, "all", ""),
        ({"summary": [], "encrypted_content": "gAAA="}, "", Seal(RESPONSES, "gAAA=", "rs_1")),
        ({"summary": [], "encrypted_content": str(Seal(MESSAGES, "sig"))}, "", Seal(MESSAGES, "sig")),
        ({"summary": [], "encrypted_content": str(Seal(RESPONSES, "x", "rs_9"))}, "", Seal(RESPONSES, "x", "rs_9")),
    ],
)
def test_reasoning_is_a_thought_with_the_seal_of_its_provider(item, text, seal):
    """The provider's own, which names itself by the item, or one that came from elsewhere."""
    part = Thought(text=text, seal=str(seal), at="input[0]")

    assert _part({"type": "reasoning", "id": "rs_1", **item}) == ("assistant", part)


@pytest.mark.parametrize("kind", [*ITEMS.dropped, "ghost_snapshot", "x_call"])
def test_items_of_hosted_and_unknown_tools_are_left_out(kind):
    """Agents send back all that they were told."""
    item = {"type": kind, "id": "x_1", "call_id": "c", "action": 5, "output": {}, "tools": []}

    assert [turn.at for turn in _read([item, {"role": "user", "content": "hi"}]).turns] == ["input[1]"]


@pytest.mark.parametrize("kind", ITEMS.refused)
def test_items_that_only_openai_can_read_are_refused_by_their_place(kind):
    """Without them the conversation would be another one."""
    assert _param([{"role": "user", "content": "hi"}, {"type": kind, "id": "x_1"}]) == "input[1]"


def test_a_reference_to_reasoning_is_left_out_and_any_other_refused():
    """A reference needs no type."""
    hi = {"role": "user", "content": "hi"}

    assert len(_read([{"type": "item_reference", "id": "rs_1"}, {"id": "rs_2"}, hi]).turns) == 1
    assert _param([hi, {"id": "msg_1"}]) == "input[1]"


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": 5}, "input[0].type"),
        ({"role": "poet", "content": "o"}, "input[0].role"),
        ({"type": "message", "content": "o"}, "input[0].role"),
        ({"role": "user"}, "input[0].content"),
        ({"role": "user", "content": 5}, "input[0].content"),
        ({"role": "user", "content": ["hi"]}, "input[0].content"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "input[0].content[0].type"),
        ({"role": "user", "content": [{"type": "input_text", "text": 5}]}, "input[0].content[0].text"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input[0].content[0].image_url"),
        ({"role": "user", "content": [{"type": "input_file"}]}, "input[0].content[0].file_data"),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "input[0].call_id"),
        ({"type": "function_call", "call_id": "c", "arguments": "{}"}, "input[0].name"),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}, "input[0].arguments"),
        ({"type": "function_call_output", "output": "x"}, "input[0].call_id"),
        ({"type": "function_call_output", "call_id": "c"}, "input[0].output"),
        ({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": {}}, "input[0].input"),
        ({"type": "shell_call", "call_id": "c", "action": "ls"}, "input[0].action"),
        ({"type": "reasoning", "summary": "hm"}, "input[0].summary"),
    ],
)
def test_a_broken_item_is_named(item, param):
    """By the path that the client knows."""
    assert _param([item]) == param


@pytest.mark.parametrize("given", [[], [SEARCH | {"type": "web_search_call"}], None, 5])
def test_a_request_without_anything_said_is_refused(given):
    """A model has nothing to answer."""
    assert _param(given, instructions="be kind") == "input"


def test_functions_are_carried_and_other_tools_left_out():
    """Whatever OpenAI's types are, and what comes after them."""
    others = [{"type": kind, "name": "x"} for kind in sorted(_types(ToolParam) - {"function"})]

    tools = _read(tools=[LOOK, *others, SEARCH, {"type": "x"}, WAIT], parallel_tool_calls=False).tools

    assert len(others) > 10
    assert tools == (
        Tool(name="look", schema={"type": "object"}, strict=True, at="tools[0]"),
        Tool(name="wait", description="sit still", at=f"tools[{len(others) + 3}]"),
    )


@pytest.mark.parametrize("kind", ["additional_tools", "tool_search_output"])
def test_tools_that_come_with_an_item_are_tools(kind):
    """An agent that searches for its tools brings them along with the conversation."""
    prompt = _read([{"role": "user", "content": "hi"}, {"type": kind, "role": "developer", "tools": [LOOK, SEARCH]}])

    assert [(tool.name, tool.at) for tool in prompt.tools] == [("look", "input[1].tools[0]")]
    assert len(prompt.turns) == 1


@pytest.mark.parametrize(
    ("given", "choice", "name", "tools"),
    [
        ("auto", "auto", "", ["look", "wait"]),
        ("none", "none", "", ["look", "wait"]),
        ("required", "required", "", ["look", "wait"]),
        ({"type": "function", "name": "wait"}, "tool", "wait", ["look", "wait"]),
        ({"type": "allowed_tools", "mode": "auto", "tools": [WAIT, SEARCH]}, "auto", "", ["wait"]),
        ({"type": "allowed_tools", "mode": "required", "tools": [WAIT]}, "required", "", ["wait"]),
        ({"type": "allowed_tools", "mode": "auto", "tools": [SEARCH]}, "", "", []),
    ],
)
def test_all_forms_of_a_choice_are_carried(given, choice, name, tools):
    """Of allowed tools only those are offered."""
    prompt = _read(tools=[LOOK, WAIT, SEARCH], tool_choice=given)

    assert (prompt.choice, prompt.choice_name) == (choice, name)
    assert [tool.name for tool in prompt.tools] == tools


def test_without_functions_nothing_is_said_of_tools():
    """Providers refuse a choice among none."""
    prompt = _read(tools=[SEARCH], tool_choice="auto", parallel_tool_calls=True)

    assert (prompt.tools, prompt.choice, prompt.parallel) == ((), "", None)


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": "any", "tools": [LOOK]},
        {"tool_choice": "required", "tools": [SEARCH]},
        {"tool_choice": "required"},
        {"tool_choice": {"type": "web_search_preview"}, "tools": [LOOK, SEARCH]},
        {"tool_choice": {"type": "custom", "name": "look"}, "tools": [LOOK]},
        {"tool_choice": {"type": "mcp", "server_label": "x"}, "tools": [LOOK]},
        {"tool_choice": {"type": "function", "name": "jump"}, "tools": [LOOK]},
        {"tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [SEARCH]}, "tools": [LOOK, SEARCH]},
    ],
)
def test_a_choice_of_what_is_not_there_is_refused(fields):
    """Nobody would call it."""
    assert _param(**fields) == "tool_choice"


@pytest.mark.parametrize(
    ("text", "format"),
    [
        (None, None),
        ({}, None),
        ({"verbosity": "low"}, None),
        ({"format": {"type": "text"}}, None),
        ({"format": {"type": "json_object"}}, Format()),
        (
            {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
            Format(schema={"type": "object"}, name="n", strict=True),
        ),
    ],
)
def test_the_shape_of_the_answer_is_carried(text, format):
    """JSON, JSON of a schema, or text."""
    assert _read(text=text).format == format


@pytest.mark.parametrize(
    ("reasoning", "thinking"),
    [
        (None, None),
        ({"effort": None, "summary": None}, None),
        ({"effort": "low"}, Thinking(effort="low")),
        ({"summary": "auto"}, Thinking(shown=True)),
        ({"effort": "xhigh", "generate_summary": "concise"}, Thinking(effort="xhigh", shown=True)),
    ],
)
def test_how_much_to_reason_is_carried(reasoning, thinking):
    """And whether it is to be seen."""
    assert _read(reasoning=reasoning).thinking == thinking


def test_the_other_fields_are_carried():
    """A prompt knows what its client calls them."""
    prompt = _read(max_output_tokens=9, temperature=0, top_p=0.5, safety_identifier="u")

    assert (prompt.max_tokens, prompt.temperature, prompt.top_p, prompt.user) == (9, 0, 0.5, "u")
    assert prompt.at["max_tokens"] == "max_output_tokens"
    assert _read(user="a", safety_identifier="u").user == "a"


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        *((name, {name: 3 if name == "top_logprobs" else "x_1"}) for name in FIELDS.refused),
        ("tools", {"tools": [5]}),
        ("tools[0].type", {"tools": [{}]}),
        ("tools[0].name", {"tools": [{"type": "function", "function": {"name": "look"}}]}),
        ("tools[0].parameters", {"tools": [{**LOOK, "parameters": "x"}]}),
        ("tools[0].strict", {"tools": [{**LOOK, "strict": "x"}]}),
        ("text.format.type", {"text": {"format": {"type": "grammar"}}}),
        ("text.format.schema", {"text": {"format": {"type": "json_schema", "name": "n"}}}),
        ("reasoning.effort", {"reasoning": {"effort": 5}}),
        ("max_output_tokens", {"max_output_tokens": "9"}),
        ("temperature", {"temperature": "hot"}),
    ],
)
def test_what_cannot_be_carried_is_refused_by_name(param, fields):
    """And so is what is broken."""
    assert _param(**fields) == param


def test_dropped_and_idle_fields_change_nothing():
    """They ask for nothing that another provider could do."""
    dropped = {name: {"x": 1} for name in FIELDS.dropped}
    idle = dict.fromkeys(FIELDS.refused) | {"top_logprobs": 0}

    assert _read(**dropped, **idle, x=1) == _read()


def test_each_field_of_openais_own_type_has_one_place_in_the_tables():
    """And each item of the input."""
    for table, known in (
        (FIELDS, ResponseCreateParamsNonStreaming.__annotations__.keys()),
        (ITEMS, _types(ResponseInputItemParam)),
    ):
        places = [*table.carried, *table.dropped, *table.refused]
        assert len(places) == len(set(places))
        assert known <= set(places)


def test_each_field_of_a_prompt_that_this_dialect_lacks_is_one():
    """The table names nothing that is not there."""
    assert {*LACKS.dropped, *LACKS.refused} <= set(Prompt.__struct_fields__)


_FIELDS = st.sampled_from(sorted({*FIELDS.carried, *FIELDS.dropped} - {"input"}))
_PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["input_text", "refusal", "input_image", "input_file"])},
    optional=dict.fromkeys(("text", "refusal", "image_url", "file_id", "file_data", "file_url", "filename"), JSON),
)
_ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(sorted({*ITEMS.carried, *ITEMS.dropped}))},
    optional={
        "role": st.sampled_from(["user", "assistant", "system"]),
        "content": JSON | st.lists(_PARTS, max_size=2),
        "output": JSON | st.lists(_PARTS, max_size=2),
        **dict.fromkeys(
            ("id", "call_id", "name", "arguments", "input", "action", "operation", "summary", "tools"), JSON
        ),
        **dict.fromkeys(("encrypted_content", "status"), JSON),
    },
)


@given(st.dictionaries(_FIELDS, JSON, max_size=3), JSON | st.lists(_ITEMS, max_size=3))
def test_whatever_json_a_client_sends_only_request_errors_come_of_it(fields, items):
    """On the way to a prompt and on to a request."""
    with suppress(RequestError):
        write(read({"input": items, **fields}), PLAIN)
