"""What of a provider's stream is logged, and what it says about the answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.messages.pieces import (
    ANSWER,
    OWN,
    PING,
    RICH,
    STOP,
    USAGE,
    closed,
    delta,
    ends,
    event,
    frames,
    opened,
    records,
    start,
    stream,
)
from tests.wire.splits import chunked, splits

from headrace.errors import UpstreamFault, UpstreamProtocol, UpstreamTruncated
from headrace.model.outcome import Usage
from headrace.model.record import Record
from headrace.wire import sse
from headrace.wire.messages.intake import Intake


def take(*payloads):
    """The records of some payloads, and the intake."""
    intake = Intake()
    return intake.take(frames(*payloads)), intake


@pytest.mark.parametrize("answer", [ANSWER, RICH, OWN], ids=["text", "rich", "own tools"])
def test_an_answer_is_logged_as_it_is(answer):
    """Payloads are untouched, and the last record is the end."""
    logged, intake = take(*answer)

    assert logged == records(*answer)
    assert (intake.ended, intake.upstream_id, intake.model) == (True, "msg_1", "m")
    assert (intake.ignored, intake.error) == (0, None)
    intake.finish()


@pytest.mark.parametrize("count", range(len(ANSWER)))
def test_an_answer_cut_at_any_frame_has_not_ended(count):
    """Without message_stop nothing looks complete, not even after the reason to stop."""
    logged, intake = take(*ANSWER[:count])

    assert logged == records(*ANSWER[:count])
    assert not intake.ended
    with pytest.raises(UpstreamTruncated):
        intake.finish()
    assert not intake.ended


@pytest.mark.parametrize("before", [[], [ends(None)], [event("message_delta")]], ids=["no delta", "null", "empty"])
def test_a_stop_without_a_reason_is_truncated(before):
    """The end of a message that nothing stopped is no record either: a client would take it for whole."""
    payloads = [*ANSWER[:5], *before]

    logged, intake = take(*payloads, STOP)

    assert (logged, intake.ended) == (records(*payloads), False)
    with pytest.raises(UpstreamTruncated):
        intake.finish()


@pytest.mark.parametrize(
    ("reason", "canonical"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "refusal"),
        ("pause_turn", "pause_turn"),
        ("tomorrow", "tomorrow"),
    ],
)
def test_the_reason_is_canonical(reason, canonical):
    """One nobody knows stays as it is."""
    assert take(*ANSWER[:5], ends(reason), STOP)[1].finish_reason == canonical


def test_usage_is_merged():
    """Counts of the end are totals; those it leaves out are the start's, and all of the prompt is input."""
    _, intake = take(*ANSWER[:5], ends(usage={"input_tokens": 10, "cache_read_input_tokens": None, "output_tokens": 7}))

    assert intake.usage == Usage(input=13, output=7, cached=2)


def test_usage_of_a_cut_answer_is_a_guess():
    """The start counts the prompt, and of the answer only the beginning."""
    _, intake = take(*ANSWER[:3])

    assert intake.usage == Usage(input=6, output=1, cached=2, exact=False)
    assert Intake().usage is None


@pytest.mark.parametrize("usage", [{}, {"input_tokens": -1, "output_tokens": 1}, {"input_tokens": "3"}, 7, [], None])
def test_usage_that_says_nothing_is_unknown(usage):
    """Unknown is not zero, and no reason to lose the event."""
    odd = start(usage=usage)

    logged, intake = take(odd)

    assert (logged, intake.usage, intake.upstream_id) == (records(odd), None, "msg_1")


def test_pings_are_life_and_nothing_else():
    """Wherever they come, and whatever they hold."""
    pings = [sse.Frame("ping", b"", ""), sse.Frame("ping", b"?", ""), sse.Frame("", PING, ""), *frames(PING)]
    intake = Intake()

    logged = intake.take([*pings, *frames(ANSWER[0]), *pings, *frames(*ANSWER[1:])])

    assert (logged, intake.ignored, intake.ended) == (records(*ANSWER), 0, True)


