"""Prompts as Responses requests: as OpenAI wants them, or refused by the client's own field."""

import json

import pytest
from hypothesis import given
from tests.wire.asked import chats, messages
from tests.wire.params import valid

from headrace.errors import RequestError
from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
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
from headrace.wire.conversion import READERS
from headrace.wire.manner import PLAIN, Manner
from headrace.wire.responses.carried import LACKS
from headrace.wire.responses.reading import read
from headrace.wire.responses.writing import write
from headrace.wire.seal import Seal

HI = Turn(role="user", parts=(Words(text="hi"),))
WELL = Turn(role="assistant", parts=(Words(text="well"),))
HI_ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
WELL_ITEM = {"type": "message", "role": "assistant", "content": "well"}
LOOK = Tool(name="look", description="see", schema={"type": "object", "properties": {"at": {"type": "number"}}})
POINT = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"], "additionalProperties": False}
SEALED = ["reasoning.encrypted_content"]


def _write(*turns, manner=PLAIN, **fields):
    return valid(write(Prompt(turns=turns or (HI,), **fields), manner), RESPONSES)


def _content(part):
    (item,) = _write(Turn(role="user", parts=(part,)))["input"]
    return item["content"]


def _thought(seal, text=""):
    return Turn(role="assistant", parts=(Thought(text=text, seal=str(seal)),))


def test_a_plain_prompt_asks_for_nothing_else():
    """And nothing is to be stored: nobody asked for that."""
    assert _write() == {"input": [HI_ITEM], "store": False}


def test_system_prompts_in_front_are_the_instructions():
    """Later ones keep their place."""
    be_kind, be_brief = (Turn(role="system", parts=(Words(text=text),)) for text in ("be kind", "be brief"))

    body = _write(be_kind, be_brief, HI, be_kind)

    assert body["instructions"] == "be kind\n\nbe brief"
    later = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "be kind"}]}
    assert body["input"] == [HI_ITEM, later]


def test_a_system_prompt_alone_is_the_input():
    """Without any input there is no answer."""
    body = _write(Turn(role="system", parts=(Words(text="say hi"),)))

    assert "instructions" not in body
    assert [item["role"] for item in body["input"]] == ["system"]


def test_calls_and_results_are_items_of_their_own_in_their_order():
    """What stands between them makes messages."""
    use = ToolUse(id="c1", name="look", arguments='{"at": ')
    said = Turn(role="assistant", parts=(Words(text="a"), Words(text="b"), use, Declined(text="no")))
    result = Turn(
        role="user", parts=(ToolResult(id="c1", content=(Words(text="4"), Words(text="2"))), Words(text="hi"))
    )

    assert _write(HI, said, result)["input"] == [
        HI_ITEM,
        {"type": "message", "role": "assistant", "content": "ab"},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": '},
        {"type": "message", "role": "assistant", "content": "no"},
        {"type": "function_call_output", "call_id": "c1", "output": "4\n2"},
        HI_ITEM,
    ]


@pytest.mark.parametrize(
    ("result", "output"),
    [
        (ToolResult(id="c"), ""),
        (ToolResult(id="c", content=(Words(text="no"),), failed=True), "Error: no"),
        (
            ToolResult(id="c", content=(Words(text="see"), Media(kind="image", url="https://a.example/b"))),
            [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "detail": "auto", "image_url": "https://a.example/b"},
            ],
        ),
        (
            ToolResult(id="c", content=(Media(kind="file", file_id="file-1"),), failed=True),
            [{"type": "input_text", "text": "Error:"}, {"type": "input_file", "file_id": "file-1"}],
        ),
    ],
)
def test_a_result_is_a_text_or_a_list_where_more_is_in_it(result, output):
    """A failure is said in it."""
    (item,) = _write(Turn(role="user", parts=(result,)))["input"]

    assert item == {"type": "function_call_output", "call_id": "c", "output": output}


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (
            Media(kind="image", media_type="image/png", data="AAAA", detail="low"),
            {"type": "input_image", "detail": "low", "image_url": "data:image/png;base64,AAAA"},
        ),
        (Media(kind="image", file_id="file-1"), {"type": "input_image", "detail": "auto", "file_id": "file-1"}),
        (Media(kind="file", url="https://a.example/b"), {"type": "input_file", "file_url": "https://a.example/b"}),
        (
            Media(kind="file", media_type="application/pdf", data="AAAA"),
            {"type": "input_file", "filename": "file.pdf", "file_data": "data:application/pdf;base64,AAAA"},
        ),
        (
            Media(kind="file", media_type="text/plain", data="AAAA", name="a.txt"),
            {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,AAAA"},
        ),
    ],
)
def test_images_and_files_are_parts(media, part):
    """By URL, by id or as data; data has a name."""
    assert _content(media) == [part]


@pytest.mark.parametrize(
    ("turn", "param"),
    [
        (
            Turn(role="user", parts=(Media(kind="audio", media_type="audio/wav", data="AA", at="m[0].c[1]"),)),
            "m[0].c[1]",
        ),
        (Turn(role="assistant", parts=(Media(kind="image", url="x", at="m[1].c[0]"),)), "m[1].c[0]"),
    ],
)
def test_what_has_no_place_is_refused_where_the_client_said_it(turn, param):
    """Sound, and images from a model."""
    with pytest.raises(RequestError) as caught:
        _write(turn)
    assert caught.value.param == param


def test_sealed_reasoning_goes_back_to_its_provider():
    """With its own id, where it has one; and more of it is asked for."""
    body = _write(HI, _thought(Seal(RESPONSES, "x", "rs_1"), "hm"), _thought(Seal(RESPONSES, "y", "rs_2")), WELL)

    assert body["input"][1:3] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "x",
        },
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "y"},
    ]
    assert body["include"] == SEALED


