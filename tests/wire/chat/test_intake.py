"""What of a provider's stream is logged, and what it says about the answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.chat.pieces import ANSWER, USAGE, chunk, frames, piece, records, stream
from tests.wire.splits import chunked, splits

from headrace.errors import UpstreamFault, UpstreamProtocol, UpstreamTruncated
from headrace.model.outcome import Usage
from headrace.wire import sse
from headrace.wire.chat.intake import Intake

DONE = b"[DONE]"


def take(*payloads, usage_wanted=False, done_marker=True):
    """The records of some payloads, and the intake."""
    intake = Intake(usage_wanted, done_marker=done_marker)
    return intake.take(frames(*payloads)), intake


def test_an_answer_is_logged_as_it_is():
    """Payloads are untouched, [DONE] is no record, and the answer has ended."""
    logged, intake = take(*ANSWER, DONE)

    assert logged == records(*ANSWER)
    assert (intake.ended, intake.finish_reason, intake.upstream_id, intake.model) == (True, "stop", "chatcmpl-1", "m")
    assert (intake.ignored, intake.error) == (0, None)
    intake.finish()


@pytest.mark.parametrize("count", range(len(ANSWER) + 1))
@pytest.mark.parametrize("clean", [True, False])
def test_an_answer_cut_at_any_frame_has_not_ended(count, clean):
    """Without [DONE] nothing looks complete, not even after the finish reason."""
    logged, intake = take(*ANSWER[:count])

    assert logged == records(*ANSWER[:count])
    assert not intake.ended
    if clean:
        with pytest.raises(UpstreamTruncated):
            intake.finish()
        assert not intake.ended


@pytest.mark.parametrize(
    "payloads",
    [
        [],
        [ANSWER[0], ANSWER[1]],
        [chunk(piece(0, "stop"), piece(1, content="a"))],
        [chunk(usage=USAGE)],
    ],
    ids=["nothing", "no finish reason", "one of two choices", "usage only"],
)
def test_done_without_every_finish_reason_is_truncated(payloads):
    """[DONE] alone does not make an answer whole."""
    _, intake = take(*payloads, DONE)

    assert not intake.ended
    with pytest.raises(UpstreamTruncated):
        intake.finish()


def test_a_server_without_done_ends_with_its_body():
    """With the knob, a finish reason and a clean end are the end; a finish reason alone is not yet."""
    _, intake = take(*ANSWER, done_marker=False)
    assert not intake.ended
    intake.finish()
    assert intake.ended

    _, cut = take(*ANSWER[:-1], done_marker=False)
    with pytest.raises(UpstreamTruncated):
        cut.finish()


@pytest.mark.parametrize("wanted", [True, False])
def test_usage_chunk_is_a_record_only_if_wanted(wanted):
    """A usage chunk that only we asked for goes into the outcome and nowhere else."""
    usage = {
        **USAGE,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    payloads = [*ANSWER, chunk(usage=usage)]

    logged, intake = take(*payloads, DONE, usage_wanted=wanted)

    assert logged == records(*(payloads if wanted else ANSWER))
    assert intake.usage == Usage(input=3, output=2, cached=1, reasoning=2)
    assert intake.ignored == 0


def test_usage_on_the_finish_chunk_stays():
    """A chunk with choices is never changed or left out for its usage."""
    last = chunk(piece(finish_reason="stop"), usage=USAGE)

    logged, intake = take(ANSWER[0], last, DONE)

    assert logged == records(ANSWER[0], last)
    assert intake.usage == Usage(input=3, output=2)


def test_usage_twice_counts_once():
    """A second usage chunk is left out and counted."""
    first, second = chunk(usage=USAGE), chunk(usage={**USAGE, "prompt_tokens": 99})

    logged, intake = take(*ANSWER, first, second, DONE, usage_wanted=True)

    assert logged == records(*ANSWER, first)
    assert (intake.usage, intake.ignored) == (Usage(input=3, output=2), 1)


@pytest.mark.parametrize(
    "usage", [{}, {"prompt_tokens": -1, "completion_tokens": 1}, {"prompt_tokens": "3"}, 7, [], None]
)
def test_usage_that_says_nothing_is_unknown(usage):
    """Unknown is not zero, and no reason to lose the chunk."""
    odd = chunk(piece(content="a"), usage=usage)

    logged, intake = take(odd)

    assert (logged, intake.usage) == (records(odd), None)


def test_azures_first_chunk_is_a_record():
    """Its id and model are empty: those of the next chunk count."""
    first = chunk(id="", model="", prompt_filter_results=[{"prompt_index": 0}])
    without = json.dumps({"prompt_filter_results": []}).encode()

    logged, intake = take(first, without, *ANSWER, DONE)

    assert logged == records(first, without, *ANSWER)
    assert (intake.upstream_id, intake.model) == ("chatcmpl-1", "m")


@pytest.mark.parametrize(
    "frame",
    [
        sse.Frame("", b'{"error":{"message":"no","type":"server_error","code":"x"}}', ""),
        sse.Frame("error", b'{"error":{"message":"no","type":"server_error","code":"x"}}', ""),
        sse.Frame("error", b'{"message":"no","type":"error","code":"x"}', ""),
        sse.Frame("", b'{"object":"error","message":"no","code":"x"}', ""),
        sse.Frame("", chunk(piece(finish_reason="error"), error={"message": "no", "code": "x"}), ""),
    ],
)
def test_an_error_in_the_stream_is_final(frame):
    """What came before is logged; a later stop cannot turn it into success."""
    intake = Intake(usage_wanted=False)

    logged = intake.take([*frames(*ANSWER[:2]), frame, *frames(ANSWER[3], DONE)])
    logged += intake.take(frames(*ANSWER, DONE))

    assert logged == records(*ANSWER[:2])
    assert (intake.ended, intake.finish_reason) == (False, "")
    assert isinstance(intake.error, UpstreamFault)
    assert (intake.error.detail.message, intake.error.detail.code) == ("no", "x")
    with pytest.raises(UpstreamFault):
        intake.finish()


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        ({"message": "slow down", "code": 429}, "rate_limit", 429),
        ({"message": "busy", "type": "overloaded_error"}, "overloaded", 503),
        ({"message": "?"}, "upstream_error", 502),
        ("text", "upstream_error", 502),
    ],
)
def test_an_errors_kind_is_kept(error, code, status):
    """What the provider says of its failure decides what the client may do."""
    _, intake = take(json.dumps({"error": error}).encode())

    assert (intake.error.code, intake.error.status) == (code, status)


@pytest.mark.parametrize(
    ("error", "again", "status"),
    [
        ({"message": "no", "code": 400}, False, 400),
        ({"message": "no", "type": None, "param": None, "code": "400"}, False, 400),
        ({"message": "no", "type": "BadRequestError", "param": None, "code": 400}, True, 502),
        ({"message": "no", "type": "invalid_request_error", "code": "invalid_api_key"}, False, 502),
        ({"message": "no", "code": 401}, False, 502),
    ],
)
def test_an_error_says_whether_to_try_again(error, again, status):
    """A request that is wrong, or a credential, is with any attempt; vLLM says bad request of anything."""
    _, intake = take(json.dumps({"error": error}).encode())

    assert (intake.error.retryable, intake.error.status) == (again, status)


@pytest.mark.parametrize(
    "payload",
    [b"\xff", b"{", b'{"a":\0}', b"[]", b"7", b"null", b'"x"', b'{"x":"\xff"}', b"[" * 9000, b'{"x":NaN}', b"\0"],
)
def test_what_is_no_json_object_is_counted(payload):
    """Garbage in one event is left out and does not stop the answer."""
    logged, intake = take(ANSWER[0], payload, *ANSWER[1:], DONE)

    assert logged == records(*ANSWER)
    assert (intake.ended, intake.ignored) == (True, 1)


def test_too_much_garbage_breaks_the_protocol():
    """More invalid frames than valid ones and ten, or a hundred, end the answer."""
    logged, intake = take(ANSWER[0], *[b"<html>"] * 12, ANSWER[1])
    assert logged == records(ANSWER[0])
    assert isinstance(intake.error, UpstreamProtocol)

    intake = Intake(usage_wanted=False)
    intake.take(frames(*[ANSWER[1]] * 500))
    intake.take(frames(*[b"{"] * 100))
    assert intake.error is None
    intake.take(frames(b"{"))
    with pytest.raises(UpstreamProtocol):
        intake.finish()


def test_empty_data_is_a_keep_alive():
    """It is neither a record nor garbage."""
    logged, intake = take(*[b""] * 500, *ANSWER, b" ", DONE)

    assert (logged, intake.ignored, intake.ended) == (records(*ANSWER), 0, True)


@pytest.mark.parametrize(
    "odd",
    [
        {"id": 5},
        {"model": None},
        {"choices": [None, piece(content="a")]},
        {"usage": 1},
        {"x": 10**400},
        {"x": "\ud83d"},
    ],
)
def test_json_with_types_of_its_own_is_kept(odd):
    """Valid JSON is the provider's business, half a surrogate pair included."""
    payload = json.dumps({"choices": [piece(content="a")], **odd}).encode()

    logged, intake = take(payload, *ANSWER, DONE)

    assert (logged, intake.ignored, intake.ended) == (records(payload, *ANSWER), 0, True)


