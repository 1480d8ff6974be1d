"""Prompts as OpenAI chat requests: shaped as OpenAI wants them, or refused by the client's own field."""

import base64

import pytest
from hypothesis import given
from tests.wire.asked import chats
from tests.wire.params import valid

from headrace.errors import RequestError
from headrace.model.dialect import CHAT
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
from headrace.wire.chat.carried import LACKS
from headrace.wire.chat.reading import read
from headrace.wire.chat.writing import MAX_USER, write
from headrace.wire.manner import PLAIN, Manner

HI = Turn(role="user", parts=(Words(text="hi"),))
POINT = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"], "additionalProperties": False}
PDF = Media(kind="file", media_type="application/pdf", data="AAAA")


def _write(*turns, manner=PLAIN, **fields):
    return valid(write(Prompt(turns=turns or (HI,), **fields), manner), CHAT)


def _user(*parts):
    return _write(Turn(role="user", parts=parts))["messages"]


def test_text_alone_is_one_text_which_every_server_takes():
    assert _user(Words(text="a"), Words(text="b")) == [{"role": "user", "content": "a\n\nb"}]


def test_what_a_model_says_is_one_message_with_all_its_calls():
    calls = [ToolUse(id=id, name="look", arguments="{}") for id in "ab"]
    turns = [Turn(role="assistant", parts=(part,)) for part in (Thought(text="hm"), Words(text="well"), *calls)]
    results = [Turn(role="user", parts=(ToolResult(id=id, content=(Words(text="42"),)),)) for id in "ab"]
    *_, said, first, second = _write(HI, *turns, *results)["messages"]
    assert said["content"] == "well"
    assert [call["id"] for call in said["tool_calls"]] == ["a", "b"]
    assert [first, second] == [{"role": "tool", "tool_call_id": id, "content": "42"} for id in "ab"]


def test_a_call_without_words_has_no_content():
    said = _write(HI, Turn(role="assistant", parts=(ToolUse(id="a", name="f", arguments='{"b":'),)))["messages"][1]
    assert said["content"] is None
    assert said["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"b":'}


def test_a_turn_of_thoughts_alone_is_left_out():
    assert len(_write(HI, Turn(role="assistant", parts=(Thought(text="hm"),)))["messages"]) == 1


def test_a_refusal_is_one():
    assert _write(HI, Turn(role="assistant", parts=(Declined(text="no"),)))["messages"][1]["refusal"] == "no"


def test_results_come_before_what_the_user_says_with_them():
    messages = _user(Words(text="go on"), ToolResult(id="a", content=(Words(text="x"), Words(text="y"))))
    assert messages == [
        {"role": "tool", "tool_call_id": "a", "content": "x\ny"},
        {"role": "user", "content": "go on"},
    ]


def test_a_failed_result_says_so():
    assert _user(ToolResult(id="a", content=(Words(text="no"),), failed=True))[0]["content"] == "Error: no"


def test_images_in_results_follow_all_results():
    image = Media(kind="image", media_type="image/png", data="AAAA")
    first, second, shown = _user(ToolResult(id="a", content=(image,)), ToolResult(id="b"))
    assert (first["tool_call_id"], second) == ("a", {"role": "tool", "tool_call_id": "b", "content": ""})
    assert first["content"]
    assert shown["content"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (
            Media(kind="image", url="https://example.org/a", detail="high"),
            {"type": "image_url", "image_url": {"url": "https://example.org/a", "detail": "high"}},
        ),
        (
            Media(kind="audio", media_type="audio/x-wav", data="AAAA"),
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ),
        (PDF, {"type": "file", "file": {"filename": "file", "file_data": "data:application/pdf;base64,AAAA"}}),
        (Media(kind="file", file_id="file-1"), {"type": "file", "file": {"file_id": "file-1"}}),
    ],
)
def test_media_is_a_part(media, expected):
    assert _user(media) == [{"role": "user", "content": [expected]}]


def test_a_file_of_text_is_text_which_every_server_takes():
    data = base64.encodebytes("naïve".encode()).decode()
    assert _user(Media(kind="file", media_type="text/plain", data=data, name="a.txt"))[0]["content"] == "a.txt\n\nnaïve"


