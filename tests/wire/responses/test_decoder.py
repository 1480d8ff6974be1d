"""Records in the Responses dialect to canonical events."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.responses.pieces import (
    ANSWER,
    BEGUN,
    CREATED,
    MESSAGE,
    USAGE,
    USED,
    added,
    call,
    calls,
    compact,
    done,
    event,
    message,
    numbered,
    records,
    response,
    text,
    thought,
)

from headrace.errors import ErrorDetail
from headrace.model.events import Extra, Failed, Finished, Reasoning, Refusal, Started, Text, ToolCall, Used
from headrace.model.record import Record
from headrace.wire.responses.decoder import Decoder

STARTED = Started(id="resp_u", model="m", created=17)
SUMMARY = "reasoning_summary_text"


def decode(*payloads):
    """All events of some payloads."""
    decoder = Decoder()
    return [event for record in records(*payloads) for event in decoder.decode(record)]


def of(*told):
    """All events of some of the dialect's events."""
    return decode(*numbered(*told))


def completed(*output, **fields):
    """The last event."""
    return event("response.completed", response=response(*output, status="completed", **fields))


def told(*events):
    """What was said: the text of each kind, and the calls."""
    kinds = {kind: "".join(e.text for e in events if isinstance(e, kind)) for kind in (Text, Reasoning, Refusal)}
    arguments = {}
    for each in events:
        if isinstance(each, ToolCall):
            id, name, so_far = arguments.get(each.call, (each.id, each.name, ""))
            arguments[each.call] = (id, name, so_far + each.arguments)
    return kinds[Text], kinds[Reasoning], kinds[Refusal], arguments


def test_text_becomes_events():
    """Each delta gives what it says; what repeats it gives nothing."""
    assert decode(*ANSWER) == [
        STARTED,
        Text(text="Grüße, "),
        Text(text="世界 🌊"),
        Finished(reason="stop"),
        Used(usage=USED),
    ]


@pytest.mark.parametrize("first", range(len(ANSWER)))
def test_text_is_told_once_wherever_it_comes(first):
    """A server that sends no deltas, or no events of parts or items at all, loses nothing."""
    events = decode(ANSWER[0], *ANSWER[max(first, 6) :])

    assert told(*events)[0] == "Grüße, 世界 🌊"
    assert events[-2:] == [Finished(reason="stop"), Used(usage=USED)]


@pytest.mark.parametrize("left_out", range(1, len(ANSWER) - 1))
def test_one_event_fewer_changes_nothing_but_its_own_piece(left_out):
    """Only a missing delta is missed."""
    whole = decode(*ANSWER)
    missed = {4: [whole[1]], 5: [whole[2]]}.get(left_out, [])

    assert decode(*ANSWER[:left_out], *ANSWER[left_out + 1 :]) == [each for each in whole if each not in missed]


def test_calls_are_told_apart():
    """Arguments are put together verbatim under the right call, once, in whatever order they come."""
    first, second = call('{"a":"ü🌊"}'), call("[1]", id="fc_2", call_id="call_2", name="g")
    payloads = calls(first, second)
    events = decode(*payloads)
    made = {0: ("call_1", "f", '{"a":"ü🌊"}'), 1: ("call_2", "g", "[1]")}

    assert told(*events)[3] == made
    assert Finished(reason="tool_calls") in events
    assert [(e.id, e.name) for e in events if isinstance(e, ToolCall)][1:3] == [("", ""), ("", "")]
    interleaved = [json.loads(payload) for payload in payloads[1:-1]]
    interleaved.sort(key=lambda told: (told["type"].endswith("done"), told["type"].endswith("delta")))
    assert told(*of(CREATED, *interleaved, completed(first, second)))[3] == made


@pytest.mark.parametrize(
    "given",
    [
        [added(0, call()), done(0, call('{"a":1}'))],
        [done(0, call('{"a":1}'))],
        [added(0, call('{"a":1}')), done(0, call('{"a":1}'))],
        [added(0, call(name="")), text("function_call_arguments.delta", 0, delta='{"a"'), done(0, call('{"a":1}'))],
        [],
    ],
    ids=["no deltas", "no beginning", "whole at the beginning", "named at the end", "in the last event only"],
)
def test_arguments_are_told_once_wherever_they_come(given):
    """A call has its name and its whole arguments, once."""
    assert told(*of(CREATED, *given, completed(call('{"a":1}'))))[3] == {0: ("call_1", "f", '{"a":1}')}


def test_a_call_without_arguments_has_an_empty_object():
    """What ends without any is JSON nevertheless."""
    assert told(*of(CREATED, added(0, call()), done(0, call())))[3] == {0: ("call_1", "f", "{}")}