def test_the_first_finish_counts():
    """Another finish of the same choice, another [DONE] and what follows are left out and counted."""
    again = chunk(piece(finish_reason="length"))

    logged, intake = take(*ANSWER, again, ANSWER[3], DONE, DONE, ANSWER[1])

    assert logged == records(*ANSWER)
    assert (intake.finish_reason, intake.ignored, intake.ended) == ("stop", 4, True)


@pytest.mark.parametrize("last", ["stop", "length"])
def test_what_a_server_says_after_a_finish_is_kept(last):
    """Some servers finish with every word (gcli2api, Open WebUI did): what comes after the first is no less said."""
    words = [chunk(piece(finish_reason="stop", role="assistant", content=word)) for word in ("one", " two")]
    call = chunk(piece(finish_reason=last, tool_calls=[{"index": 0, "id": "c", "function": {"name": "f"}}]))
    empty = chunk(piece(finish_reason=last, role="assistant", content=""))

    logged, intake = take(*words, call, empty, b"[DONE]")

    assert [record.data for record in logged] == [*words, call]
    assert (intake.finish_reason, intake.ignored, intake.ended) == ("stop", 1, True)


def test_a_repeated_finish_may_carry_usage():
    """OpenRouter repeats the finish on its usage chunk."""
    last = chunk(piece(finish_reason="stop"), usage=USAGE)

    assert take(*ANSWER, last, DONE)[0] == records(*ANSWER, last)


