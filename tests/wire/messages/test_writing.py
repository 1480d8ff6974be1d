"""Prompts as Messages requests: shaped as Anthropic wants them, or refused by the client's own field."""

import base64
import copy

import pytest
from hypothesis import given
from tests.wire.asked import messages
from tests.wire.params import valid

from headrace.errors import RequestError
from headrace.model.dialect import MESSAGES, RESPONSES
from headrace.model.prompt import (
    Declined,
    Format,
    Media,
    Prompt,
    Thinking,
    Thought,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
    Words,
)
from headrace.wire.manner import PLAIN, Manner
from headrace.wire.messages.carried import LACKS
from headrace.wire.messages.reading import read
from headrace.wire.messages.writing import write
from headrace.wire.seal import Seal

HI = Turn(role="user", parts=(Words(text="hi"),))
USE = ToolUse(id="a", name="look", arguments='{"at":1}')
DONE = Turn(role="user", parts=(ToolResult(id="a"),))
TOOL = Tool(name="look", schema={"type": "object", "properties": {}})
BUDGETED = Manner(thinking="budget", max_tokens=8192)
OPEN = {"type": "object", "properties": {"x": {"type": "number"}}}


def _write(*turns, manner=PLAIN, **fields):
    return valid(write(Prompt(turns=turns or (HI,), **fields), manner), MESSAGES)


def _text(text):
    return {"type": "text", "text": text}


def _said(role, *parts):
    return Turn(role=role, parts=parts)


def _param(*turns, **fields):
    with pytest.raises(RequestError) as caught:
        _write(*turns, **fields)
    assert caught.value.status == 400
    return caught.value.param


def test_neighbours_of_one_side_are_one_message():
    call, other = USE, ToolUse(id="b", name="look", arguments="{}")
    turns = [HI, HI, _said("assistant", Words(text="well")), _said("assistant", call), _said("assistant", other), DONE]
    history = _write(*turns, _said("user", ToolResult(id="b")))["messages"]
    assert [message["role"] for message in history] == ["user", "assistant", "user"]
    assert [block["type"] for block in history[1]["content"]] == ["text", "tool_use", "tool_use"]
    assert [block["tool_use_id"] for block in history[2]["content"]] == ["a", "b"]


def test_results_come_first_right_after_their_calls():
    turns = [HI, _said("assistant", USE), HI, _said("system", Words(text="s")), DONE]
    history = _write(*turns)["messages"]
    assert [block["type"] for block in history[-1]["content"]] == ["tool_result", "text"]


@pytest.mark.parametrize("blank", ["", " \n"])
def test_blanks_alone_are_left_out_and_so_is_a_turn_of_them(blank):
    turns = [HI, _said("assistant", Words(text=blank)), _said("user", Words(text=blank), Words(text="x"))]
    body = _write(_said("system", Words(text=blank)), *turns)
    assert body["messages"] == [{"role": "user", "content": [_text("hi"), _text("x")]}]
    assert "system" not in body


def test_a_beginning_of_the_answer_stays_last_without_blanks_at_its_end():
    history = _write(HI, _said("assistant", Words(text="{ ")))["messages"]
    assert history[-1] == {"role": "assistant", "content": [_text("{")]}


def test_all_system_prompts_stand_at_the_top():
    system = _said("system", Words(text="a")), HI, _said("system", Words(text="b"))
    body = _write(*system)
    assert body["system"] == [_text("a"), _text("b")]
    assert body["messages"] == [{"role": "user", "content": [_text("hi")]}]


def test_a_system_prompt_alone_is_refused():
    assert _param(_said("system", Words(text="a")), at={"turns": "input"}) == "input"


def test_a_call_has_its_input_as_an_object():
    history = _write(HI, _said("assistant", USE), DONE)["messages"]
    assert history[1]["content"] == [{"type": "tool_use", "id": "a", "name": "look", "input": {"at": 1}}]


@pytest.mark.parametrize("arguments", ["", "[]", '{"a":', "NaN", "[" * 100, '"x"'])
def test_arguments_that_are_no_object_are_refused(arguments):
    assert _param(HI, _said("assistant", ToolUse(id="a", name="f", arguments=arguments, at="x[1]"))) == "x[1]"


def test_arguments_with_half_a_character_can_be_written():
    use = ToolUse(id="a", name="f", arguments='{"a":"\\ud83d"}')
    assert _write(HI, _said("assistant", use))["messages"][1]["content"][0]["input"] == {"a": "\ufffd"}


