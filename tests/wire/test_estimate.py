"""Estimates of a Messages request: what is text counts, wherever it stands; what is not counts as a picture does."""

import pytest

from headrace.wire.estimate import message_tokens

PICTURE = 1500


def user(*content):
    return {"role": "user", "content": list(content)}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({}, 0),
        ({"messages": [{"role": "user", "content": "x" * 40}, {"role": "assistant", "content": "世界"}]}, 12),
        ({"system": "x" * 8, "messages": []}, 2),
        ({"system": [{"type": "text", "text": "x" * 8}, {"type": "text", "text": "x" * 8}]}, 4),
        ({"messages": [user({"type": "text", "text": "x" * 8}, {"type": "thinking", "thinking": "x" * 4})]}, 3),
        ({"messages": [user({"type": "tool_use", "id": "i", "name": "f", "input": {"a": "bcdefgh"}})]}, 4),
        ({"messages": [user({"type": "tool_use", "id": "i", "name": "f", "input": {}})]}, 0),
        ({"messages": [user({"type": "tool_result", "tool_use_id": "i", "content": "x" * 12})]}, 3),
        ({"messages": [user({"type": "tool_result", "content": [{"type": "text", "text": "x" * 12}]})]}, 3),
        ({"messages": [user({"type": "image", "source": {"type": "base64", "data": "A" * 9999}})]}, PICTURE),
        ({"messages": [user({"type": "document", "source": {"type": "url", "url": "https://x.example"}})]}, PICTURE),
        ({"messages": [user({"type": "document", "source": {"type": "text", "data": "x" * 40}})]}, 10),
        ({"messages": [user({"type": "document", "source": {"type": "content", "content": "x" * 40}})]}, 10),
        (
            {"messages": [user({"type": "document", "source": {"type": "content"}}, {"source": {"type": "text"}})]},
            PICTURE,
        ),
        ({"tools": [{"name": "f", "input_schema": {}}]}, 8),
        ({"tools": []}, 0),
        ({"messages": [user(1, None, {}), 7, {"content": {"text": "x"}}], "system": 3, "tools": None}, 0),
    ],
)
def test_what_counts(body, tokens):
    assert message_tokens(body) == tokens