def test_reasoning_is_told_in_paragraphs_and_sealed():
    """Parts of a summary are apart, and what is encrypted comes after them, with its owner and id."""
    item = thought("a b", "c", encrypted_content="XYZ")
    given = [
        added(0, thought()),
        text(f"{SUMMARY}.delta", 0, place="summary_index", delta="a "),
        text(f"{SUMMARY}.delta", 0, place="summary_index", delta="b"),
        {**text(f"{SUMMARY}.delta", 0, place="summary_index", delta="c"), "summary_index": 1},
        done(0, item),
    ]
    expected = [
        STARTED,
        Reasoning(text="a "),
        Reasoning(text="b"),
        Reasoning(text="\n\nc"),
        Reasoning(signature="hr1:openai.responses::rs_1:XYZ"),
    ]

    assert of(CREATED, *given) == expected
    assert of(CREATED, *given, completed(item))[:5] == expected
    whole = of(CREATED, completed(item))
    assert (told(*whole)[1], whole[3]) == ("a b\n\nc", expected[4])


def test_reasoning_text_and_refusals():
    """The model's own words of reasoning, and of refusing."""
    events = of(
        CREATED,
        text("reasoning_text.delta", 0, delta="hm"),
        text("refusal.delta", 1, delta="no"),
        text("refusal.done", 1, refusal="no"),
        completed(),
    )

    assert events == [STARTED, Reasoning(text="hm"), Refusal(text="no"), Finished(reason="refusal")]


def test_what_has_no_event_is_extra():
    """A frame that only this dialect understands passes as it is."""
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    odd = [
        added(0, search),
        done(0, search),
        event("response.unheard_of", x=[1]),
        text("output_text.annotation.added", 0, annotation={}),
        text("output_text.unheard_of", 0),
        text("content_part.done", 0, part={"type": "unheard_of"}),
    ]

    events = of(CREATED, *odd, completed(search))

    payloads = [{**each, "sequence_number": n + 1} for n, each in enumerate(odd)]
    assert events == [
        STARTED,
        *(Extra(dialect="openai.responses", payload=payload) for payload in payloads),
        Finished(reason="stop"),
    ]


@pytest.mark.parametrize("given", [None, 7, []])
def test_the_id_of_an_item_does_not_matter(given):
    """Some servers give an item another id in every event; its place says which it is."""
    events = [
        {**each, "item_id": given if each.get("item_id") else None} if "item_id" in each else each for each in BEGUN
    ]

    assert told(*of(*events, done(0, message("Grüße, 世界 🌊", id="other")), completed(MESSAGE)))[0] == "Grüße, 世界 🌊"


def test_a_place_that_is_left_out_does_not_tell_an_item_twice():
    """The last event's output may have fewer items than were counted."""
    moved = [{**each, "output_index": 3} if "output_index" in each else each for each in BEGUN]

    assert told(*of(*moved, completed(MESSAGE)))[0] == "Grüße, 世界 🌊"


@pytest.mark.parametrize(
    ("failure", "detail"),
    [
        (event("error", code=7, message="see http://x.y/z"), ErrorDetail(message="see [url]", code="7")),
        (event("response.failed", response=response(status="failed", error={"code": "x"})), ErrorDetail(code="x")),
    ],
)
def test_an_error_record_is_failed(failure, detail):
    """Should one be in a log, it is told as what it is, scrubbed."""
    assert of(CREATED, failure) == [STARTED, Failed(detail=detail)]


def test_halves_of_a_surrogate_pair_meet():
    """A server that cuts an emoji in two between deltas does not break it."""
    base = b'{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"%b"}'
    cut = [base % piece for piece in (b"a\\ud83c", b"\\udf0ab", b"\\udf0a")]

    assert told(*decode(*cut))[0] == "a\U0001f30ab\ufffd"


def test_a_whole_response_is_decoded_as_its_stream():
    """One record of the other format gives the same text, calls, finish and usage."""
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    output = [thought("hm", encrypted_content="X"), search, MESSAGE, call("{}")]
    body = compact(response(*output, status="completed", usage=USAGE))

    assert Decoder().decode(Record("", body)) == [
        STARTED,
        Reasoning(text="hm"),
        Reasoning(signature="hr1:openai.responses::rs_1:X"),
        Extra(dialect="openai.responses", payload={"type": "response.output_item.done", "item": search}),
        Text(text="Grüße, 世界 🌊"),
        ToolCall(call=0, id="call_1", name="f"),
        ToolCall(call=0, arguments="{}"),
        Finished(reason="tool_calls"),
        Used(usage=USED),
    ]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"[" * 5000, b'{"a":' * 500 + b"1" + b"}" * 500])
def test_what_is_no_event_has_no_events(data):
    """A decoder never raises."""
    assert Decoder().decode(Record("response.output_text.delta", data)) == []


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mangled(draw):
    """An event with some of its values replaced by anything."""
    value = json.loads(draw(st.sampled_from([*ANSWER, *calls(call("{}"))])))
    for _ in range(draw(st.integers(1, 3))):
        into = value
        name = draw(st.sampled_from(sorted(into)))
        while isinstance(into[name], dict) and into[name] and draw(st.booleans()):
            into = into[name]
            name = draw(st.sampled_from(sorted(into)))
        into[name] = draw(JUNK)
    return value


@given(st.lists(mangled(), max_size=8))
def test_a_decoder_never_raises(values):
    """Whatever types an upstream gives its fields."""
    decoder = Decoder()
    for value in values:
        type = value["type"]
        decoder.decode(Record(type if isinstance(type, str) else "", json.dumps(value).encode()))
