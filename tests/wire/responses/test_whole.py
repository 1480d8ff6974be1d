"""A whole response of the records of any stream, and the end of a stream that is shown as it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response
from tests.wire.chat.pieces import ANSWER as CHUNKS
from tests.wire.chat.pieces import records as chat_records
from tests.wire.responses.pieces import (
    ANSWER,
    BEGUN,
    CANCELLED,
    COMPLETED,
    CREATED,
    ENDED,
    EVENT,
    FAILED,
    MESSAGE,
    USED,
    added,
    call,
    calls,
    compact,
    done,
    event,
    final,
    message,
    numbered,
    outcome,
    records,
    response,
    text,
    thought,
)

from headrace.model.dialect import CHAT, RESPONSES, whole
from headrace.model.outcome import State
from headrace.model.record import Record
from headrace.wire.responses.verbatim import Verbatim
from headrace.wire.responses.whole import response as made_of
from headrace.wire.responses.whole import sequence_of

IDENTITY = {"id": "resp_1", "model": "known", "created": 9, "echo": {"instructions": "Be brief."}}


def shown(payloads, end):
    """The last frames of a stream that is shown as it is."""
    verbatim = Verbatim(**IDENTITY)
    given = records(*payloads)
    assert [frame for record in given for frame in verbatim.record(record)] == given
    return [json.loads(frame.data) for frame in verbatim.end(end)]


def so_far(payloads, end=None, format=RESPONSES):
    """The response of some records, which the SDK must understand."""
    value = made_of(records(*payloads), format, end, **IDENTITY)
    error = value["error"] and {**value["error"], "code": "server_error"}
    known = {**value, "error": error, "incomplete_details": None}
    Response.model_validate(json.loads(json.dumps(known)), strict=True)
    return value


def test_a_completed_stream_has_told_its_end():
    """Its last record said so."""
    assert shown(ANSWER, COMPLETED) == []


@pytest.mark.parametrize("end", [FAILED, CANCELLED])
def test_an_answer_that_fails_after_its_last_event_has_failed(end):
    """What was said last is no more true: the end that came is told, and whoever polls sees that one."""
    (told,) = shown(ANSWER, end)

    polled = so_far(ANSWER, end)

    assert told["response"] == {**polled, "output": told["response"]["output"]}
    assert polled["status"] == ("failed" if end is FAILED else "cancelled")
    assert polled["output"] == so_far(ANSWER, COMPLETED)["output"]


@pytest.mark.parametrize("count", range(1, len(ANSWER)))
@pytest.mark.parametrize(
    ("end", "type", "status"),
    [(FAILED, "response.failed", "failed"), (CANCELLED, "response.incomplete", "cancelled")],
)
def test_an_end_that_the_upstream_did_not_tell(count, end, type, status):
    """It is the upstream's response with what was said of it, and the next number."""
    [last] = shown(ANSWER[:count], end)

    said = last["response"]
    assert (last["type"], last["sequence_number"], said["status"]) == (type, count, status)
    assert (said["id"], said["model"], said["created_at"]) == ("resp_u", "m", 17)
    texts = [part["text"] for item in said["output"] for part in item["content"]]
    assert "".join(texts) == "".join(e.get("delta", "") for e in BEGUN[:count])
    assert [item["status"] for item in said["output"]] == (["completed" if count == 9 else "incomplete"] * (count > 2))
    assert said == so_far(ANSWER[:count], end)
    assert final([*map(json.loads, ANSWER[:count]), last]) is None
    EVENT.validate_python({**last, "response": {**said, "error": None, "incomplete_details": None}}, strict=True)


def test_a_stream_that_fails_before_its_first_record_begins_nevertheless():
    """A client's helper wants the beginning first."""
    first, last = shown([], FAILED)

    assert (first["type"], first["sequence_number"], first["response"]["status"]) == (
        "response.created",
        0,
        "in_progress",
    )
    assert (last["type"], last["sequence_number"], last["response"]["id"]) == ("response.failed", 1, "resp_1")
    assert last["response"]["instructions"] == "Be brief."
    assert last["response"]["error"]["code"] == "upstream_stalled"


def test_several_items_may_be_open():
    """What is complete stands as it came, the others with their pieces, all in their places."""
    payloads = numbered(
        CREATED,
        added(0, thought()),
        text("reasoning_summary_text.delta", 0, place="summary_index", delta="h"),
        added(1, call()),
        added(2, call(id="fc_2", call_id="call_2")),
        text("function_call_arguments.delta", 1, delta='{"a"'),
        text("function_call_arguments.delta", 2, delta="[1"),
        text("reasoning_summary_text.delta", 0, place="summary_index", delta="m"),
        done(2, call("[1]", id="fc_2", call_id="call_2")),
        text("function_call_arguments.delta", 1, delta=":"),
    )

    [last] = shown(payloads, FAILED)

    assert last["response"]["output"] == [
        thought("hm", status="incomplete"),
        call('{"a":', status="incomplete"),
        call("[1]", id="fc_2", call_id="call_2"),
    ]
    assert last["response"]["output"] == so_far(payloads, FAILED)["output"]


def test_the_pieces_of_complete_items_are_let_go():
    """What is kept grows with the text, not with the number of times it is said."""
    verbatim = Verbatim(**IDENTITY)
    for record in records(*ANSWER):
        verbatim.record(record)

    assert verbatim._growth == []
    assert verbatim._done == records(ANSWER[8])


