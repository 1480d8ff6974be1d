"""Requests as agents send them in the Responses dialect, said to providers of the others."""

import pytest
from hypothesis import given, settings
from tests.wire.asked import chats, messages
from tests.wire.params import valid

from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.wire.conversion import convert
from headrace.wire.seal import Seal

SCHEMA = {"type": "object", "properties": {"command": {"type": "array", "items": {"type": "string"}}}}
#: A coding agent's second turn: two calls at once, what another model thought, and tools of many types.
CODING = {
    "model": "m",
    "instructions": "You write code.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<rules>"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "list it"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Looking."}]},
        {"type": "function_call", "name": "shell", "arguments": '{"command":["ls"]}', "call_id": "c1"},
        {"type": "function_call", "name": "shell", "arguments": '{"command":["pwd"]}', "call_id": "c2"},
        {"type": "function_call_output", "call_id": "c1", "output": "a.py"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "/src"}]},
        {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}},
        {"type": "ghost_snapshot", "ghost_commit": {"id": "abc"}},
    ],
    "tools": [
        {"type": "function", "name": "shell", "description": "run", "strict": False, "parameters": SCHEMA},
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
        {"type": "web_search", "external_web_access": False},
        {"type": "local_shell"},
        {"type": "image_generation", "output_format": "png"},
        {"type": "namespace", "name": "mcp", "description": "x", "tools": []},
        {"type": "tool_search"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "1",
    "service_tier": "auto",
    "text": {"verbosity": "low"},
    "client_metadata": {"x": "y"},
}


def test_a_coding_agent_speaks_with_a_chat_upstream():
    """All calls of a turn in one message, right before their results."""
    body = valid(convert(CODING, RESPONSES, CHAT), CHAT)

    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool", "tool"]
    assert [call["id"] for call in body["messages"][2]["tool_calls"]] == ["c1", "c2"]
    assert [tool["function"]["name"] for tool in body["tools"]] == ["shell"]
    assert (body["reasoning_effort"], body["tool_choice"]) == ("medium", "auto")


def test_a_coding_agent_speaks_with_a_messages_upstream():
    """Without the thought that OpenAI sealed."""
    body = valid(convert(CODING, RESPONSES, MESSAGES), MESSAGES)

    user, said, results = body["messages"]
    assert (user["role"], said["role"], results["role"]) == ("user", "assistant", "user")
    assert [block["type"] for block in said["content"]] == ["text", "tool_use", "tool_use"]
    assert [block["tool_use_id"] for block in results["content"]] == ["c1", "c2"]
    assert [tool["name"] for tool in body["tools"]] == ["shell"]


def test_a_thought_goes_back_to_the_messages_upstream_that_sealed_it():
    """In the place that Anthropic wants it in: before the call that it led to."""
    seal = str(Seal(MESSAGES, "sig"))
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"text": "hm"}], "encrypted_content": seal}
    items = [thought if item["type"] == "reasoning" else item for item in CODING["input"]]

    body = valid(convert({**CODING, "input": items}, RESPONSES, MESSAGES), MESSAGES)

    assert body["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "sig"}


@pytest.mark.parametrize("target", [CHAT, MESSAGES])
@settings(max_examples=30)
@given(chats())
def test_any_chat_said_in_responses_is_valid_in_the_others(target, body):
    """A conversation may wander from one dialect to the next."""
    asked = {**convert(body, CHAT, RESPONSES), "model": "m"}

    assert valid(convert(asked, RESPONSES, target), target)


@settings(max_examples=30)
@given(messages())
def test_any_messages_said_in_responses_are_valid_in_chat(body):
    """The same for what began with Anthropic."""
    asked = {**convert(body, MESSAGES, RESPONSES), "model": "m"}

    assert valid(convert(asked, RESPONSES, CHAT), CHAT)
