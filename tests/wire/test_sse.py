"""The SSE decoder against the WHATWG text, and the encoder against the decoder."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.wire.splits import chunked, splits

from headrace.errors import UpstreamError
from headrace.wire import sse
from headrace.wire.bounds import SizeExceeded
from headrace.wire.sse import Decoder, Frame


def decode(pieces, **options):
    """Every frame, and the decoder after its close."""
    decoder = Decoder(**options)
    frames = [frame for piece in pieces for frame in decoder.feed(piece)]
    decoder.close()
    return frames, decoder


def reference(data: bytes):
    """The standard's algorithm on a whole stream, written as plainly as can be."""
    frames, event, last, held, retry, comments = [], "", "", "", None, 0
    buffer: list[bytes] = []
    data = data.removeprefix(b"\xef\xbb\xbf")
    *lines, _ = re.split(rb"\r\n|\r|\n", data)
    for line in lines:
        if line == b"":
            last = held
            if buffer:
                frames.append(Frame(event, b"\n".join(buffer), last))
            event, buffer = "", []
            continue
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"":
            comments += 1
        elif name == b"data":
            buffer.append(value)
        elif name == b"event" and b"\0" not in value:
            event = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            held = value.decode(errors="replace")
        elif name == b"retry" and re.fullmatch(rb"[0-9]{1,15}", value):
            retry = int(value)
    return frames, last, retry, comments


CASES = {
    "one frame": (b"data: a\n\n", [("", b"a", "")]),
    "named": (b"event: token\ndata: a\n\n", [("token", b"a", "")]),
    "a name counts for one block only": (b"event: x\ndata: a\n\ndata: b\n\n", [("x", b"a", ""), ("", b"b", "")]),
    "a name without data is forgotten": (b"event: x\n\ndata: b\n\n", [("", b"b", "")]),
    "CR": (b"event: x\rdata: a\r\rdata: b\r\r", [("x", b"a", ""), ("", b"b", "")]),
    "CRLF": (b"event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", [("x", b"a", ""), ("", b"b", "")]),
    "mixed ends": (b"data: a\r\r\n\ndata: b\n\r\ndata: c\r\n\n", [("", b"a", ""), ("", b"b", ""), ("", b"c", "")]),
    "CR CR LF LF ends one block": (b"data: a\r\r\n\n", [("", b"a", "")]),
    "BOM": (b"\xef\xbb\xbfdata: a\n\n", [("", b"a", "")]),
    "only one BOM": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [("", b"b", "")]),
    "a later BOM is data": (b"data: \xef\xbb\xbfa\n\n", [("", b"\xef\xbb\xbfa", "")]),
    "half a BOM is a field": (b"\xef\xbbdata: a\n\ndata: b\n\n", [("", b"b", "")]),
    "U+2028 and U+0085 stay data": (
        b"data: a\xe2\x80\xa8b\xc2\x85c\x85d\x0be\x0cf\n\n",
        [("", b"a\xe2\x80\xa8b\xc2\x85c\x85d\x0be\x0cf", "")],
    ),
    "id": (b"id: 7\ndata: a\n\ndata: b\n\n", [("", b"a", "7"), ("", b"b", "7")]),
    "empty id resets": (b"id: 7\ndata: a\n\nid\ndata: b\n\n", [("", b"a", "7"), ("", b"b", "")]),
    "NUL in id": (b"id: 7\ndata: a\n\nid: 8\0\ndata: b\n\n", [("", b"a", "7"), ("", b"b", "7")]),
    "NUL in event": (b"event: a\0b\ndata: a\n\n", [("", b"a", "")]),
    "NUL in data": (b"data: a\0b\n\n", [("", b"a\0b", "")]),
    "an id-only block moves the id": (b"id: 7\n\ndata: a\n\n", [("", b"a", "7")]),
    "no data, no frame": (b"event: x\nid: 1\nretry: 5\n: c\n\n", []),
    "an empty data field is data": (b"data\n\ndata:\n\ndata: \n\n", [("", b"", "")] * 3),
    "the standard's third example": (b"data\n\ndata\ndata\n\ndata:", [("", b"", ""), ("", b"\n", "")]),
    "no space": (b"data:a\n\ndata:  b\n\n", [("", b"a", ""), ("", b" b", "")]),
    "only one space goes": (b"data: \t a \n\n", [("", b"\t a ", "")]),
    "several lines": (b"data: a\ndata: \ndata: b\n\n", [("", b"a\n\nb", "")]),
    "comments": (b": hi\n:\ndata: a\n: ho\n\n", [("", b"a", "")]),
    "a comment between frames": (b"data: a\n\n: ping\ndata: b\n\n", [("", b"a", ""), ("", b"b", "")]),
    "unknown fields": (b"date: x\nDATA: x\n data: x\ndata: a\n\n", [("", b"a", "")]),
    "many blank lines": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", [("", b"a", ""), ("", b"b", "")]),
    "cut in a line": (b"data: a\n\ndata: b", [("", b"a", "")]),
    "cut after a line": (b"data: a\n\ndata: b\n", [("", b"a", "")]),
    "a colon in data": (b"data: a: b\n\n", [("", b"a: b", "")]),
    "data glued to data": (
        b"data: a\n\ndata: b\ndata: c\n\ndata: d\n\n",
        [("", b"a", ""), ("", b"b\nc", ""), ("", b"d", "")],
    ),
    "bytes that are no UTF-8": (b"event: \xff\nid: \xfe\ndata: \xc3(\n\n", [("\ufffd", b"\xc3(", "\ufffd")]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("data", "expected"), CASES.values(), ids=CASES.keys())
