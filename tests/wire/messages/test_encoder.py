"""Canonical events to Messages frames, as the stock client reads them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.messages.pieces import (
    ANSWER,
    COMPLETED,
    OWN,
    RICH,
    USAGE,
    closed,
    delta,
    opened,
    outcome,
    read_by_sdk,
    records,
)

from headrace.errors import ErrorDetail
from headrace.model import dialect
from headrace.model.events import Extra, Failed, Finished, Reasoning, Refusal, Started, Text, ToolCall, Used
from headrace.model.outcome import State, Usage
from headrace.wire import sse
from headrace.wire.messages import whole
from headrace.wire.messages.decoder import Decoder
from headrace.wire.messages.encoder import Encoder
from headrace.wire.messages.intake import Intake
from headrace.wire.seal import Seal

STARTED = Started(id="chatcmpl-1", model="m")
ENDED = outcome()


def encode(*events, ended=ENDED, model="", input_tokens=0):
    """All frames of some events and their end, which the stock client understands where it completed."""
    encoder = Encoder("msg_2", model, input_tokens=input_tokens)
    made = [*encoder.start(), *(frame for event in events for frame in encoder.encode(event)), *encoder.end(ended)]
    if ended.state is State.COMPLETED:
        read_by_sdk(made)
    return made


def payloads(made):
    """What frames say."""
    return [json.loads(data) for _, data in made]


def content(*events):
    """What the stock client has of some events."""
    read = read_by_sdk(encode(*events)).model_dump(mode="json", exclude_none=True)
    return read["content"]


def seal(payload, issuer=dialect.MESSAGES, **fields):
    """A seal in the middle of an answer."""
    return Reasoning(signature=str(Seal(issuer, payload, **fields)))


def test_a_text_is_a_message():
    """Start, block, reason with usage, stop: each with its name."""
    made = encode(STARTED, Text(text="a"), Text(text="b"), Finished(reason="stop"), ended=COMPLETED, input_tokens=5)

    usage = {"input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}
    assert payloads(made) == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_2",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": usage,
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "b"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {**usage, "input_tokens": 4, "cache_read_input_tokens": 2, "output_tokens": 7},
        },
        {"type": "message_stop"},
    ]
    assert [name for name, _ in made] == [each["type"] for each in payloads(made)]


def test_the_message_begins_with_the_first_event():
    """Nothing is said before; a model that was given counts more than the upstream's."""
    encoder = Encoder("msg_2", "given")
    assert encoder.start() == []
    assert [name for name, _ in encoder.encode(Used(usage=Usage(input=1, output=1)))] == ["message_start"]
    assert encoder.encode(STARTED) == []
    assert payloads(encode(STARTED, model="given"))[0]["message"]["model"] == "given"


def test_an_empty_answer_is_a_message():
    """It has no block, and the reason of its outcome."""
    read = read_by_sdk(encode(ended=outcome(reason="length")))

    assert (read.content, read.stop_reason) == ([], "max_tokens")


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([Finished(reason="stop")], "end_turn"),
        ([Finished(reason="length")], "max_tokens"),
        ([Finished(reason="tool_calls")], "tool_use"),
        ([Finished(reason="content_filter")], "refusal"),
        ([Finished(reason="refusal")], "refusal"),
        ([Finished(reason="pause_turn")], "pause_turn"),
        ([Finished(reason="stop", stop_sequence="END")], "stop_sequence"),
        ([Refusal(text="no"), Finished(reason="stop")], "refusal"),
        ([ToolCall(call=0, id="a", name="f"), Finished(reason="stop")], "tool_use"),
        ([ToolCall(call=0, id="a", name="f"), Finished(reason="length")], "max_tokens"),
        ([Finished(reason="length"), Finished(reason="stop")], "max_tokens"),
        ([Finished(reason="length", choice=1), Finished(reason="stop")], "end_turn"),
    ],
)
def test_the_reason_is_the_dialects(events, reason):
    """A forced call and a refusal are told as what they are, though OpenAI only says that it stopped."""
    read = read_by_sdk(encode(*events))

    assert read.stop_reason == reason
    assert read.stop_sequence == ("END" if reason == "stop_sequence" else None)


def test_usage_is_that_of_the_outcome():
    """Else the last that was told, else what was given of the prompt."""
    used = Used(usage=Usage(input=9, output=3, reasoning=2))

    assert read_by_sdk(encode(used, ended=COMPLETED)).usage.output_tokens == 7
    read = read_by_sdk(encode(used))
    assert (read.usage.input_tokens, read.usage.output_tokens) == (9, 3)
    assert read.usage.output_tokens_details.thinking_tokens == 2
    assert read_by_sdk(encode(input_tokens=5)).usage.input_tokens == 5


