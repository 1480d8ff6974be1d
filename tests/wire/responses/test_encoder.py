"""Canonical events to frames in the Responses dialect, as the stock client takes them."""

import json
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response
from tests.wire.responses.pieces import (
    ANSWER,
    CANCELLED,
    COMPLETED,
    EVENT,
    FAILED,
    USAGE,
    USED,
    call,
    calls,
    compact,
    final,
    message,
    outcome,
    records,
    response,
    thought,
)
from tests.wire.responses.test_decoder import told

from headrace.errors import ErrorDetail
from headrace.model.events import Extra, Finished, Reasoning, Refusal, Started, Text, ToolCall, Used
from headrace.model.outcome import State, Usage
from headrace.model.record import Record
from headrace.wire.responses.decoder import Decoder
from headrace.wire.responses.encoder import Encoder

STARTED = Started(id="up", model="m", created=17)
ENCRYPTED = {"include": ["reasoning.encrypted_content"]}


def encode(events, end=COMPLETED, **options):
    """All frames of some events and their end, which are what a client's types say."""
    encoder = Encoder("resp_1", **{"created": 17, **options})
    frames = [*encoder.start(), *(frame for each in events for frame in encoder.encode(each)), *encoder.end(end)]
    values = [json.loads(frame.data) for frame in frames]
    for frame, value in zip(frames, values, strict=True):
        assert frame.event == value["type"]
        _check(value)
    assert [value["sequence_number"] for value in values] == list(range(len(values)))
    return values


def _check(value):
    """Hold an event to the SDK's types: but for the codes and reasons that are ours, which it has closed lists of."""
    said = value.get("response")
    if said is not None:
        error = said["error"] and {**said["error"], "code": "server_error"}
        incomplete = None if said["status"] == "cancelled" else said["incomplete_details"]
        value = {**value, "response": {**said, "error": error, "incomplete_details": incomplete}}
        Response.model_validate(value["response"], strict=True)
    EVENT.validate_python(value, strict=True)


def types(values):
    """The types of some events."""
    return [value["type"].removeprefix("response.") for value in values]


def test_text_is_one_message():
    """The ten events of a text, in their order."""
    values = encode([STARTED, Text(text="Hi"), Finished(reason="stop"), Used(usage=USED)])

    assert types(values) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    last = values[-1]["response"]
    assert (last["status"], last["usage"], last["completed_at"]) == ("completed", USAGE, 100)
    assert (last["id"], last["model"], last["created_at"]) == ("resp_1", "m", 17)
    assert final(values).output_text == "Hi"