def test_case_in_every_split(data, expected):
    """A stream means the same wherever the network cuts it."""
    for pieces in splits(data):
        frames, _ = decode(pieces)

        assert frames == expected, pieces
    assert reference(data)[0] == expected


@pytest.mark.parametrize(
    ("data", "retry", "last", "comments"),
    [
        (b"retry: 3000\n", 3000, "", 0),
        (b"retry: 3000\nretry: 3x\nretry: -1\nretry:\nretry: 1.5\n", 3000, "", 0),
        ("retry: ٣\n".encode(), None, "", 0),
        (b"retry: " + b"9" * 5000 + b"\n", None, "", 0),
        (b": ping\n: ping\n", None, "", 2),
        (b": pi", None, "", 0),
        (b"id: 7\n", None, "", 0),
        (b"id: 7\n\n", None, "7", 0),
        (b"id: 7\n\nid: 8\ndata: x\n", None, "7", 0),
    ],
)
def test_what_is_not_a_frame(data, retry, last, comments):
    """Retry and comments count at once, an id at the end of its block."""
    for pieces in [[data], *(splits(data) if len(data) < 100 else [])]:
        frames, decoder = decode(pieces)

        assert frames == []
        assert (decoder.retry, decoder.last_event_id, decoder.comments) == (retry, last, comments)


@pytest.mark.parametrize(
    ("data", "discarded"),
    [
        (b"", False),
        (b"data: a\n\n", False),
        (b"data: a\n\n: ping\n", False),
        (b"data: a\n", True),
        (b"data: a\n\nda", True),
        (b"event: x\n", True),
        (b"\xef\xbb", True),
    ],
)
def test_close_tells_whether_something_was_lost(data, discarded):
    """An unfinished block is no frame, but it is not silently gone either."""
    for pieces in splits(data):
        assert decode(pieces)[1].discarded is discarded


PARTS = st.sampled_from(
    [
        *[b"data: x\n\n", b"data: ", b"data:", b"data", b"id: 1\n", b"id: \0", b"event: e\n", b": c\n", b"retry: 12\n"],
        *[b"\n", b"\r", b"\r\n", b"\n\n", b"\xef\xbb\xbf", b"\xef", b"\xbb", b"\xe2\x80\xa8", b" ", b"\0", b"a"],
    ]
)
STREAMS = st.one_of(st.binary(max_size=60), st.lists(PARTS, max_size=30).map(b"".join))


