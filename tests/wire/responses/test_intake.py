"""What of a provider's Responses stream is logged, and what it says about the answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.responses.pieces import (
    ANSWER,
    BEGUN,
    CREATED,
    ENDED,
    USAGE,
    USED,
    call,
    calls,
    compact,
    event,
    frames,
    message,
    numbered,
    records,
    response,
    stream,
)
from tests.wire.splits import chunked, splits

from headrace.errors import UpstreamFault, UpstreamProtocol, UpstreamTruncated
from headrace.model.record import Record
from headrace.wire import sse
from headrace.wire.responses.intake import Intake


def take(*payloads):
    """The records of some payloads, and the intake."""
    intake = Intake()
    return intake.take(frames(*payloads)), intake


def end(type, **fields):
    """A stream with one answer's beginning and this end."""
    return numbered(*BEGUN, event(f"response.{type}", response=response(**{"status": type, **fields})))


def test_an_answer_is_logged_as_it_is():
    """Payloads are untouched, the last event is a record, and the answer has ended."""
    logged, intake = take(*ANSWER)

    assert logged == records(*ANSWER)
    assert (intake.ended, intake.finish_reason, intake.upstream_id, intake.model) == (True, "stop", "resp_u", "m")
    assert (intake.ignored, intake.error, intake.usage) == (0, None, USED)
    intake.finish()


def test_a_record_is_named_by_its_type():
    """A frame without a name has its type's; one without a type keeps its name."""
    intake = Intake()

    logged = intake.take([sse.Frame("", ANSWER[4], ""), sse.Frame("response.x", b'{"a":1}', "")])

    assert logged == [Record("response.output_text.delta", ANSWER[4]), Record("response.x", b'{"a":1}')]


def test_a_type_cannot_forge_fields():
    """A type with a line end is no name."""
    assert take(compact({"type": "a\nid: 7"}))[0] == []


@pytest.mark.parametrize("count", range(len(ANSWER)))
def test_an_answer_cut_at_any_frame_has_not_ended(count):
    """Only the last event is the end, whatever else looks complete; [DONE] is none."""
    logged, intake = take(*ANSWER[:count])
    intake.take([sse.Frame("", b"[DONE]", "")])

    assert logged == records(*ANSWER[:count])
    assert not intake.ended
    with pytest.raises(UpstreamTruncated):
        intake.finish()