def test_usage_of_the_outcome_is_told():
    """A stream that was stopped may know what it has used."""
    [last] = shown(ANSWER[:5], outcome(State.CANCELLED, "cancelled", usage=USED))

    assert last["response"]["usage"]["total_tokens"] == 5


@pytest.mark.parametrize("first", [0, 1, 40, None, "x"])
def test_the_next_number_follows_the_last(first):
    """Wherever the upstream began to count; where it does not count, we do."""
    payloads = [compact({**e, "sequence_number": first + n if type(first) is int else first}) for n, e in
                enumerate(BEGUN)]  # fmt: skip

    expected = (first if type(first) is int else 0) + len(BEGUN)
    assert shown(payloads, FAILED)[0]["sequence_number"] == expected


@pytest.mark.parametrize(
    ("data", "number"),
    [(b'{"sequence_number":7}', 7), (b"{}", None), (b'{"sequence_number":"7"}', None), (b"[", None), (b"", None)],
)
def test_the_number_of_a_record(data, number):
    """None where it does not tell."""
    assert sequence_of(Record("", data)) == number


def test_a_completed_stream_is_the_upstreams_own_object():
    """What its last event has, unknown fields too."""
    last = {**ENDED[-1], "response": {**ENDED[-1]["response"], "unheard_of": [1]}}

    assert so_far(numbered(*BEGUN, last), COMPLETED) == last["response"]


def test_output_that_the_last_event_does_not_repeat():
    """It is put together of the items."""
    last = event("response.completed", response={**response(status="completed"), "output": None})

    assert so_far(numbered(*BEGUN, *ENDED[:-1], last), COMPLETED)["output"] == [MESSAGE]


@pytest.mark.parametrize("count", range(1, len(ANSWER)))
def test_a_growing_stream_is_in_progress(count):
    """It has what was said so far."""
    value = so_far(ANSWER[:count])

    assert (value["status"], value["error"], value["id"]) == ("in_progress", None, "resp_u")
    assert len(value["output"]) == (count > 2)


@pytest.mark.parametrize("place", [{}, {"content_index": -1}], ids=["none", "negative"])
def test_a_growing_text_is_one_part_where_no_place_is_told(place):
    """As the decoder reads it. Each piece would be a part of its own otherwise."""
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    deltas = [event("response.output_text.delta", output_index=0, delta=word, **place) for word in ("a", "b", "c")]
    begun = event("response.output_item.added", output_index=0, item=item)

    content = so_far(numbered(CREATED, begun, *deltas))["output"][0]["content"]

    assert [part["text"] for part in content] == ["abc"]


def test_without_records_it_is_queued_or_has_failed():
    """Nobody has said anything yet, and perhaps nobody will."""
    assert so_far([], format="")["status"] == "queued"
    assert so_far([], FAILED, format="")["error"]["code"] == "upstream_stalled"
    assert so_far([], CANCELLED, format="")["status"] == "cancelled"
    assert (so_far([])["status"], so_far([])["id"]) == ("in_progress", "resp_1")


def test_a_body_in_one_piece_is_itself():
    """The upstream's object, untouched."""
    body = response(message("a"), status="completed", unheard_of=1)

    assert made_of([Record("", compact(body))], whole(RESPONSES), COMPLETED, **IDENTITY) == body


@pytest.mark.parametrize(
    ("end", "status", "item"),
    [
        (COMPLETED, "completed", "completed"),
        (outcome(reason="length"), "completed", "completed"),
        (FAILED, "failed", "incomplete"),
        (CANCELLED, "cancelled", "incomplete"),
        (None, "in_progress", "in_progress"),
    ],
)
def test_a_stream_of_another_dialect_is_converted(end, status, item):
    """Chunks of a chat become a response with our id."""
    given = CHUNKS if end and end.state is State.COMPLETED else CHUNKS[:-1]

    value = made_of(chat_records(*given), CHAT, end, **IDENTITY)

    assert (value["id"], value["model"], value["status"], value["created_at"]) == ("resp_1", "known", status, 9)
    assert [(i["status"], i["content"][0]["text"]) for i in value["output"]] == [(item, "Grüße, 世界 🌊")]


@pytest.mark.parametrize("end", [FAILED, CANCELLED])
def test_a_half_of_a_surrogate_pair_in_a_fields_name_breaks_nothing(end):
    """A response's own fields may be called anything."""
    head = b'{"type":"response.created","response":{"id":"resp_1","a\\ud800b":1}}'
    verbatim = Verbatim(**IDENTITY)
    verbatim.record(Record("response.created", head))

    (told,) = verbatim.end(end)
    assert json.loads(told.data)["response"]["a\ufffdb"] == 1


JUNK = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "id"]), inner),
    max_leaves=5,
)
FIELDS = ["item", "delta", "output_index", "content_index", "response", "sequence_number"]
ODD = st.tuples(
    st.sampled_from(sorted({json.loads(payload)["type"] for payload in (*ANSWER, *calls(call("{}")))})),
    st.dictionaries(st.sampled_from(FIELDS), JUNK | st.just(message(status="in_progress"))),
)


@given(st.lists(ODD, max_size=8), st.sampled_from([FAILED, CANCELLED, COMPLETED, None]))
def test_odd_events_break_nothing(odd, end):
    """Whatever an upstream gives its fields, the end is told and is JSON."""
    given = [Record(type, json.dumps({"type": type, **fields}).encode()) for type, fields in odd]
    verbatim = Verbatim(**IDENTITY)
    for record in given:
        verbatim.record(record)

    assert verbatim.end(end or FAILED) is not None
    assert compact(made_of(given, RESPONSES, end, **IDENTITY))