def test_ids_of_calls_and_results_change_alike():
    use = _said("assistant", ToolUse(id="functions.look:0", name="look", arguments="{}"))
    _, call, result = _write(HI, use, _said("user", ToolResult(id="functions.look:0")))["messages"]
    assert call["content"][0]["id"] == result["content"][0]["tool_use_id"] == "functions_look_0"


def test_a_result_has_its_content_and_whether_it_failed():
    image = Media(kind="image", media_type="image/jpg", data="AAAA")
    result = ToolResult(id="a", content=(Words(text="no"), Words(text=""), image), failed=True)
    source = {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}
    (block,) = _write(_said("user", result))["messages"][0]["content"]
    assert block == {
        "type": "tool_result",
        "tool_use_id": "a",
        "content": [_text("no"), {"type": "image", "source": source}],
        "is_error": True,
    }


def test_an_earlier_refusal_is_text():
    assert _write(HI, _said("assistant", Declined(text="no")), HI)["messages"][1]["content"] == [_text("no")]


@pytest.mark.parametrize(
    ("thought", "block"),
    [
        (
            Thought(text="hm", seal=str(Seal(MESSAGES, "sig"))),
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
        ),
        (Thought(seal=str(Seal(MESSAGES, "xyz", hidden=True))), {"type": "redacted_thinking", "data": "xyz"}),
        (Thought(text="hm", seal=str(Seal(RESPONSES, "enc"))), None),
        (Thought(text="hm"), None),
    ],
)
def test_only_its_own_models_thoughts_go_back(thought, block):
    content = _write(HI, _said("assistant", thought, USE), DONE)["messages"][1]["content"]
    assert content[:-1] == ([block] if block else [])


@pytest.mark.parametrize(
    ("media", "block"),
    [
        (
            Media(kind="image", url="https://example.org/a", detail="low"),
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a"}},
        ),
        (
            Media(kind="image", file_id="file_1"),
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        ),
        (
            Media(kind="file", media_type="application/pdf", data="AAAA", name="a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
                "title": "a.pdf",
            },
        ),
        (
            Media(kind="file", media_type="text/markdown", data=base64.b64encode("naïve".encode()).decode()),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "naïve"}},
        ),
        (
            Media(kind="file", url="https://example.org/a.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
        ),
        (Media(kind="file", file_id="f"), {"type": "document", "source": {"type": "file", "file_id": "f"}}),
    ],
)
def test_media_is_a_block(media, block):
    assert _write(_said("user", media))["messages"][0]["content"] == [block]


@pytest.mark.parametrize(
    "media",
    [
        Media(kind="audio", media_type="audio/wav", data="AAAA", at="x"),
        Media(kind="image", media_type="image/svg+xml", data="AAAA", at="x"),
        Media(kind="file", media_type="application/zip", data="AAAA", at="x"),
        Media(kind="file", data="AAAA", at="x"),
        Media(kind="file", media_type="text/plain", data="/w==", at="x"),
    ],
)
def test_media_without_a_place_is_refused_by_its_path(media):
    assert _param(_said("user", media)) == "x"


def test_a_model_says_no_media():
    assert _param(HI, _said("assistant", Media(kind="image", url="https://example.org", at="x"))) == "x"


def test_the_limit_is_always_said():
    assert _write()["max_tokens"] == PLAIN.max_tokens
    assert _write(max_tokens=5)["max_tokens"] == 5


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ({"temperature": 1.7}, {"temperature": 1.0}),
        ({"temperature": 0.0, "top_p": 0.5}, {"temperature": 0.0}),
        ({"top_p": 0.5, "top_k": 3}, {"top_p": 0.5, "top_k": 3}),
    ],
)
def test_sampling(said, written):
    def sampled(**fields):
        body = _write(**said, **fields)
        return {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body}

    assert sampled() == sampled(thinking=Thinking(effort="none")) == written
    assert sampled(manner=Manner(sampling=False)) == sampled(thinking=Thinking(effort="low")) == {}


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        (Thinking(), {"thinking": {"type": "adaptive"}}),
        (Thinking(shown=True), {"thinking": {"type": "adaptive", "display": "summarized"}}),
        (Thinking(effort="none"), {"thinking": {"type": "disabled"}}),
        (Thinking(budget=0), {"thinking": {"type": "disabled"}}),
        (Thinking(effort="minimal"), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        (Thinking(effort="xhigh"), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}),
        (Thinking(budget=4096), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
    ],
)
def test_newer_models_think_by_effort(thinking, expected):
    assert _write(thinking=thinking) == _write() | expected
    assert _write(thinking=thinking, manner=Manner(thinking="")) == _write()