def test_blocks_come_one_after_another():
    """Calls that grow at the same time are told in turn, and a call without arguments has an empty object."""
    assert content(
        Reasoning(text="hm"),
        Text(text="a"),
        ToolCall(call=0, id="x", name="f", arguments='{"a":'),
        ToolCall(call=1, id="y", name="g"),
        ToolCall(call=0, arguments="1}"),
        Refusal(text="no"),
        Finished(reason="tool_calls"),
    ) == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "a"},
        {"type": "tool_use", "id": "x", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "y", "name": "g", "input": {}},
        {"type": "text", "text": "no"},
    ]


def test_a_call_without_an_id_gets_one():
    """A client must say which call it answers."""
    _, first, second = content(
        Text(text="a"), ToolCall(call=0, name="f", arguments="{}"), ToolCall(call=1, name="g"), Finished(reason="stop")
    )

    assert (first["id"], second["id"]) == ("toolu_msg_2_1", "toolu_msg_2_2")


FOREIGN = str(Seal(dialect.RESPONSES, "ZW5j", "rs_1"))
FOREIGN_HIDDEN = str(Seal(dialect.RESPONSES, "ZW5j", "rs_1", hidden=True))


@pytest.mark.parametrize(
    ("events", "block"),
    [
        ([Reasoning(text="hm"), seal("c2ln")], {"type": "thinking", "thinking": "hm", "signature": "c2ln"}),
        ([seal("c2ln")], {"type": "thinking", "thinking": "", "signature": "c2ln"}),
        ([seal("aGlk", hidden=True)], {"type": "redacted_thinking", "data": "aGlk"}),
        (
            [Reasoning(text="hm"), seal("ZW5j", dialect.RESPONSES, id="rs_1")],
            {"type": "thinking", "thinking": "hm", "signature": FOREIGN},
        ),
        (
            [seal("ZW5j", dialect.RESPONSES, id="rs_1", hidden=True)],
            {"type": "redacted_thinking", "data": FOREIGN_HIDDEN},
        ),
        ([Reasoning(text="hm", signature="bare")], {"type": "thinking", "thinking": "hm", "signature": "bare"}),
    ],
    ids=["its own", "text not shown", "hidden", "another's", "another's hidden", "nobody's"],
)
def test_seals_go_where_the_client_gives_them_back(events, block):
    """Its own as the provider wrote it; another provider's marked with whose it is."""
    assert content(*events, Text(text="a")) == [block, {"type": "text", "text": "a"}]


def test_other_choices_and_dialects_are_left_out():
    """The dialect has one answer, and no place for another's own."""
    assert content(
        Text(text="b", choice=1),
        ToolCall(call=0, id="x", name="f", choice=1),
        Extra(dialect=dialect.CHAT, payload={"type": "content_block_start", "content_block": {"type": "x"}}),
        Extra(dialect=dialect.MESSAGES, payload=7),
        Extra(dialect=dialect.MESSAGES, payload={"type": "note"}),
        Text(text="a"),
    ) == [{"type": "text", "text": "a"}]


@pytest.mark.parametrize("answer", [ANSWER, RICH, OWN], ids=["text", "rich", "own tools"])
def test_a_whole_message_is_shown_as_its_stream(answer):
    """The stock client reads the same as of the provider's own stream, its own tools, citations and counts included."""
    original = read_by_sdk(records(*answer))
    body = whole.message(records(*answer), dialect.MESSAGES, COMPLETED, id="", model="")
    decoder = Decoder()
    (record,) = records(body)

    read = read_by_sdk(encode(*decoder.decode(record), ended=COMPLETED))

    assert read.model_dump(exclude={"id", "parsed"}) == original.model_dump(exclude={"id", "parsed"})


def test_pieces_of_its_own_have_a_place_or_none():
    """A citation without an open text is left out."""
    own = [json.loads(each) for each in (delta(0, "citations_delta", citation={}), closed(0))]
    extras = [Extra(dialect=dialect.MESSAGES, payload=payload) for payload in own]

    assert content(*extras, ToolCall(call=0, id="x", name="f", arguments="{}"), *extras, Text(text="a")) == [
        {"type": "tool_use", "id": "x", "name": "f", "input": {}},
        {"type": "text", "text": "a"},
    ]


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (outcome(State.CANCELLED, "cancelled"), "cancelled"),
        (outcome(State.INTERRUPTED, "worker_died"), "interrupted"),
        (outcome(State.FAILED, "upstream_truncated", status=502), "upstream_truncated"),
    ],
)
@pytest.mark.parametrize(
    "events", [[], [STARTED, Text(text="a")], [STARTED, Text(text="a"), Finished(reason="stop")]], ids=len
)
def test_no_normal_end_on_anything_but_completed(events, ended, code):
    """The last frame is an error, and there is no reason to stop."""
    made = encode(*events, ended=ended)

    assert made[-1].event == "error"
    assert json.loads(made[-1].data)["error"]["code"] == code
    assert not {"message_delta", "message_stop"} & {name for name, _ in made}


