"""Requests from one dialect to another: what people say, show and call comes through, there and back."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from tests.wire.asked import chats, messages
from tests.wire.params import valid

from headrace.errors import RequestError
from headrace.model.dialect import CHAT, MESSAGES, RESPONSES, UI
from headrace.wire.conversion import convert
from headrace.wire.manner import Manner

USER = {"role": "user", "content": "hi"}
CHAT_TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def _to_messages(body, **manner):
    return valid(convert(body, CHAT, MESSAGES, Manner(**manner)), MESSAGES)


def _to_chat(body, **manner):
    return valid(convert(body, MESSAGES, CHAT, Manner(**manner)), CHAT)


def _param(body, source, target):
    with pytest.raises(RequestError) as caught:
        convert(body, source, target)
    return caught.value.param


def test_a_chat_with_tools_as_messages():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "what is it?"}, image]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
        ],
        "tools": [CHAT_TOOL],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_tokens": 9,
        "temperature": 1.5,
        "stop": "END",
        "user": "u",
        "seed": 1,
        "stream": True,
        "store": False,
    }
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    use = {"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": 1}}
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "a cat"}]}
    words = {"type": "text", "text": "what is it?"}
    assert _to_messages(body) == {
        "system": [{"type": "text", "text": "be kind"}],
        "messages": [
            {"role": "user", "content": [words, {"type": "image", "source": source}]},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
        ],
        "tools": [{"name": "look", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "max_tokens": 9,
        "temperature": 1.0,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
    }


def test_messages_with_tools_as_a_chat():
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}}
    thought = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    body = {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            USER,
            {"role": "assistant", "content": [thought, {"type": "text", "text": "well"}, use]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "gone", "is_error": True},
                    {"type": "text", "text": "go on"},
                ],
            },
        ],
        "tools": [{"name": "look", "description": "Look.", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 20_000},
        "metadata": {"user_id": "u"},
        "stop_sequences": ["END"],
        "top_k": 3,
        "service_tier": "auto",
    }
    call = {"id": "toolu_1", "type": "function", "function": {"name": "look", "arguments": '{"at":1}'}}
    function = {"name": "look", "description": "Look.", "parameters": {"type": "object"}}
    assert _to_chat(body, max_tokens_field="max_tokens") == {
        "messages": [
            {"role": "system", "content": "be kind"},
            USER,
            {"role": "assistant", "content": "well", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "Error: gone"},
            {"role": "user", "content": "go on"},
        ],
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": False,
        "max_tokens": 9,
        "reasoning_effort": "high",
        "stop": ["END"],
        "user": "u",
    }


REFUSED = [
    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    {"type": "file", "file": {"file_data": "AAAA"}},
    {"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AAAA"}},
]


@pytest.mark.parametrize("part", REFUSED)
def test_what_messages_cannot_take_is_refused_by_the_place_in_the_chat(part):
    message = {"role": "user", "content": [{"type": "text", "text": ""}, part]}
    assert _param({"messages": [USER, message]}, CHAT, MESSAGES) == "messages[1].content[1]"


def test_what_a_chat_cannot_take_is_refused_by_the_place_in_the_messages():
    source = {"type": "url", "url": "https://example.org/a.pdf"}
    message = {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "document", "source": source}]}
    assert _param({"messages": [message]}, MESSAGES, CHAT) == "messages[0].content[1]"


def test_a_broken_call_is_refused_by_its_place():
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"half'}}
    body = {"messages": [USER, {"role": "assistant", "tool_calls": [call]}]}
    assert _param(body, CHAT, MESSAGES) == "messages[1].tool_calls[0]"


def test_settings_are_refused_by_the_clients_name():
    assert _param({"messages": [USER], "stop": "\n"}, CHAT, MESSAGES) == "stop"
    assert _param({"messages": []}, CHAT, MESSAGES) == "messages"


@pytest.mark.parametrize(("source", "target"), [(CHAT, UI), ("simple.text", CHAT), ("", "")])
def test_what_no_upstream_speaks_is_refused(source, target):
    with pytest.raises(RequestError):
        convert({"messages": [USER]}, source, target)


@given(chats())
def test_a_chat_comes_back_from_messages_as_it_was(body):
    back = _to_chat(_to_messages(body))
    assert _told(back) == _told(body)


@given(messages())
def test_messages_come_back_from_a_chat_as_they_were(body):
    back = _to_messages(_to_chat(body))
    assert _shown(back) == _shown(body)


@given(chats())
def test_a_chat_comes_back_by_way_of_responses_and_messages_as_it_was(body):
    responses = valid(convert(body, CHAT, RESPONSES), RESPONSES)
    assert _told(convert(responses, RESPONSES, CHAT)) == _told(body)
    assert _told(_to_chat(convert(responses, RESPONSES, MESSAGES))) == _told(body)


@given(messages())
def test_messages_come_back_from_responses_as_they_were(body):
    responses = valid(convert(body, MESSAGES, RESPONSES), RESPONSES)
    assert _shown(convert(responses, RESPONSES, MESSAGES)) == _shown(body)


@given(chats())
def test_in_messages_the_sides_alternate_and_results_follow_their_calls(body):
    history = _to_messages(body)["messages"]
    roles = [message["role"] for message in history]
    assert roles == (["user", "assistant"] * len(roles))[: len(roles)]
    for message, next in pairwise(history):
        calls = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        assert calls == [block["tool_use_id"] for block in next["content"] if block["type"] == "tool_result"]
        assert all(block["type"] == "tool_result" for block in next["content"][: len(calls)])


@given(messages())
def test_in_a_chat_results_follow_their_calls(body):
    history = _to_chat(body)["messages"]
    for i, message in enumerate(history):
        calls = [call["id"] for call in message.get("tool_calls", [])]
        assert calls == [each.get("tool_call_id") for each in history[i + 1 : i + 1 + len(calls)]]


def _told(body):
    """What a chat tells: texts, images, calls and results, in their order."""
    return [_told_in(message) for message in body["messages"]]


def _told_in(message):
    content = message["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    words = "\n\n".join(part["text"] for part in parts if part["type"] == "text")
    images = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    calls = [_call(call["id"], call["function"]) for call in message.get("tool_calls", [])]
    return message["role"], words, images, calls, message.get("tool_call_id")


def _call(id, function):
    return id, function["name"], json.loads(function["arguments"])


def _shown(body):
    """What Messages show, without thoughts: no chat has a place for those."""
    system = body.get("system", "")
    return [_words(system), *((message["role"], *_shown_in(message["content"])) for message in body["messages"])]


def _shown_in(blocks):
    images = [block["source"] for block in blocks if block["type"] == "image"]
    calls = [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    results = [(block["tool_use_id"], _words(block["content"])) for block in blocks if block["type"] == "tool_result"]
    return _words([block for block in blocks if block["type"] == "text"]), images, calls, results


def _words(content):
    return content if isinstance(content, str) else "\n\n".join(block["text"] for block in content)