@pytest.mark.parametrize(
    "part",
    [
        Media(kind="image", file_id="file-1", at="x[0]"),
        Media(kind="audio", media_type="audio/flac", data="AAAA", at="x[0]"),
        Media(kind="audio", url="https://example.org/a.mp3", at="x[0]"),
        Media(kind="file", url="https://example.org/a.pdf", at="x[0]"),
        Media(kind="file", media_type="text/plain", data="/w==", at="x[0]"),
    ],
)
def test_media_without_a_place_is_refused_by_its_path(part):
    with pytest.raises(RequestError) as caught:
        _user(part)
    assert caught.value.param == "x[0]"


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_media_has_no_place_where_only_text_stands(role):
    with pytest.raises(RequestError) as caught:
        _write(HI, Turn(role=role, parts=(Media(kind="image", url="https://example.org", at="x[0]"),)))
    assert caught.value.param == "x[0]"


def test_system_prompts_stay_where_they_are():
    system = Turn(role="system", parts=(Words(text="a"), Words(text="b")))
    assert [each["role"] for each in _write(system, HI, system)["messages"]] == ["system", "user", "system"]
    assert _write(system, HI)["messages"][0]["content"] == "a\n\nb"


TOOL = Tool(name="look", description="Look.", schema={"type": "object"}, strict=False)


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_tools_and_their_choice(choice):
    body = _write(tools=(TOOL,), choice=choice, parallel=False)
    function = {"name": "look", "description": "Look.", "parameters": {"type": "object"}, "strict": False}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert (body["tool_choice"], body["parallel_tool_calls"]) == (choice, False)


def test_one_tool_that_must_be_called():
    body = _write(tools=(TOOL,), choice="tool", choice_name="look")
    assert body["tool_choice"] == {"type": "function", "function": {"name": "look"}}


def test_without_tools_nothing_is_said_of_them():
    assert _write(choice="auto", parallel=False).keys() == {"messages"}


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        (Format(), {"type": "json_object"}),
        (
            Format(schema=POINT),
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": POINT, "strict": True}},
        ),
        (
            Format(schema={"type": "object"}, name="p", description="P.", strict=False),
            {
                "type": "json_schema",
                "json_schema": {"name": "p", "schema": {"type": "object"}, "description": "P.", "strict": False},
            },
        ),
        (
            Format(schema={"type": "object"}),
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}},
        ),
    ],
)
def test_the_format_is_strict_where_openai_would_take_it_so(format, expected):
    assert _write(format=format)["response_format"] == expected


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [(Thinking(effort="none"), "none"), (Thinking(budget=9000), "medium"), (Thinking(budget=0), None)],
)
def test_effort(thinking, effort):
    assert _write(thinking=thinking).get("reasoning_effort") == effort
    assert "reasoning_effort" not in _write(thinking=thinking, manner=Manner(thinking=""))


def test_settings_go_by_the_names_of_the_server():
    said = {"max_tokens": 5, "temperature": 0.0, "top_p": 1.0, "stop": ("x",), "seed": 0, "user": "u"}
    body = _write(manner=Manner(max_tokens_field="max_tokens"), **said)
    assert {**body, "messages": []} == {**said, "stop": ["x"], "messages": []}
    assert not {"temperature", "top_p"} & _write(manner=Manner(sampling=False), **said).keys()


def test_an_end_users_name_that_is_too_long_is_left_out():
    assert _write(user="u" * MAX_USER)["user"]
    assert "user" not in _write(user="u" * (MAX_USER + 1))


def test_a_request_without_a_word_is_refused_by_the_clients_name():
    with pytest.raises(RequestError) as caught:
        _write(Turn(role="assistant", parts=(Thought(text="hm"),)), at={"turns": "input"})
    assert caught.value.param == "input"


def test_what_openai_lacks_is_left_out():
    assert LACKS.refused == {}
    assert _write(**dict.fromkeys(LACKS.dropped, 5)) == _write()


@given(chats())
def test_read_and_written_again_a_request_says_the_same(body):
    once = _write(*read(body).turns)
    assert _write(*read(once).turns) == once
    assert _said(once) == _said(body)


def _said(body):
    """All texts, images, calls and results, in their order."""
    return [each for message in body["messages"] for each in _said_in(message)]


def _said_in(message):
    content = message["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    words = "\n\n".join(part["text"] for part in parts if part["type"] == "text")
    images = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [message["role"], words, images, message.get("tool_calls"), message.get("tool_call_id")]
