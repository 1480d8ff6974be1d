"""UI messages as a prompt: what a model is asked, and what only the page needs."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import RequestError
from headrace.model.dialect import MESSAGES
from headrace.model.prompt import Format, Media, Thinking, Thought, Tool, ToolResult, ToolUse, Words
from headrace.wire.seal import Seal
from headrace.wire.ui.carried import FIELDS, PARTS
from headrace.wire.ui.reading import read

HI = {"type": "text", "text": "hi"}


def message(*parts: Any, role: str = "user"):
    return {"id": "m", "role": role, "parts": list(parts)}


def prompt(*messages: Any, **fields: Any):
    return read({"id": "chat", "messages": list(messages or [message(HI)]), **fields})


def turns(*messages: Any, **fields: Any):
    """The turns without the places, which a test of their own looks at."""
    return [(turn.role, [bare(part) for part in turn.parts]) for turn in prompt(*messages, **fields).turns]


def bare(part: Any):
    return type(part)(**{name: getattr(part, name) for name in part.__struct_fields__ if name != "at"})


def tool(state: str, **fields: Any):
    return {"type": "tool-f", "toolCallId": "c1", "state": state, "input": {"a": 1}, **fields}


def test_text_of_all_three_roles():
    given = [message(HI, role="system"), message(HI, {"type": "text", "text": ""}), message(HI, role="assistant")]
    hi = [Words(text="hi")]
    assert turns(*given, system="be") == [
        ("system", [Words(text="be")]),
        ("system", hi),
        ("user", hi),
        ("assistant", hi),
    ]


@pytest.mark.parametrize(
    ("part", "media"),
    [
        (
            {"mediaType": "image/png", "url": "data:image/png;base64,AAAA"},
            Media(kind="image", media_type="image/png", data="AAAA"),
        ),
        (
            {"mediaType": "image/*", "url": "data:image/webp;base64,AAAA"},
            Media(kind="image", media_type="image/webp", data="AAAA"),
        ),
        (
            {"mediaType": "image", "url": "HTTPS://x.example/a.png"},
            Media(kind="image", url="HTTPS://x.example/a.png"),
        ),
        (
            {"mediaType": "audio/wav", "url": "data:audio/wav;base64,AAAA"},
            Media(kind="audio", media_type="audio/wav", data="AAAA"),
        ),
        (
            {"mediaType": "application/pdf", "url": "http://x.example/a", "filename": "a.pdf"},
            Media(kind="file", media_type="application/pdf", url="http://x.example/a", name="a.pdf"),
        ),
        (
            {"mediaType": "text/plain", "url": "data:text/plain,h%C3%BC"},
            Media(kind="file", media_type="text/plain", data="aMO8"),
        ),
    ],
)
def test_files_are_images_sounds_or_files(part, media):
    assert turns(message({"type": "file", **part})) == [("user", [media])]


def test_reasoning_keeps_our_seal_and_no_others():
    seal = str(Seal(MESSAGES, "sig"))
    given = message(
        {"type": "reasoning", "text": "hm", "providerMetadata": {"headrace": {"seal": seal}}},
        {"type": "reasoning", "text": "ha", "providerMetadata": {"anthropic": {"signature": "theirs"}}},
        {"type": "reasoning", "text": "", "providerMetadata": {"headrace": {"seal": seal}}},
        {"type": "reasoning", "text": ""},
        role="assistant",
    )
    assert turns(message(HI), given)[1:] == [
        ("assistant", [Thought(text="hm", seal=seal), Thought(text="ha"), Thought(seal=seal)])
    ]


@pytest.mark.parametrize(
    ("part", "arguments", "result"),
    [
        (tool("output-available", output="sunny"), '{"a":1}', ToolResult(id="c1", content=(Words(text="sunny"),))),
        (tool("output-available", output={"t": 1}), '{"a":1}', ToolResult(id="c1", content=(Words(text='{"t":1}'),))),
        (tool("output-available", output=""), '{"a":1}', ToolResult(id="c1")),
        (tool("output-available"), '{"a":1}', ToolResult(id="c1", content=(Words(text="null"),))),
        (
            tool("output-error", errorText="no", input=None),
            "{}",
            ToolResult(id="c1", content=(Words(text="no"),), failed=True),
        ),
        (
            tool("output-error", errorText="no", input=None, rawInput="{"),
            '{"input":"{"}',
            ToolResult(id="c1", content=(Words(text="no"),), failed=True),
        ),
        (
            tool("output-denied", approval={"id": "x", "approved": False, "reason": "why"}),
            '{"a":1}',
            ToolResult(id="c1", content=(Words(text="why"),), failed=True),
        ),
        (
            tool("approval-responded", approval={"id": "x", "approved": False}),
            '{"a":1}',
            ToolResult(id="c1", content=(Words(text="The call was not allowed."),), failed=True),
        ),
    ],
)
def test_a_call_and_what_came_of_it(part, arguments, result):
    expected = [("assistant", [ToolUse(id="c1", name="f", arguments=arguments)]), ("user", [result])]
    assert turns(message(HI), message(part, role="assistant"))[1:] == expected
    dynamic = {**part, "type": "dynamic-tool", "toolName": "f"}
    assert turns(message(HI), message(dynamic, role="assistant"))[1:] == expected


@pytest.mark.parametrize(
    "part",
    [
        tool("input-streaming"),
        tool("input-available"),
        tool("approval-requested", approval={"id": "x"}),
        tool("approval-responded", approval={"id": "x", "approved": True}),
        tool("new state"),
        {"type": "source-url", "sourceId": "1", "url": "https://x.example"},
        {"type": "source-document", "sourceId": "1"},
        {"type": "data-weather", "data": {"t": 1}},
        {"type": "custom", "kind": "x.y"},
        {"type": "reasoning-file", "url": "https://x.example", "mediaType": "image/png"},
        {"type": "not known yet"},
    ],
    ids=lambda part: part["type"] if part["type"] != "tool-f" else part["state"],
)
def test_what_no_model_reads_is_left_out(part):
    """A call without a result, too: a provider takes no request with one."""
    assert turns(message(HI), message(part, role="assistant")) == turns()


def test_the_parts_that_are_carried_and_dropped_are_those_of_the_docs():
    """A part that is dropped is so whatever it holds; one that is carried is refused where it holds nothing."""
    for kind in PARTS.dropped:
        assert turns(message(HI, {"type": kind})) == turns()
    for kind in {*PARTS.carried} - {"text", "reasoning", "step-start"}:
        with pytest.raises(RequestError):
            turns(message({"type": kind, "parts": 1}))


def test_results_follow_the_calls_of_their_step():
    """Two calls at once are one turn and one turn of results; the next step is another turn."""
    given = message(
        {"type": "step-start"},
        HI,
        tool("output-available", output="1"),
        tool("output-available", output="2", toolCallId="c2"),
        {"type": "step-start"},
        {"type": "steering-message", "id": "s", "parts": [{"type": "text", "text": "wait"}]},
        HI,
        role="assistant",
    )
    assert [(role, [type(part).__name__ for part in parts]) for role, parts in turns(message(HI), given)] == [
        ("user", ["Words"]),
        ("assistant", ["Words", "ToolUse", "ToolUse"]),
        ("user", ["ToolResult", "ToolResult"]),
        ("user", ["Words"]),
        ("assistant", ["Words"]),
    ]


def test_settings_have_the_sdks_names():
    asked = prompt(
        tools={"f": {"description": "does f", "inputSchema": {"type": "object"}, "strict": True}},
        toolChoice={"type": "tool", "toolName": "f"},
        responseFormat={"type": "json", "schema": {"type": "object"}, "name": "n", "description": "d"},
        reasoning="high",
        maxOutputTokens=7,
        temperature=0.5,
        topP=0.9,
        topK=40,
        stopSequences=["\n"],
        seed=1,
        presencePenalty=0.1,
        frequencyPenalty=-0.1,
    )
    assert asked.tools == (Tool(name="f", description="does f", schema={"type": "object"}, strict=True, at="tools.f"),)
    assert (asked.choice, asked.choice_name) == ("tool", "f")
    assert asked.format == Format(schema={"type": "object"}, name="n", description="d")
    assert asked.thinking == Thinking(effort="high", shown=True)
    assert (asked.max_tokens, asked.temperature, asked.top_p, asked.top_k) == (7, 0.5, 0.9, 40)
    assert (asked.stop, asked.seed, asked.presence_penalty, asked.frequency_penalty) == (("\n",), 1, 0.1, -0.1)


def test_tools_as_a_list_and_by_another_name_for_their_schema():
    listed = prompt(tools=[{"name": "f", "parameters": {"type": "object"}}]).tools
    assert listed == (Tool(name="f", schema={"type": "object"}, at="tools[0]"),)


@pytest.mark.parametrize(
    ("choice", "read_as"), [("auto", "auto"), ("none", "none"), ({"type": "required"}, "required"), (None, "")]
)
def test_tool_choices(choice, read_as):
    assert prompt(toolChoice=choice).choice == read_as


def test_what_was_not_said_is_no_default():
    asked = prompt(reasoning="provider-default", responseFormat={"type": "text"}, temperature=None, webSearch=True)
    assert (asked.thinking, asked.format, asked.temperature, asked.choice, asked.tools) == (None, None, None, "", ())


def test_every_value_knows_its_place_in_the_request():
    asked = prompt(message(HI), message(HI, tool("output-available", output="x"), role="assistant"))
    assert [[part.at for part in turn.parts] for turn in asked.turns] == [
        ["messages[0].parts[0]"],
        ["messages[1].parts[0]", "messages[1].parts[1]"],
        ["messages[1].parts[1]"],
    ]
    assert {name.partition(".")[0] for name in asked.at.values()} == {*FIELDS.carried} - {"messages", "system", "model"}


FILE = {"type": "file", "mediaType": "image/png"}


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ([message(HI, role="system")], "messages"),
        ([message(tool("input-available"), role="assistant")], "messages"),
        (["hi"], "messages"),
        ([{"role": "user", "parts": "hi"}], "messages[0].parts"),
        ([message(HI, role="tool")], "messages[0].role"),
        ([message({"text": "hi"})], "messages[0].parts[0].type"),
        ([message({"type": "text", "text": 1})], "messages[0].parts[0].text"),
        ([message(FILE)], "messages[0].parts[0].url"),
        ([message({**FILE, "url": "blob:http://x"})], "messages[0].parts[0].url"),
        ([message({**FILE, "url": "file:///etc/passwd"})], "messages[0].parts[0].url"),
        ([message({**FILE, "url": "data:nothing"})], "messages[0].parts[0].url"),
        (
            [message({**FILE, "url": "https://x", "providerReference": {"openai": "file-1"}})],
            "messages[0].parts[0].providerReference",
        ),
        ([message({"type": "tool-f", "state": "output-available"})], "messages[0].parts[0].toolCallId"),
        ([message({"type": "dynamic-tool"})], "messages[0].parts[0].toolName"),
        ([message({"type": "reasoning", "text": "", "providerMetadata": 1})], "messages[0].parts[0].providerMetadata"),
    ],
)
def test_a_message_that_is_wrong_is_named(messages, param):
    with pytest.raises(RequestError) as caught:
        read({"messages": messages})
    assert (caught.value.param, caught.value.status) == (param, 400)


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("system", 1, "system"),
        ("tools", {"f": 1}, "tools.f"),
        ("tools", {"f": {"inputSchema": "x"}}, "tools.f.inputSchema"),
        ("tools", [{}], "tools[0].name"),
        ("tools", "f", "tools"),
        ("toolChoice", "maybe", "toolChoice"),
        ("toolChoice", {"type": "tool"}, "toolChoice.toolName"),
        ("responseFormat", {"type": "xml"}, "responseFormat.type"),
        ("responseFormat", {"type": "json", "schema": 1}, "responseFormat.schema"),
        ("reasoning", "a lot", "reasoning"),
        ("maxOutputTokens", 0, "maxOutputTokens"),
        ("temperature", "hot", "temperature"),
        ("stopSequences", [1], "stopSequences"),
    ],
)
def test_a_setting_that_is_wrong_is_named(field, value, param):
    with pytest.raises(RequestError) as caught:
        prompt(**{field: value})
    assert caught.value.param == param


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["text", "tool-f", "file"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "state", "input", "output", "parts", "role", "url", "approval"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*FIELDS.carried]), values))
def test_whatever_is_sent_is_read_or_refused(body):
    with suppress(RequestError):
        read(body)


@given(values)
def test_whatever_a_part_holds_is_read_or_refused(part):
    with suppress(RequestError):
        prompt(message(HI), message(part, role="assistant"))