def test_a_failure_is_told_by_the_outcome():
    """Not by the event, which comes before it is known what becomes of the answer."""
    assert Encoder("msg_2").encode(Failed(detail=ErrorDetail(message="x"))) == []


def test_the_same_events_give_the_same_frames():
    """Nothing but the events decides; whoever comes back sees the same."""
    events = [event for record in records(*RICH) for event in Decoder().decode(record)]

    assert encode(*events) == encode(*events)


ARGUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=5,
).map(lambda value: json.dumps({"x": value}))


@st.composite
def calls(draw):
    """The pieces of a tool call, whose number is still to be given."""
    arguments = draw(ARGUMENTS)
    cut = draw(st.integers(0, len(arguments)))
    return [("f", draw(st.text(min_size=1, max_size=5)), arguments[:cut]), ("", "", arguments[cut:])]


@st.composite
def answers(draw):
    """Events of an answer: texts, reasoning with and without seals, refusals, and calls one after another."""
    parts = st.one_of(
        st.builds(lambda text: [Text(text=text)], st.text(min_size=1)),
        st.builds(lambda text: [Reasoning(text=text)], st.text(min_size=1)),
        st.builds(lambda text: [Reasoning(text=text), seal("c2ln")], st.text(min_size=1)),
        st.just([seal("aGlk", hidden=True)]),
        calls(),
    )
    events, made = [STARTED], 0
    for part in draw(st.lists(parts, max_size=8)):
        if isinstance(part[0], tuple):
            events += [ToolCall(call=made, id=f"{id}{made}" if id else "", name=n, arguments=a) for id, n, a in part]
            made += 1
        else:
            events += part
    return [*events, Finished(reason=draw(st.sampled_from(["tool_calls", "length", "refusal"])))]


def told(events):
    """What events say, whatever their pieces: runs of text and reasoning, seals, calls, and the end."""
    runs = []
    for event in events:
        match event:
            case ToolCall():
                if event.id:
                    runs.append(["call", event.call, event.id, event.name, ""])
                runs[-1][-1] += event.arguments
            case Reasoning(signature=signature) if signature:
                runs.append(["seal", signature])
            case Text(text=text) | Reasoning(text=text):
                kind = type(event).__name__
                if not runs or runs[-1][0] != kind:
                    runs.append([kind, ""])
                runs[-1][1] += text
            case Finished():
                runs.append(["end", event.reason])
    return runs


@given(answers())
def test_answers_survive_the_dialect(events):
    """Encoded, taken in and decoded they say the same."""
    made = encode(*events, ended=COMPLETED)

    intake = Intake()
    logged = intake.take([sse.Frame(name, data, "") for name, data in made])
    decoder = Decoder()
    read = [event for record in logged for event in decoder.decode(record)]

    assert logged == made
    assert (intake.ended, intake.ignored, intake.usage) == (True, 0, COMPLETED.usage)
    assert told(read) == told(events)


def test_citations_stay_with_their_text():
    """A text that has some ends where the provider's did."""
    first, second = content(*_decoded(OWN))[2:]

    assert (first["text"], len(first["citations"]), second) == ("It is so.", 1, {"type": "text", "text": " And so."})


def test_counts_of_its_own_survive():
    """Tokens written to a cache are part of the prompt, and told apart from it."""
    body = whole.message(records(*ANSWER), dialect.MESSAGES, COMPLETED, id="", model="")
    (record,) = records(body)

    usage = read_by_sdk(encode(*Decoder().decode(record), ended=COMPLETED)).usage.model_dump(exclude_none=True)

    assert usage == {**USAGE, "output_tokens": 7}


def _decoded(answer):
    decoder = Decoder()
    return [event for record in records(*answer) for event in decoder.decode(record)]


def test_an_open_block_of_its_own_is_closed():
    """Text that follows it, and the end, come in blocks of their own."""
    extra = Extra(dialect=dialect.MESSAGES, payload=json.loads(opened(0, "container_upload", file_id="f")))

    assert [each["type"] for each in content(extra, Text(text="a"), extra)] == [
        "container_upload",
        "text",
        "container_upload",
    ]