def test_records_are_named_by_their_data():
    """A server that leaves the names out, or calls every event the same, is read by clients all the same."""
    for name in ("", "message"):
        intake = Intake()
        logged = intake.take([sse.Frame(name, payload, "") for payload in ANSWER])
        assert (logged, intake.ended) == (records(*ANSWER), True)

    unnamed = Intake()
    without = [sse.Frame(json.loads(each).pop("type"), b'{"delta":{"stop_reason":"x"}}', "") for each in ANSWER]
    assert [record.event for record in unnamed.take(without)] == [record.event for record in records(*ANSWER)]


def test_an_event_nobody_knows_is_a_record():
    """The dialect may have it tomorrow."""
    odd = event("content_block_note", note={"x": [1]})
    intake = Intake()

    logged = intake.take([*frames(ANSWER[0], odd), sse.Frame("note", b"{}", "")])

    assert (logged, intake.ignored) == ([*records(ANSWER[0], odd), Record("note", b"{}")], 0)


@pytest.mark.parametrize("payload", [event("note"), b'{"type":"a\\nb"}', b'{"type":""}', b"{}"])
def test_what_has_no_place_is_counted(payload):
    """Before the start no client can place an event, and a name is never one that forges fields."""
    intake = Intake()

    logged = intake.take([sse.Frame("", payload, ""), *frames(ANSWER[0])])

    assert (logged, intake.ignored, intake.error) == (records(ANSWER[0]), 1, None)


@pytest.mark.parametrize("payload", ANSWER[1:])
def test_an_answer_without_a_start_breaks_the_protocol(payload):
    """Part of it is lost: no client can read the rest."""
    logged, intake = take(payload, *ANSWER)

    assert logged == []
    with pytest.raises(UpstreamProtocol):
        intake.finish()


ERROR = {"type": "overloaded_error", "message": "busy, see http://x.y/z"}


@pytest.mark.parametrize(
    "frame",
    [
        *frames(event("error", error=ERROR)),
        sse.Frame("error", json.dumps({"error": ERROR}).encode(), ""),
        sse.Frame("", event("error", error=ERROR), ""),
        sse.Frame("", json.dumps({"error": ERROR}).encode(), ""),
        sse.Frame("error", event("error", error=ERROR, message="flat"), ""),
    ],
)
def test_an_error_in_the_stream_is_final(frame):
    """What came before is logged; a later stop cannot turn it into success."""
    intake = Intake()

    logged = intake.take([*frames(*ANSWER[:3]), frame, *frames(*ANSWER[3:])])
    logged += intake.take(frames(*ANSWER))

    assert logged == records(*ANSWER[:3])
    assert (intake.ended, intake.finish_reason) == (False, "")
    assert (intake.error.code, intake.error.status) == ("overloaded", 503)
    assert (intake.error.detail.type, intake.error.detail.message) == ("overloaded_error", "busy, see [url]")
    with pytest.raises(UpstreamFault):
        intake.finish()


@pytest.mark.parametrize(
    ("type", "code", "status"),
    [
        ("rate_limit_error", "rate_limit", 429),
        ("overloaded_error", "overloaded", 503),
        ("timeout_error", "upstream_timeout", 504),
        ("api_error", "upstream_error", 502),
    ],
)
def test_an_errors_kind_is_kept(type, code, status):
    """What the provider says of its failure decides what the client may do."""
    _, intake = take(event("error", error={"type": type, "message": "?"}))

    assert (intake.error.code, intake.error.status) == (code, status)


@pytest.mark.parametrize(
    ("type", "again", "status"),
    [
        ("invalid_request_error", False, 400),
        ("not_found_error", False, 404),
        ("authentication_error", False, 502),
        ("permission_error", False, 502),
        ("api_error", True, 502),
    ],
)
def test_an_error_says_whether_to_try_again(type, again, status):
    """A request that is wrong, or a credential, is with any attempt."""
    _, intake = take(event("error", error={"type": type, "message": "?"}))

    assert (intake.error.retryable, intake.error.status) == (again, status)


def test_an_error_that_is_no_json_is_an_error():
    """Its text goes nowhere."""
    intake = Intake()

    assert intake.take([sse.Frame("error", b"secret trace", "")]) == []
    assert isinstance(intake.error, UpstreamFault)
    assert "secret" not in f"{intake.error} {intake.error.detail}"


