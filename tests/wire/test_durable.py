"""Durable Streams on the wire: bodies as records, records as events, and the values of headers."""

import json
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import BodyTooLarge, RequestError
from headrace.wire import durable
from headrace.wire.json_object import MAX_CONTAINERS
from headrace.wire.sse import Decoder

OFFSET = "0000000000000001_0000000000000007"


def shown(*events: bytes):
    """Events as a parser of the standard sees them."""
    decoder = Decoder()
    frames = decoder.feed(b"".join(events))
    return [(frame.event, frame.data) for frame in frames], decoder.last_event_id


# --- bodies


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b'{"a" : 1.0}', [b'{"a":1.0}']),
        (b' [1, "two",\n null] ', [b"1", b'"two"', b"null"]),
        (b"[[1, 2], []]", [b"[1,2]", b"[]"]),
        (b"[]", []),
        (b'"[1]"', [b'"[1]"']),
        (b"12345678901234567890123", [b"12345678901234567890123"]),
        ('["\\u00e4ä\u2028"]'.encode(), '"\\u00e4ä\u2028"'.encode().splitlines()),
    ],
)
def test_one_level_of_an_array_is_taken_apart(body, values):
    """Each value is in one line and otherwise as it was written."""
    assert durable.json_values(body) == values
    assert json.loads(durable.json_array(values)) == (
        json.loads(body) if body.strip()[:1] == b"[" else [json.loads(body)]
    )


@pytest.mark.parametrize("body", [b"", b" ", b"{", b"[1,]", b"[1] 2", b"NaN", b'"\xff"', b"{a:1}", b"[" * 100_000])
def test_what_is_no_json_is_refused(body):
    with pytest.raises(RequestError):
        durable.json_values(body)


def test_an_append_of_too_many_messages_is_refused_before_they_are_made(monkeypatch):
    """Each costs far more memory than its two bytes, and a row in the store."""
    body = b"[%b1]" % (b"1," * MAX_CONTAINERS)
    assert len(durable.json_values(body[:-3] + b"]")) == MAX_CONTAINERS

    monkeypatch.setattr(durable, "_values", lambda _: pytest.fail("they were made"))
    with pytest.raises(BodyTooLarge):
        durable.json_values(body)


@given(st.binary(max_size=300_000))
def test_pieces_make_the_body(body):
    """None is empty or large."""
    pieces = durable.pieces(body)
    assert b"".join(pieces) == body
    assert all(0 < len(piece) <= durable.PIECE for piece in pieces)


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("letter", ["ä", "€", "🌊"])
def test_no_character_is_cut(before, letter):
    """Wherever the end of a piece falls."""
    body = b"." * before + letter.encode() * 70_000
    pieces = durable.pieces(body)
    assert len(pieces) > 1
    assert "".join(piece.decode() for piece in pieces) == body.decode()


# --- events


@given(st.lists(st.binary(max_size=60), min_size=1), st.sampled_from(["text/plain", "text/html"]))
def test_text_cannot_leave_its_event(records, kind):
    """Whatever is in it: no other event begins, and it reads the same but for its line ends."""
    ((event, data),) = shown(durable.data_event(records, kind))[0] or [("data", b"")]
    assert event == "data"
    plain = b"".join(records).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert data == plain.decode("utf-8", "replace").encode() or data == plain


@given(st.lists(st.binary(max_size=60), min_size=1))
def test_other_bytes_are_base64(records):
    """In one line, decoded as a whole."""
    event = durable.data_event(records, "image/png")
    assert event.count(b"\n") == 3
    assert b64decode(event.split(b"data:")[1]) == b"".join(records)


def test_json_is_an_array_in_one_event():
    events, _ = shown(durable.data_event([b"1", b'{"a":2}'], "application/json"))
    assert events == [("data", b'[1,{"a":2}]')]


def test_a_control_event_says_where_the_reader_is():
    """To a browser in its id, to other clients in its data; a closed topic has no cursor to go on with."""
    events, last = shown(durable.control_event(OFFSET, "9", up_to_date=True, closed=False))
    assert last == OFFSET
    assert [(name, json.loads(data)) for name, data in events] == [
        ("control", {"streamNextOffset": OFFSET, "streamCursor": "9", "upToDate": True})
    ]
    events, _ = shown(durable.control_event(OFFSET, "9", up_to_date=True, closed=True))
    assert json.loads(events[0][1]) == {"streamNextOffset": OFFSET, "streamClosed": True, "upToDate": True}
    events, _ = shown(durable.control_event(OFFSET, "9", up_to_date=False, closed=False))
    assert json.loads(events[0][1]) == {"streamNextOffset": OFFSET, "streamCursor": "9"}


# --- values of headers


@pytest.mark.parametrize("text", ["", "-1", "+1", "01", "1.0", "1e3", " 1", "1 ", "٣", "9007199254740992", "9" * 5000])
def test_numbers_have_one_form(text):
    assert durable.natural("0", "x") == 0
    assert durable.natural("9007199254740991", "x") == (1 << 53) - 1
    with pytest.raises(RequestError):
        durable.natural(text, "x")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-21T12:00:00Z", 1795262400.0),
        ("2026-11-21t12:00:00.250z", 1795262400.25),
        ("2026-11-21T13:30:00+01:30", 1795262400.0),
    ],
)
def test_times_are_rfc_3339(text, seconds):
    assert durable.timestamp(text, "x") == seconds
    assert durable.timestamp(durable.shown_time(seconds), "x") == seconds


NO_TIMES = [
    "",
    "now",
    "2026-11-21",
    "2026-11-21T12:00:00",
    "20261121T120000Z",
    "2026-13-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
]


@pytest.mark.parametrize("text", NO_TIMES)
def test_other_dates_are_no_times(text):
    with pytest.raises(RequestError):
        durable.timestamp(text, "x")


NO_TYPES = [
    "",
    "text",
    "text/",
    "/x",
    "text/plain\r\nx: y",
    "a b/c",
    "text/plain; ä",
    "t/" + "x" * 200,
]


@pytest.mark.parametrize("text", NO_TYPES)
def test_content_types_can_stand_in_a_header(text):
    assert durable.content_type("text/plain; charset=utf-8") == "text/plain; charset=utf-8"
    with pytest.raises(RequestError):
        durable.content_type(text)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [(None, "10"), ("9", "10"), ("10", "13"), ("50", "53"), ("x", "10"), ("-1", "10"), ("9" * 400, "10")],
)
def test_a_cursor_only_goes_forward(shown, expected):
    """By the clock, and beyond the one that is shown."""
    assert durable.cursor(1_728_432_000 + 10 * 20 + 5, shown, 3) == expected
