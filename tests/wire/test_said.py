"""What an answer says: text, and all else in the order in which it began."""

import msgspec
import pytest

from headrace.model.record import Record
from headrace.wire.said import said


def chunks(*deltas, choice=0):
    """Chat chunks with these deltas."""
    return [Record("", msgspec.json.encode({"choices": [{"index": choice, "delta": delta}]})) for delta in deltas]


def test_text_is_joined_and_the_rest_stands_apart():
    found = said(
        chunks(
            {"reasoning_content": "Let me "},
            {"reasoning_content": "think."},
            {"content": "It is "},
            {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "look", "arguments": "{"}}]},
            {"content": "so."},
            {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
            {"refusal": "No."},
        ),
        "openai.chat",
    )
    assert found.text == "It is so."
    assert found.parts == [
        {"type": "reasoning", "text": "Let me think."},
        {"type": "tool", "name": "look", "arguments": "{}"},
        {"type": "refusal", "text": "No."},
    ]


def test_of_several_choices_the_first_is_said():
    assert said([*chunks({"content": "a"}), *chunks({"content": "b"}, choice=1)], "openai.chat").text == "a"


def test_halves_of_a_character_meet():
    records = [Record("", b'{"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}')]
    records.append(Record("", b'{"choices":[{"index":0,"delta":{"content":"\\ude00"}}]}'))
    assert said(records, "openai.chat").text == "\U0001f600"


@pytest.mark.parametrize("format", ["", "text/csv", "openai.chat"])
def test_what_says_nothing_says_nothing(format):
    assert said([Record("", b"not json")], format) == ("", [])


def test_a_whole_body_says_what_its_chunks_would():
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    assert said([Record("", msgspec.json.encode(body))], "openai.chat.object").text == "Hi"