@pytest.mark.parametrize(
    ("thinking", "limit", "expected"),
    [
        (Thinking(effort="high"), None, (8192 + 16_384, 16_384)),
        (Thinking(effort="high"), 100_000, (100_000, 16_384)),
        (Thinking(effort="high"), 4000, (4000, 3000)),
        (Thinking(budget=5000), None, (8192 + 5000, 5000)),
        (Thinking(effort="low"), 1200, (1200, None)),
        (Thinking(effort="low"), 10, (10, None)),
        (Thinking(budget=10), None, (8192, None)),
    ],
)
def test_older_models_think_by_a_budget_below_the_limit(thinking, limit, expected):
    body = _write(thinking=thinking, max_tokens=limit, manner=BUDGETED)
    assert (body["max_tokens"], body.get("thinking", {}).get("budget_tokens")) == expected
    assert "output_config" not in body


def test_a_model_that_must_call_a_tool_does_not_think():
    for manner in (PLAIN, BUDGETED):
        assert "thinking" not in _write(
            thinking=Thinking(effort="low"), tools=(TOOL,), choice="required", manner=manner
        )


def test_an_older_model_does_not_think_on_after_calls_without_their_thoughts():
    sealed = Thought(text="hm", seal=str(Seal(MESSAGES, "sig")))
    thinking = {"thinking": Thinking(effort="low"), "manner": BUDGETED}
    assert "thinking" not in _write(HI, _said("assistant", USE), DONE, **thinking)
    assert "thinking" in _write(HI, _said("assistant", sealed, USE), DONE, **thinking)
    assert "thinking" in _write(HI, _said("assistant", USE), DONE, _said("assistant", Words(text="x")), HI, **thinking)
    assert "thinking" in _write(HI, **thinking)


def test_a_schema_of_the_answer_is_closed_and_stands_beside_the_effort():
    body = _write(format=Format(schema=OPEN, name="p", strict=True), thinking=Thinking(effort="low"))
    schema = OPEN | {"additionalProperties": False}
    assert body["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": schema}}


def test_json_without_a_schema_is_asked_for_in_words():
    body = _write(_said("system", Words(text="a")), HI, format=Format())
    assert body["system"][0] == _text("a")
    assert "JSON" in body["system"][1]["text"]
    assert "output_config" not in body


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        ("", None, None),
        ("", True, None),
        ("", False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", None, {"type": "auto"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
        ("tool", None, {"type": "tool", "name": "look"}),
    ],
)
def test_each_choice_of_a_tool(choice, parallel, expected):
    name = "look" if choice == "tool" else ""
    body = _write(tools=(TOOL,), choice=choice, choice_name=name, parallel=parallel)
    assert body.get("tool_choice") == expected
    assert _write(choice=choice, choice_name=name, parallel=parallel).keys() == {"messages", "max_tokens"}


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (Tool(name="f"), {"name": "f", "input_schema": {"type": "object", "properties": {}}}),
        (
            Tool(name="f", description="F.", schema={"properties": {"x": {}}}, strict=True),
            {
                "name": "f",
                "description": "F.",
                "input_schema": {"type": "object", "properties": {"x": {}}},
                "strict": True,
            },
        ),
        (Tool(name="f", schema=OPEN, strict=False), {"name": "f", "input_schema": OPEN}),
    ],
)
def test_a_tool_has_a_schema_of_an_object(tool, expected):
    assert _write(tools=(tool,))["tools"] == [expected]


def test_stop_sequences_and_the_end_user():
    body = _write(stop=("x", "END"), user="u")
    assert (body["stop_sequences"], body["metadata"]) == (["x", "END"], {"user_id": "u"})


def test_a_stop_of_blanks_is_refused_by_the_clients_name():
    assert _param(stop=("\n",), at={"stop": "stop"}) == "stop"


def test_what_anthropic_lacks_is_left_out():
    assert LACKS.refused == {}
    assert _write(**dict.fromkeys(LACKS.dropped, 1)) == _write()


@given(messages())
def test_read_and_written_again_a_request_says_the_same(body):
    expected = copy.deepcopy(body)
    for message in expected["messages"]:
        for block in message["content"]:
            if block["type"] == "tool_result":
                block["content"] = [_text(block["content"])]
    if isinstance(body.get("system"), str):
        expected["system"] = [_text(body["system"])]
    del expected["model"]
    assert valid(write(read(body), PLAIN), MESSAGES) == expected