def test_blocks_become_items():
    """Reasoning, text, calls and a refusal, each an item of its own that the SDK's helper can follow."""
    values = encode(
        [
            STARTED,
            Reasoning(text="h"),
            Reasoning(text="m"),
            Text(text="a"),
            ToolCall(call=0, id="call_a", name="f"),
            ToolCall(call=0, arguments='{"x":'),
            ToolCall(call=0, arguments="1}"),
            ToolCall(call=1, id="call_b", name="g"),
            Text(text="b"),
            Refusal(text="no"),
            Finished(reason="tool_calls"),
        ]
    )

    output = values[-1]["response"]["output"]
    assert [(item["type"], item["id"]) for item in output] == [
        ("reasoning", "rs_1_0"),
        ("message", "msg_1_1"),
        ("function_call", "fc_1_2"),
        ("function_call", "fc_1_3"),
        ("message", "msg_1_4"),
        ("message", "msg_1_5"),
    ]
    assert [value["item"] for value in values if value["type"] == "response.output_item.done"] == output
    assert [(item.call_id, item.name, item.arguments) for item in final(values).output if item.type[0] == "f"] == [
        ("call_a", "f", '{"x":1}'),
        ("call_b", "g", "{}"),
    ]
    assert output[0]["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert output[5]["content"] == [{"type": "refusal", "refusal": "no"}]


def test_calls_have_ids_that_differ():
    """A missing id, or one that was there before, is made; the helpers would not take it."""
    made = [ToolCall(call=n, id=id, name="f", arguments="{}") for n, id in enumerate(["", "x", "x"])]

    output = final(encode([STARTED, *made, Finished(reason="tool_calls")])).output

    assert [item.call_id for item in output] == ["call_1_0", "x", "call_1_2"]


@pytest.mark.parametrize(("echo", "sealed"), [(ENCRYPTED, True), ({}, False), ({"include": None}, False)])
def test_seals_are_shown_to_whoever_asks(echo, sealed):
    """Encrypted reasoning is there where the request includes it, also without a word of it."""
    events = [STARTED, Reasoning(text="hm"), Reasoning(signature="s1"), Reasoning(signature="s2"), Text(text="a")]

    output = encode([*events, Finished(reason="stop")], echo=echo)[-1]["response"]["output"]

    assert [item.get("encrypted_content") for item in output[:2]] == (["s1", "s2"] if sealed else [None, None])
    assert [len(item["summary"]) for item in output[:2]] == [1, 0]


def test_the_request_is_echoed():
    """What the client asked for is said again, what it left open has the dialect's default."""
    tools = [{"type": "function", "name": "f", "parameters": {}, "strict": True}]
    echo = {"tools": tools, "instructions": "Be brief.", "temperature": 0.5, "service_tier": "flex", "include": []}

    first = encode([STARTED], echo=echo, model="known")[0]["response"]

    assert (first["tools"], first["instructions"], first["temperature"]) == (tools, "Be brief.", 0.5)
    assert (first["tool_choice"], first["parallel_tool_calls"], first["service_tier"]) == ("auto", True, "flex")
    assert (first["model"], first["status"], first["output"], "include" in first) == ("known", "in_progress", [], False)


@pytest.mark.parametrize(("reason", "word"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_is_cut_short_is_incomplete(reason, word):
    """The reason is said in the dialect's words, and the item that was cut says so too."""
    last = encode([STARTED, Text(text="a"), Finished(reason=reason)], outcome(reason=reason))[-1]

    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": word}
    assert (last["response"]["status"], last["response"]["output"][0]["status"]) == ("incomplete", "incomplete")


@pytest.mark.parametrize(
    ("said", "type"), [([Text(text="a")], "response.incomplete"), ([Refusal(text="no")], "response.completed")]
)
def test_a_refusal_without_words_is_no_normal_end(said, type):
    """Where the provider stopped the answer and has no text that says so, a filter did."""
    assert encode([STARTED, *said, Finished(reason="refusal")], outcome(reason="refusal"))[-1]["type"] == type


DETAIL = ErrorDetail(message="too long", code="context_length_exceeded")


@pytest.mark.parametrize(
    ("end", "type", "status", "error"),
    [
        (FAILED, "response.failed", "failed", "upstream_stalled"),
        (outcome(State.FAILED, "upstream_error", detail=DETAIL), "response.failed", "failed", DETAIL.code),
        (outcome(State.INTERRUPTED, "interrupted"), "response.failed", "failed", "interrupted"),
        (CANCELLED, "response.incomplete", "cancelled", None),
    ],
)
@pytest.mark.parametrize("grown", [True, False])
def test_an_end_that_is_none_carries_what_there_is(end, type, status, error, grown):
    """Complete items stay so, the open one is incomplete; nothing looks like a normal end."""
    events = [STARTED, Text(text="a"), ToolCall(call=0, id="x", name="f"), ToolCall(call=0, arguments='{"q')]

    values = encode(events if grown else [], end)

    said = values[-1]["response"]
    assert (values[-1]["type"], said["status"], said["error"] and said["error"]["code"]) == (type, status, error)
    assert "response.completed" not in [value["type"] for value in values]
    assert values[0]["type"] == "response.created"
    assert said["completed_at"] is None
    if grown:
        assert [(item["type"], item["status"]) for item in said["output"]] == [
            ("message", "completed"),
            ("function_call", "incomplete"),
        ]
        assert said["output"][1]["arguments"] == '{"q'
    assert final(values) is None


def test_what_waited_for_a_call_that_was_cut_is_in_the_failed_response():
    """Servers begin a call before the last one's arguments are complete; untold in the stream, it is not lost."""
    events = [
        STARTED,
        ToolCall(call=0, id="call_a", name="f", arguments='{"x"'),
        ToolCall(call=1, id="call_b", name="g", arguments='{"y":'),
        Text(text="b"),
    ]

    values = encode(events, FAILED)

    assert types(values)[2:] == ["output_item.added", "function_call_arguments.delta", "failed"]
    output = values[-1]["response"]["output"]
    assert [(item["type"], item["status"]) for item in output] == [
        ("function_call", "incomplete"),
        ("function_call", "incomplete"),
        ("message", "incomplete"),
    ]
    assert [item.get("arguments") for item in output] == ['{"x"', '{"y":', None]
    assert output[2]["content"][0]["text"] == "b"
    assert len({item["id"] for item in output}) == 3


def test_a_cancelled_answer_does_not_look_stopped():
    """The AI SDK takes an incomplete answer without a reason for one that stopped by itself."""
    assert encode([STARTED], CANCELLED)[-1]["response"]["incomplete_details"] == {"reason": "cancelled"}


def test_usage_of_the_outcome_counts():
    """What the outcome knows is better than what was said on the way."""
    events = [STARTED, Used(usage=USED), Finished(reason="stop")]

    assert encode(events)[-1]["response"]["usage"] == USAGE
    assert encode(events, outcome(usage=Usage(input=7, output=1)))[-1]["response"]["usage"]["total_tokens"] == 8


def test_items_of_this_dialect_only_stand_in_their_place():
    """A provider's own tool call, from a whole body, is an item between the others."""
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": ""}}
    extra = Extra(dialect="openai.responses", payload={"type": "response.output_item.done", "item": search})
    others = [Extra(dialect="openai.responses", payload=p) for p in ({"type": "response.x"}, [], {})]

    values = encode([STARTED, Text(text="a"), extra, *others, Text(text="b"), Finished(reason="stop")])

    assert [item.type for item in final(values).output] == ["message", "web_search_call", "message"]


def decode(values):
    """The events of some frames."""
    decoder = Decoder()
    return [each for value in values for each in decoder.decode(Record(value["type"], json.dumps(value).encode()))]


@pytest.mark.parametrize(
    "payloads",
    [ANSWER, calls(call('{"a":"ü🌊"}'), call("[1]", id="fc_2", call_id="call_2", name="g"))],
    ids=["text", "calls"],
)
def test_decoding_and_encoding_an_answer_gives_the_same_events(payloads):
    """What is encoded says what was decoded."""
    decoder = Decoder()
    events = [each for record in records(*payloads) for each in decoder.decode(record)]

    again = decode(encode(events))

    assert told(*again) == told(*events)
    assert again[-2:] == events[-2:]


def test_a_whole_response_becomes_a_stream():
    """A body in one piece, and what its frames put together."""
    body = response(thought("hm"), message("a"), call("{}"), status="completed", usage=USAGE)

    values = encode(Decoder().decode(Record("", compact(body))))

    assert [item.type for item in final(values).output] == ["reasoning", "message", "function_call"]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
SAID = st.one_of(
    st.builds(Text, text=TEXTS),
    st.builds(Reasoning, text=TEXTS),
    st.builds(Refusal, text=TEXTS),
    st.builds(lambda seal: Reasoning(signature=seal), TEXTS),
    st.builds(lambda n, pieces: ("call", n, pieces), st.integers(0, 3), st.lists(TEXTS, max_size=3)),
)


@st.composite
def answers(draw):
    """Events as a decoder gives them; the calls are numbered as they begin, their arguments in pieces."""
    found, begun = [STARTED], {}
    for each in draw(st.lists(SAID, max_size=12)):
        if not isinstance(each, tuple):
            found.append(each)
            continue
        arguments = json.dumps(each[2])
        number = len(begun)
        begun[number] = arguments
        found.append(ToolCall(call=number, id=f"c{number}", name="f"))
        cuts = sorted(draw(st.sets(st.integers(1, len(arguments)), max_size=3)) | {0, len(arguments)})
        found += [ToolCall(call=number, arguments=arguments[a:b]) for a, b in pairwise(cuts)]
    return [*found, Finished(reason="tool_calls" if begun else "stop")]


@given(answers(), st.sampled_from([COMPLETED, FAILED, CANCELLED]))
def test_any_answer_comes_back_as_it_was(events, end):
    """Text, calls and refusals are exact; reasoning is, but for the gaps between its parts."""
    values = encode(events, end, echo=ENCRYPTED)
    said, again = told(*events), told(*decode(values))

    assert (again[0], again[2], again[3]) == (said[0], said[2], said[3])
    assert again[1].replace("\n", "") == said[1].replace("\n", "")
    if end is COMPLETED:
        final(values)
    whole = Decoder().decode(Record("", json.dumps(values[-1]["response"]).encode()))
    assert told(*whole)[3] == said[3]


@given(answers())
def test_an_encoder_is_a_pure_fold(events):
    """The frames of a beginning are the beginning of the frames."""
    encoder = Encoder("resp_1", "m", 17)
    steps = [[frame.data for frame in encoder.encode(each)] for each in events]
    lengths = list(accumulate(map(len, steps)))
    frames = [frame for step in steps for frame in step]

    for count, length in enumerate(lengths, 1):
        again = Encoder("resp_1", "m", 17)
        assert [f.data for each in events[:count] for f in again.encode(each)] == frames[:length]
