"""Records of a Messages stream, or of a whole message, to canonical events."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.messages.pieces import (
    ANSWER,
    COMPLETED,
    OWN,
    PING,
    RICH,
    SEARCHES,
    STOP,
    USAGE,
    closed,
    delta,
    ends,
    event,
    message,
    opened,
    records,
    start,
)

from headrace.errors import ErrorDetail
from headrace.model import dialect
from headrace.model.events import Extra, Failed, Finished, Reasoning, Started, Text, ToolCall, Used
from headrace.model.outcome import Usage
from headrace.model.record import Record
from headrace.wire.messages import whole
from headrace.wire.messages.decoder import Decoder
from headrace.wire.messages.encoder import Encoder
from headrace.wire.seal import Seal

STARTED = Started(id="msg_1", model="m")
USED = Used(usage=Usage(input=6, output=7, cached=2))
SIGNED = Reasoning(signature=str(Seal(dialect.MESSAGES, "c2ln")))
HALF = b'{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"%b"}}'
HIDDEN = Reasoning(signature=str(Seal(dialect.MESSAGES, "aGlk", hidden=True)))


def decode(*payloads):
    """All events of some payloads."""
    decoder = Decoder()
    return [event for record in records(*payloads) for event in decoder.decode(record)]


def body(*payloads):
    """The whole message of some payloads."""
    return whole.message(records(*payloads), dialect.MESSAGES, COMPLETED, id="", model="")


def test_text_becomes_events():
    """Each record gives what it says; pings and the stop say nothing."""
    assert decode(ANSWER[0], PING, *ANSWER[1:]) == [
        STARTED,
        Text(text="Grüße, "),
        Text(text="世界 🌊"),
        Finished(reason="stop"),
        USED,
    ]


def test_thinking_and_calls_become_events():
    """A seal comes at the end of what it is over, and a call without arguments has an empty object."""
    assert decode(*RICH) == [
        STARTED,
        Reasoning(text="hm, "),
        Reasoning(text="so"),
        SIGNED,
        HIDDEN,
        Text(text="Let me look."),
        ToolCall(call=0, id="toolu_1", name="look"),
        ToolCall(call=0, arguments='{"at": "Gr'),
        ToolCall(call=0, arguments='ün"}'),
        ToolCall(call=1, id="toolu_2", name="wait"),
        ToolCall(call=1, arguments="{}"),
        Finished(reason="tool_calls"),
        USED,
    ]


def test_a_whole_message_is_decoded_as_its_stream():
    """One record of the other format gives the same, in larger pieces."""
    assert decode(body(*RICH)) == [
        STARTED,
        Reasoning(text="hm, so"),
        SIGNED,
        HIDDEN,
        Text(text="Let me look."),
        ToolCall(call=0, id="toolu_1", name="look"),
        ToolCall(call=0, arguments='{"at":"Grün"}'),
        ToolCall(call=1, id="toolu_2", name="wait"),
        ToolCall(call=1, arguments="{}"),
        Extra(
            dialect=dialect.MESSAGES,
            payload={"type": "message_delta", "delta": {}, "usage": {**USAGE, "output_tokens": 7}},
        ),
        Finished(reason="tool_calls"),
        USED,
    ]


@pytest.mark.parametrize(
    ("payloads", "arguments"),
    [
        ([opened(0, "tool_use", id="a", name="f", input={"x": 1}), closed(0)], '{"x":1}'),
        ([opened(0, "tool_use", id="a", name="f", input={"x": 1})], '{"x":1}'),
        (
            [
                opened(0, "tool_use", id="a", name="f", input={"x": 1}),
                delta(0, "input_json_delta", partial_json='{"x":2}'),
                closed(0),
            ],
            '{"x":2}',
        ),
        ([opened(0, "tool_use", id="a", name="f"), closed(0)], "{}"),
        ([opened(0, "tool_use", id="a", name="f", input="?"), closed(0)], "{}"),
        (
            [
                opened(0, "tool_use", id="a", name="f", input={}),
                HALF % b'\\"\\ud83c',
                HALF % b'\\udf0a\\"',
            ],
            '"\U0001f30a"',
        ),
    ],
    ids=["at once", "without an end", "pieces win", "none", "no object", "half an emoji"],
)
def test_arguments_are_those_that_count(payloads, arguments):
    """What a call was given at its start counts where nothing follows."""
    calls = [each for each in decode(start(), *payloads, ends("tool_use")) if isinstance(each, ToolCall)]

    assert [(each.id, each.name) for each in calls if each.id] == [("a", "f")]
    assert {each.call for each in calls} == {0}
    assert "".join(each.arguments for each in calls) == arguments


def test_calls_are_numbered_by_themselves():
    """Whatever the numbers of their blocks, and though a server uses one number twice."""
    payloads = [
        opened(7, "tool_use", id="a", name="f", input={}),
        opened(7, "tool_use", id="b", name="g", input={}),
        delta(7, "input_json_delta", partial_json="[]"),
    ]

    assert decode(*payloads) == [
        ToolCall(call=0, id="a", name="f"),
        ToolCall(call=0, arguments="{}"),
        ToolCall(call=1, id="b", name="g"),
        ToolCall(call=1, arguments="[]"),
    ]


def test_blocks_are_read_though_they_did_not_begin():
    """Text and thinking say what they are; a piece without a number belongs to the last block."""
    payloads = [
        delta(0, "text_delta", text="a"),
        event("content_block_delta", delta={"type": "text_delta", "text": "b"}),
        delta(1, "thinking_delta", thinking="c"),
        delta(2, "input_json_delta", partial_json="d"),
    ]

    *read, extra = decode(*payloads)

    assert read == [Text(text="a"), Text(text="b"), Reasoning(text="c")]
    assert isinstance(extra, Extra)


def test_a_block_may_begin_with_its_content():
    """Some servers tell all of it at once."""
    payloads = [
        opened(0, "thinking", thinking="hm", signature="c2ln"),
        closed(0),
        opened(1, "text", text="a"),
        delta(1, "text_delta", text="b"),
        closed(1),
    ]

    assert decode(*payloads) == [Reasoning(text="hm"), SIGNED, Text(text="a"), Text(text="b")]


def test_what_has_no_event_is_extra():
    """The provider's own tools and citations, with the ends of their blocks, and events nobody knows."""
    note = event("note", x=1)
    events = decode(*OWN[:-2], note)

    others = [json.loads(each) for each in (*OWN[1:6], OWN[8], OWN[9], note)]
    assert [each.payload for each in events if isinstance(each, Extra)] == others
    assert [each for each in events if not isinstance(each, Extra)] == [
        STARTED,
        Text(text="It is so."),
        Text(text=" And so."),
    ]


