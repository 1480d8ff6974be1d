"""A whole message, made of the records of any stream."""

import json

import pytest
from anthropic.types import Message
from tests.wire.chat import pieces as chat
from tests.wire.messages.pieces import (
    ANSWER,
    COMPLETED,
    OWN,
    PING,
    RICH,
    USAGE,
    closed,
    delta,
    ends,
    event,
    opened,
    outcome,
    read_by_sdk,
    records,
    start,
)

from headrace.model import dialect
from headrace.model.outcome import Usage
from headrace.model.record import Record
from headrace.wire.chat.whole import completion
from headrace.wire.messages.whole import message


def whole(*payloads, format=dialect.MESSAGES, ended=COMPLETED, **options):
    """The message of some payloads, which the stock client must understand."""
    made = records(*payloads) if format == dialect.MESSAGES else chat.records(*payloads)
    value = json.loads(message(made, format, ended, id="msg_2", model="given", **options))
    Message.model_validate(value, strict=True)
    return value


@pytest.mark.parametrize("answer", [ANSWER, RICH, OWN], ids=["text", "rich", "own tools"])
def test_a_message_is_what_the_sdk_makes_of_the_stream(answer):
    """To the last field, but for those that only the client has."""
    read = read_by_sdk(records(*answer)).model_dump(mode="json", exclude_unset=True)

    value = whole(answer[0], PING, *answer[1:])

    assert value | {"stop_details": None} == read | {"stop_details": None}


def test_fields_that_nobody_knows_survive():
    """Of the message, of blocks and of pieces; null says nothing."""
    payloads = [
        start(container=None, tomorrow=[1]),
        opened(0, "compaction", content="a", list=[1]),
        delta(0, "compaction_delta", content="b", list=[2], other={"x": 1}, nothing=None),
        delta(0, "compaction_delta", content="c", list=[3], other={"x": 2}),
        closed(0),
        event("note", x=1),
        ends("refusal", stop_details={"type": "refusal", "category": "cyber"}, usage={"output_tokens": 7, "x": 8}),
    ]

    value = json.loads(message(records(*payloads), dialect.MESSAGES, COMPLETED, id="", model=""))

    assert value["tomorrow"] == [1]
    assert "container" not in value
    assert value["content"] == [{"type": "compaction", "content": "abc", "list": [1, 2, 3], "other": {"x": 2}}]
    assert (value["stop_reason"], value["stop_details"]["category"]) == ("refusal", "cyber")
    assert value["usage"] == {**USAGE, "output_tokens": 7, "x": 8}


@pytest.mark.parametrize(
    ("given", "partial", "input"),
    [
        ({"x": 1}, [], {"x": 1}),
        ({"x": 1}, [""], {"x": 1}),
        ({}, ['{"a":', "1}"], {"a": 1}),
        ({}, ['{"a": "b", "c": ["d'], {"a": "b", "c": []}),
        ({}, ["[1]"], {}),
        ({}, ["no"], {}),
        ({}, ["{" * 9000], {}),
    ],
    ids=["at once", "nothing follows", "pieces", "cut", "no object", "no JSON", "deep"],
)
def test_input_is_what_there_is_of_it(given, partial, input):
    """Where the limit of tokens cut it, too."""
    pieces = [delta(0, "input_json_delta", partial_json=piece) for piece in partial]

    value = whole(start(), opened(0, "tool_use", id="a", name="f", input=given), *pieces, ends("max_tokens"))

    assert value["content"] == [{"type": "tool_use", "id": "a", "name": "f", "input": input}]


def test_another_dialects_stream_is_a_message():
    """Through the canonical events, with our id and the model that was given."""
    calls = [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": '{"a":1}'}}]
    payloads = [*chat.ANSWER[:3], chat.chunk(chat.piece(tool_calls=calls)), chat.chunk(chat.piece(0, "tool_calls"))]
    used = outcome(usage=Usage(input=9, output=3, cached=4))

    streamed = whole(*payloads, format=dialect.CHAT, ended=used)
    body = completion(chat.records(*payloads))
    at_once = whole(body, format=dialect.whole(dialect.CHAT), ended=used)

    assert streamed == at_once
    assert streamed == {
        "id": "msg_2",
        "type": "message",
        "role": "assistant",
        "model": "given",
        "content": [
            {"type": "text", "text": "Grüße, 世界 🌊"},
            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 5,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "output_tokens": 3,
        },
    }


def test_usage_that_nobody_told_is_that_of_the_prompt():
    """The dialect wants a number."""
    assert whole(chat.ANSWER[1], format=dialect.CHAT, ended=outcome(), input_tokens=5)["usage"]["input_tokens"] == 5
    assert whole(event("message_start", message={}), ended=outcome(), input_tokens=5)["usage"]["input_tokens"] == 5


def test_a_whole_message_is_itself():
    """Its bytes, untouched."""
    assert message([Record("", b"{ }")], dialect.whole(dialect.MESSAGES), COMPLETED, id="", model="") == b"{ }"
    with pytest.raises(ValueError):
        message([], dialect.whole(dialect.MESSAGES), COMPLETED, id="", model="")
    with pytest.raises(ValueError):
        message([], "x", COMPLETED, id="", model="")


def test_halves_of_a_surrogate_pair_meet():
    """A server that cuts an emoji in two between pieces does not break it."""
    pieces = [
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}' % text
        for text in (b"a\\ud83c", b"\\udf0ab", b"\\udf0a")
    ]

    value = whole(start(), opened(0, "text", text=""), *pieces, ends())

    assert value["content"][0]["text"] == "a\U0001f30ab\ufffd"