def test_an_event_of_another_kind_is_left_out():
    """A named frame without choices would crash a client's helper."""
    intake = Intake(usage_wanted=False)

    assert intake.take([sse.Frame("ping", b'{"type":"ping"}', "")]) == []
    assert (intake.ignored, intake.error) == (1, None)


def test_an_id_that_is_not_fit_to_be_one_is_no_name():
    """An id goes into names and headers."""
    assert take(chunk(piece(), id="a\r\nb"))[1].upstream_id == ""
    assert take(chunk(piece(), id="x" * 300))[1].upstream_id == ""


def test_several_choices_finish_one_by_one():
    """The finish reason is that of choice 0."""
    payloads = [
        chunk(piece(1, content="b")),
        chunk(piece(0, content="a")),
        chunk(piece(1, "length")),
        chunk(piece(0, "stop")),
    ]

    logged, intake = take(*payloads, DONE)

    assert (len(logged), intake.finish_reason, intake.ended) == (4, "stop", True)


def read(pieces):
    """What a body gives, whatever its pieces."""
    decoder, intake = sse.Decoder(), Intake(usage_wanted=True)
    logged = [record for data in pieces for record in intake.take(decoder.feed(data))]
    return logged, intake.ended, intake.ignored, intake.usage, intake.finish_reason, str(intake.error)


def test_every_split_gives_the_same():
    """Characters of several bytes and line ends split over chunks change nothing."""
    body = stream(ANSWER[2], b"{", ANSWER[3], chunk(usage=USAGE), DONE)

    whole = read([body])

    assert (len(whole[0]), whole[1]) == (3, True)
    for pieces in splits(body.replace(b"\n", b"\r\n")):
        assert read(pieces) == whole


PAYLOADS = st.one_of(
    st.sampled_from(
        [*ANSWER, DONE, b"{", chunk(usage=USAGE), b'{"error":{}}', b'{"error":"x"}', chunk(piece(1, content="b"))]
    ),
    st.binary(max_size=20),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["id", "choices", "usage", "error", "index", "x"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode()),
)


@given(st.lists(PAYLOADS, max_size=12), st.data())
def test_any_stream_is_read_alike_in_any_pieces(payloads, draw):
    """Nothing but the named errors, and the same whatever the network does."""
    body = stream(*payloads)

    assert read(draw.draw(chunked(body))) == read([body])