@pytest.mark.parametrize(
    ("payloads", "reason"),
    [
        (ANSWER, "stop"),
        (calls(call("{}")), "tool_calls"),
        (end("completed", output=[message("a"), call("{}")]), "tool_calls"),
        (end("completed", output=[{**message(), "content": [{"type": "refusal", "refusal": "no"}]}]), "refusal"),
        (end("completed", output=None), "stop"),
        (end("incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (end("incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
        (end("incomplete", incomplete_details={"reason": "steered"}), "steered"),
        (end("incomplete", incomplete_details=None), "length"),
        (end("completed", status=["?"]), "stop"),
        (numbered(CREATED, event("response.completed")), "stop"),
    ],
)
def test_the_finish_reason_is_canonical(payloads, reason):
    """The reason is one word for all dialects."""
    _, intake = take(*payloads)

    assert (intake.ended, intake.finish_reason, intake.error) == (True, reason, None)


def test_calls_count_where_the_last_event_has_no_output():
    """Some servers leave the output out of it."""
    *payloads, last = calls(call("{}"))
    value = json.loads(last)
    del value["response"]["output"]

    assert take(*payloads, compact(value))[1].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("failure", "code", "detail"),
    [
        (event("error", code="rate_limit_exceeded", message="slow", param=None), "rate_limit", "rate_limit_exceeded"),
        (event("error", error={"code": "x", "message": "no"}), "upstream_error", "x"),
        ({"error": {"code": "x", "message": "no"}}, "upstream_error", "x"),
        (
            event("response.failed", response=response(status="failed", error={"code": "server_error", "message": ""})),
            "upstream_error",
            "server_error",
        ),
        (event("response.failed"), "upstream_error", ""),
        (event("response.incomplete", response=response(status="cancelled")), "upstream_error", ""),
        (event("response.cancelled", response=response(status="cancelled")), "upstream_error", ""),
        (event("response.completed", response=response(status="failed")), "upstream_error", ""),
    ],
)
def test_a_failure_is_final(failure, code, detail):
    """What came before is logged; a later end cannot turn it into success."""
    payloads = numbered(*BEGUN)

    logged, intake = take(*payloads, compact(failure), *numbered(*ENDED))

    assert logged == records(*payloads)
    assert (intake.ended, intake.finish_reason, intake.ignored) == (False, "", len(ENDED))
    assert (intake.error.code, intake.error.detail.code if intake.error.detail else "") == (code, detail)
    with pytest.raises(UpstreamFault):
        intake.finish()


@pytest.mark.parametrize(
    ("code", "again", "status"),
    [
        ("invalid_prompt", False, 400),
        ("400", False, 400),
        ("invalid_api_key", False, 502),
        ("server_error", True, 502),
    ],
)
def test_an_error_says_whether_to_try_again(code, again, status):
    """A request that is wrong, or a credential, is with any attempt, in an event of its own or in the last one."""
    failed = event("response.failed", response=response(status="failed", error={"code": code, "message": "no"}))
    for failure in (event("error", code=code, message="no", param=None), failed):
        _, intake = take(compact(failure))

        assert (intake.error.retryable, intake.error.status) == (again, status)


def test_an_error_is_scrubbed():
    """Addresses in a provider's words stay with us."""
    _, intake = take(compact(event("error", code="x", message="see http://a.b/c")))

    assert intake.error.detail.message == "see [url]"


def test_keep_alives_are_neither_records_nor_garbage():
    """Whatever a server keeps its connection open with."""
    idle = [compact(event("keepalive", sequence_number=3)), compact(event("ping"))]
    intake = Intake()

    assert intake.take([*frames(*idle), sse.Frame("", b"", ""), sse.Frame("", b"[DONE]", "")]) == []
    assert (intake.ignored, intake.error) == (0, None)


def test_what_comes_after_the_end_is_counted():
    """The first end counts; [DONE] after it is usual."""
    logged, intake = take(*ANSWER)
    late = intake.take([sse.Frame("", b"[DONE]", ""), *frames(*end("failed")[-1:], ANSWER[4])])

    assert (logged, late) == (records(*ANSWER), [])
    assert (intake.ended, intake.ignored, intake.error) == (True, 2, None)


@pytest.mark.parametrize("garbage", [b"\xff", b"{", b"[]", b"7", b"null", b'{"x":"\xff"}', b"[" * 9000, b'{"x":NaN}'])
def test_what_is_no_json_object_is_counted(garbage):
    """Garbage in one event is left out and does not stop the answer."""
    intake = Intake()

    logged = intake.take([*frames(*ANSWER[:4]), sse.Frame("", garbage, ""), *frames(*ANSWER[4:])])

    assert logged == records(*ANSWER)
    assert (intake.ended, intake.ignored) == (True, 1)


def test_too_much_garbage_breaks_the_protocol():
    """More invalid frames than valid ones and ten end the answer."""
    intake = Intake()
    intake.take([*frames(ANSWER[0]), *[sse.Frame("", b"<html>", "")] * 12])

    with pytest.raises(UpstreamProtocol):
        intake.finish()


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "response.output_text.delta", "delta": "\ud83d"},
        {"type": "response.output_text.delta", "x": 10**400},
        {"type": "response.created", "response": 7},
        {"type": "response.created", "response": {"id": 7, "model": []}},
        {"type": "response.unheard_of"},
    ],
)
def test_json_with_types_of_its_own_is_kept(odd):
    """Valid JSON is the provider's business, events that nobody knows included."""
    payload = json.dumps(odd).encode()

    logged, intake = take(payload, *ANSWER)

    assert (logged, intake.ignored, intake.ended) == (records(payload, *ANSWER), 0, True)
    assert (intake.upstream_id, intake.model) == ("resp_u", "m")


def test_an_id_that_is_not_fit_to_be_one_is_no_name():
    """An id goes into names and headers."""
    for id in ("a\r\nb", "x" * 300):
        assert take(compact(event("response.created", response=response(id=id))))[1].upstream_id == ""


def read(pieces):
    """What a body gives, whatever its pieces."""
    decoder, intake = sse.Decoder(), Intake()
    logged = [record for data in pieces for record in intake.take(decoder.feed(data))]
    return logged, intake.ended, intake.ignored, intake.usage, intake.finish_reason, str(intake.error)


@pytest.mark.parametrize("payloads", [ANSWER[3:6] + ANSWER[-1:], calls(call('{"a":"ü"}'))[1:]])
def test_every_split_gives_the_same(payloads):
    """Characters of several bytes and line ends split over chunks change nothing."""
    body = stream(*payloads).replace(b"\n", b"\r\n")

    whole = read([body])

    assert (len(whole[0]), whole[1]) == (len(payloads), True)
    for pieces in splits(body):
        assert read(pieces) == whole


PAYLOADS = st.one_of(
    st.sampled_from([*ANSWER, *end("failed"), b"[DONE]", b"{", compact({"error": "x"}), compact({"usage": USAGE})]),
    st.binary(max_size=20),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["response.completed", "error"]),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["type", "response", "error", "id"]), inner),
    ).map(lambda value: json.dumps(value).encode()),
)


@given(st.lists(PAYLOADS, max_size=12), st.data())
def test_any_stream_is_read_alike_in_any_pieces(payloads, draw):
    """Nothing but the named errors, and the same whatever the network does."""
    body = b"".join(sse.encode("", payload) for payload in payloads)

    assert read(draw.draw(chunked(body))) == read([body])