@pytest.mark.parametrize("payload", [b"\xff", b"{", b"[]", b"7", b"null", b'{"x":"\xff"}', b"[" * 9000, b"[DONE]"])
def test_what_is_no_json_object_is_counted(payload):
    """Garbage in one event is left out and does not stop the answer."""
    intake = Intake()
    logged = intake.take([*frames(ANSWER[0]), sse.Frame("x", payload, ""), *frames(*ANSWER[1:])])

    assert logged == records(*ANSWER)
    assert (intake.ended, intake.ignored) == (True, 1)


def test_too_much_garbage_breaks_the_protocol():
    """Another dialect's stream is soon found out."""
    intake = Intake()
    chunk = sse.Frame("", b'{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"a"}}]}', "")

    assert intake.take([chunk] * 12) == []
    with pytest.raises(UpstreamProtocol):
        intake.finish()


def test_empty_data_is_a_keep_alive():
    """It is neither a record nor garbage."""
    intake = Intake()
    logged = intake.take([*[sse.Frame("", b" ", "")] * 500, *frames(*ANSWER)])

    assert (logged, intake.ignored, intake.ended) == (records(*ANSWER), 0, True)


@pytest.mark.parametrize(
    "odd",
    [
        delta(0, "text_delta", text="x", y=10**400),
        event("content_block_delta", index=0, delta=7),
        event("content_block_delta", index=0, delta={"stop_reason": 7}),
        event("note", message="text", usage=[]),
        b'{"type":"content_block_delta","delta":{"type":"text_delta","text":"\\ud83d"}}',
    ],
)
def test_json_with_types_of_its_own_is_kept(odd):
    """Valid JSON is the provider's business, half a surrogate pair included."""
    logged, intake = take(ANSWER[0], odd, *ANSWER[1:])

    assert (logged, intake.ignored, intake.ended) == (records(ANSWER[0], odd, *ANSWER[1:]), 0, True)


def test_the_first_end_counts():
    """Another start, another reason, another stop and what follows are left out and counted."""
    logged, intake = take(*ANSWER[:6], ANSWER[0], ends("max_tokens"), ends(None), STOP, STOP, ANSWER[2])

    assert logged == records(*ANSWER)
    assert (intake.finish_reason, intake.ignored, intake.ended) == ("stop", 5, True)


def test_the_reason_may_come_again_with_usage():
    """Counts grow until the end."""
    again = ends(usage={"output_tokens": 9})

    logged, intake = take(*ANSWER[:6], again, STOP)

    assert (logged, intake.usage.output, intake.ignored) == (records(*ANSWER[:6], again, STOP), 9, 0)


def test_an_id_that_is_not_fit_to_be_one_is_no_name():
    """An id goes into names and headers."""
    assert take(start(id="a\r\nb", model="x" * 300))[1].upstream_id == ""
    assert take(start(id="a", model="x" * 300))[1].model == ""


def read(pieces):
    """What a body gives, whatever its pieces."""
    decoder, intake = sse.Decoder(), Intake()
    logged = [record for data in pieces for record in intake.take(decoder.feed(data))]
    return logged, intake.ended, intake.ignored, intake.usage, intake.finish_reason, str(intake.error)


@pytest.mark.parametrize("answer", [ANSWER, RICH], ids=["text", "rich"])
def test_every_split_gives_the_same(answer):
    """Characters of several bytes and line ends split over chunks change nothing."""
    body = stream([*records(*answer[:2], PING), Record("x", b"{"), *records(*answer[2:])])

    whole = read([body])

    assert (whole[0], whole[1], whole[2]) == (records(*answer), True, 1)
    for pieces in splits(body.replace(b"\n", b"\r\n")):
        assert read(pieces) == whole


PAYLOADS = st.one_of(
    st.sampled_from([*ANSWER, *RICH, PING, opened(0, "x"), closed(9), event("error", error="x"), b"{", b'{"error":1}']),
    st.binary(max_size=20),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["type", "message", "delta", "usage", "error", "id", "stop_reason", "x", *USAGE]), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode()),
)
NAMES = st.sampled_from(["", "message_start", "message_delta", "message_stop", "ping", "error", "content_block_delta"])


@given(st.lists(st.tuples(NAMES, PAYLOADS), max_size=12), st.data())
def test_any_stream_is_read_alike_in_any_pieces(events, draw):
    """Nothing but the named errors, and the same whatever the network does."""
    body = b"".join(sse.encode(*each) for each in events)

    assert read(draw.draw(chunked(body))) == read([body])