@given(data=STREAMS, draw=st.data())
@example(data=b"data: a\n\ndata: b\r\r\n", draw=None)
def test_the_short_way_is_the_long_way(data, draw):
    """Any bytes at any split give what the plain algorithm gives of the whole."""
    pieces = [data] if draw is None else draw.draw(chunked(data))

    frames, decoder = decode(pieces)

    assert (frames, decoder.last_event_id, decoder.retry, decoder.comments) == reference(data)


@given(
    st.lists(st.sampled_from([b"data: ab\n\n", b"data: a\ndata: b\n\n", b"event: x\ndata: b\n\n"]), max_size=20),
    st.data(),
)
def test_the_short_way_within_long_chunks(blocks, draw):
    """Whole blocks in large pieces, with some that are not of the usual kind."""
    data = b"".join(blocks)

    assert decode(draw.draw(chunked(data)))[0] == reference(data)[0]


def run_into_bound(pieces, bound):
    """The frames before the bound, and whether it was met."""
    decoder = Decoder(max_event_size=bound)
    frames = []
    try:
        for piece in pieces:
            frames += decoder.feed(piece)
        decoder.close()
    except SizeExceeded:
        return frames, True
    return frames, False


@pytest.mark.parametrize(
    ("data", "count", "over"),
    [
        (b"data: 5678901234\n\n", 1, False),
        (b"data: a\n\ndata: 56789012345\n\n", 1, True),
        (b"data: a\n\n" + b"x" * 17, 1, True),
        (b": 34567890123456\n\ndata: a\n\n", 1, False),
        (b": 345678901234567\n\ndata: a\n\n", 0, True),
        (b"data: 12345\ndata: 12345\ndata: 123\n\n", 1, False),
        (b"data: a\n\ndata: 12345\ndata: 12345\ndata: 12345\n\ndata: b\n\n", 1, True),
        (b"data: a\n\n" * 100, 100, False),
        (b": ping\n" * 100, 0, False),
        (b"data\n" * 18, 0, True),
    ],
)
def test_size_bound(data, count, over):
    """A line or an event over 16 bytes is an error after what came before it; many small ones are not."""
    for pieces in splits(data):
        frames, raised = run_into_bound(pieces, 16)

        assert (len(frames), raised) == (count, over), pieces


def test_size_error_is_an_upstreams_limit():
    """A line without an end fails the answer as over a limit, and stays failed."""
    decoder = Decoder()
    for _ in range(104):
        decoder.feed(b"x" * 10_000)
    with pytest.raises(UpstreamError) as raised:
        decoder.feed(b"x" * 10_000)
    assert raised.value.code == "limit"
    with pytest.raises(SizeExceeded):
        decoder.feed(b"\n\ndata: a\n\n")


NAMES = st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"))


@given(event=NAMES, data=st.binary(), id=NAMES, draw=st.data())
def test_what_is_encoded_is_decoded(event, data, id, draw):
    """A frame survives the wire; only its line ends become LF."""
    block = sse.encode(event, data, id)

    frames, decoder = decode(draw.draw(chunked(block)))

    assert frames == [(event, data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), id)]
    assert not decoder.discarded


def test_order_of_fields():
    """Event, data, id, retry, LF only."""
    assert sse.encode("token", b"a\r\nb", "s:1", retry=2500) == (
        b"event: token\ndata: a\ndata: b\nid: s:1\nretry: 2500\n\n"
    )
    assert sse.encode("", b"a") == b"data: a\n\n"


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "\ud800"])
def test_fields_cannot_be_forged(bad):
    """A name, an id or a comment with a line end or NUL is refused."""
    for attempt in (lambda: sse.encode(bad, b"x"), lambda: sse.encode("", b"x", bad), lambda: sse.comment(bad)):
        with pytest.raises(ValueError):
            attempt()


def test_comment_ends_no_block():
    """A keep-alive is a bare line, so that it dispatches nothing in any client."""
    assert sse.comment("ping") == b": ping\n"
    assert decode([b"data: a\n" + sse.comment("ping") + b"\n"])[0] == [("", b"a", "")]