@pytest.mark.parametrize("seal", ["", Seal(MESSAGES, "sig"), Seal(RESPONSES, "")])
def test_reasoning_of_others_is_left_out(seal):
    """It means nothing to this one."""
    body = _write(HI, _thought(seal, "hm"), WELL)

    assert body == {"input": [HI_ITEM, WELL_ITEM], "store": False}


@pytest.mark.parametrize("after", [[], [HI], [Turn(role="user", parts=(ToolResult(id="c"),))]])
def test_reasoning_that_led_to_nothing_is_left_out(after):
    """OpenAI refuses it; an answer that was stopped may end with it."""
    thought = _thought(Seal(RESPONSES, "x"))

    kinds = [item["type"] for item in _write(HI, thought, thought, *after)["input"]]

    assert "reasoning" not in kinds
    assert len(kinds) == 1 + len(after)


def test_functions_are_strict_only_where_that_is_said():
    """This dialect would take silence for yes."""
    tools = [LOOK, Tool(name="wait"), Tool(name="sit", schema=POINT, strict=True)]

    written = _write(tools=tools)["tools"]

    assert [tool["strict"] for tool in written] == [False, False, True]
    assert written[0] == {
        "type": "function",
        "name": "look",
        "description": "see",
        "parameters": LOOK.schema,
        "strict": False,
    }
    assert written[1]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("choice", "name", "written"),
    [
        ("auto", "", "auto"),
        ("none", "", "none"),
        ("required", "", "required"),
        ("tool", "look", {"type": "function", "name": "look"}),
    ],
)
def test_a_choice_is_written_beside_its_tools(choice, name, written):
    """Without tools nothing is said of them."""
    said = {"choice": choice, "choice_name": name, "parallel": False}

    assert {"tool_choice": written, "parallel_tool_calls": False}.items() <= _write(tools=[LOOK], **said).items()
    assert _write(**said) == _write()


@pytest.mark.parametrize(
    ("format", "written"),
    [
        (Format(), {"type": "json_object"}),
        (Format(schema=POINT), {"type": "json_schema", "name": "answer", "schema": POINT, "strict": True}),
        (
            Format(schema={"type": "object"}, name="n", description="d"),
            {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": False, "description": "d"},
        ),
        (
            Format(schema=POINT, name="n", strict=False),
            {"type": "json_schema", "name": "n", "schema": POINT, "strict": False},
        ),
    ],
)
def test_the_shape_of_the_answer_is_written(format, written):
    """Strict where the schema allows it and nobody says otherwise."""
    assert _write(format=format)["text"] == {"format": written}


@pytest.mark.parametrize(
    ("thinking", "reasoning", "include"),
    [
        (Thinking(), None, None),
        (Thinking(effort="low"), {"effort": "low"}, None),
        (Thinking(effort="none", shown=True), {"effort": "none", "summary": "auto"}, None),
        (Thinking(budget=2000), {"effort": "low"}, None),
        (Thinking(shown=True), {"summary": "auto"}, SEALED),
        (Thinking(effort="high", shown=True), {"effort": "high", "summary": "auto"}, SEALED),
    ],
)
def test_reasoning_is_asked_for_with_its_seal_where_it_is_shown(thinking, reasoning, include):
    """A client that sees none of it could hand none back; models that do not reason refuse both."""
    body = _write(thinking=thinking)

    assert (body.get("reasoning"), body.get("include")) == (reasoning, include)
    assert _write(thinking=thinking, manner=Manner(thinking="")) == _write()


def test_the_other_fields_are_written():
    """Sampling only where it is taken."""
    fields = {"temperature": 0, "top_p": 0.5, "max_tokens": 100, "user": "u", "top_k": 4, "seed": 1}

    said = {"max_output_tokens": 100, "user": "u"}
    assert _write(**fields) == {**_write(), **said, "temperature": 0, "top_p": 0.5}
    assert _write(**fields, manner=Manner(sampling=False)) == {**_write(), **said}


def test_a_limit_is_never_below_the_least_that_is_taken():
    """Agents ask for one token to see whether anybody is there."""
    assert [_write(max_tokens=n)["max_output_tokens"] for n in (1, 16, 17)] == [16, 16, 17]


@pytest.mark.parametrize("name", LACKS.refused)
def test_what_this_dialect_lacks_is_refused_under_the_clients_name(name):
    """Stop sequences would change the answer."""
    with pytest.raises(RequestError) as caught:
        _write(**{name: ("x",)}, at={name: "stop_sequences"})
    assert caught.value.param == "stop_sequences"


@given(chats())
def test_any_chat_is_a_valid_request_with_all_its_texts(body):
    """And reads as the same conversation."""
    _check_all_said(body, CHAT)


@given(messages())
def test_any_messages_are_a_valid_request_with_all_their_texts(body):
    """And read as the same conversation."""
    _check_all_said(body, MESSAGES)


def _check_all_said(body, dialect):
    prompt = READERS[dialect](body)
    again = read(valid(write(prompt, PLAIN), RESPONSES))
    assert _said(again) == _said(prompt)


def _said(prompt):
    """What is said in a prompt, in order: without reasoning, and with texts that may be joined run together."""
    said = []
    for turn in prompt.turns:
        for part in turn.parts:
            if isinstance(part, Words | Declined):
                joins = turn.role != "user" and said and said[-1][0] == turn.role
                said.append((turn.role, (said.pop()[1] if joins else "") + part.text.replace("\n", "")))
            elif isinstance(part, ToolUse):
                said.append((part.id, part.name, json.loads(part.arguments)))
            elif isinstance(part, ToolResult):
                said.append((part.id, "".join(each.text for each in part.content)))
            elif isinstance(part, Media):
                said.append((part.url, part.data, part.media_type))
    return said