def test_input_of_a_whole_message_comes_in_pieces():
    """As the provider streams it: some clients read it from nowhere else."""
    extras = [each.payload for each in decode(body(*OWN)) if isinstance(each, Extra)]

    assert extras[:3] == [json.loads(each) for each in OWN[1:4]]


def test_what_the_end_says_more_is_extra():
    """Details of a refusal, and counts that only this dialect has."""
    details = {"type": "refusal", "category": "cyber", "explanation": None}
    payload = ends("refusal", usage={"output_tokens": 7, "server_tool_use": SEARCHES}, stop_details=details)

    extra, finished, used = decode(start(), payload)[1:]

    assert extra.payload == {
        "type": "message_delta",
        "delta": {"stop_details": details},
        "usage": {**USAGE, "output_tokens": 7, "server_tool_use": SEARCHES},
    }
    assert (finished, used) == (Finished(reason="refusal"), USED)


def test_the_stop_sequence_is_told():
    """As the reason is, once."""
    events = decode(start(), ends("stop_sequence", "END"), ends("stop_sequence", "END", {"output_tokens": 9}))

    assert [each for each in events if isinstance(each, Finished)] == [Finished(reason="stop", stop_sequence="END")]
    assert events[-1] == Used(usage=Usage(input=6, output=9, cached=2))


def test_an_error_record_is_failed():
    """Should one be in a log, it is told as what it is, scrubbed."""
    error = {"type": "api_error", "message": "see http://x.y/z"}

    assert decode(event("error", error=error)) == [Failed(detail=ErrorDetail(message="see [url]", type="api_error"))]


def test_halves_of_a_surrogate_pair_meet():
    """A server that cuts an emoji in two between pieces does not break it."""
    texts = [b'"a\\ud83c"', b'"\\udf0ab"', b'"\\udf0a"']
    cut = [b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%b}}' % text for text in texts]

    assert "".join(each.text for each in decode(*cut)) == "a\U0001f30ab\ufffd"


def test_a_record_without_a_type_is_read_by_its_event():
    """The frame's name says it as well."""
    record = Record("content_block_delta", b'{"index":0,"delta":{"type":"text_delta","text":"a"}}')

    assert Decoder().decode(record) == [Text(text="a")]
    assert Decoder().decode(Record("", b'{"x":1}')) == []


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"\xff", b"[" * 5000, b'{"a":' * 500 + b"1" + b"}" * 500])
def test_what_is_no_event_has_no_events(payload):
    """A decoder never raises."""
    assert Decoder().decode(Record("content_block_delta", payload)) == []


TYPES = [
    *["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message"],
    *["text", "thinking", "redacted_thinking", "tool_use", "text_delta", "thinking_delta", "signature_delta"],
    *["input_json_delta", "citations_delta", "error", "x"],
]
KEYS = [
    *[
        "type",
        "index",
        "message",
        "content",
        "content_block",
        "delta",
        "usage",
        "text",
        "thinking",
        "signature",
        "data",
    ],
    *[
        "signature",
        "input",
        "partial_json",
        "citation",
        "citations",
        "id",
        "name",
        "stop_reason",
        "stop_sequence",
        "error",
    ],
    *USAGE,
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 10**30])
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(TYPES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=30,
)
TYPED = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6),
)
EVENTS = st.one_of(
    JSON,
    TYPED,
    st.builds(
        lambda kind, index, inner: {"type": kind, "index": index, "delta": inner, "content_block": inner},
        st.sampled_from(TYPES),
        st.integers(0, 2) | JSON,
        TYPED | JSON,
    ),
    st.lists(TYPED | JSON).map(lambda content: message(*content)),
)


@given(st.lists(EVENTS, max_size=6))
def test_nothing_an_upstream_says_breaks_the_folds(values):
    """Any JSON at all decodes, encodes and collects without an exception."""
    made = [Record("x", json.dumps(value).encode()) for value in values]
    decoder, encoder = Decoder(), Encoder("msg_2")
    shown = [frame for record in made for each in decoder.decode(record) for frame in encoder.encode(each)]

    for _, data in [*shown, *encoder.end(COMPLETED)]:
        json.loads(data)
    json.loads(whole.message(made, dialect.MESSAGES, COMPLETED, id="msg_2", model="m"))


def test_a_stop_alone_says_nothing():
    """The end of the answer is its outcome's business."""
    assert decode(STOP) == []
