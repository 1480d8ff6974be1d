"""Lines of JSON, however they come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.splits import chunked, splits

from headrace.wire import ndjson
from headrace.wire.bounds import SizeExceeded


def decode(pieces, **options):
    """All lines, the last one's LF or not."""
    decoder = ndjson.Decoder(**options)
    return [line for piece in pieces for line in decoder.feed(piece)] + decoder.close()


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"{}\n", [b"{}"]),
        (b"{}\r\n[1]\r\n", [b"{}", b"[1]"]),
        (b"\n\r\n \n{}\n\n", [b"{}"]),
        (b"1\n2", [b"1", b"2"]),
        (b'"\xe2\x80\xa8\xc2\x85"\n', [b'"\xe2\x80\xa8\xc2\x85"']),
    ],
)
def test_lines_in_every_split(data, lines):
    """LF and CRLF end a line, nothing else does, and a last line may lack it."""
    for pieces in splits(data):
        assert decode(pieces) == lines


@given(st.lists(st.sampled_from([b"{}", b"[1, 2]", b'"a b"', "é".encode()])), st.data())
def test_what_is_encoded_is_decoded(values, draw):
    """Lines survive the wire in any pieces."""
    data = b"".join(ndjson.encode(value) for value in values)

    assert decode(draw.draw(chunked(data))) == values


def test_a_value_stays_on_its_line():
    """Line ends between the tokens of a value would cut it."""
    assert ndjson.encode(b'{\r\n"a": 1}') == b'{  "a": 1}\n'


@pytest.mark.parametrize(
    ("data", "count"), [(b"1\n" + b"x" * 9, 1), (b"x" * 9 + b"\n1\n", 0), (b"1\n" + b"x" * 9 + b"\n", 1)]
)
def test_a_line_is_bounded(data, count):
    """What came before a line that is too long is handed out first."""
    for pieces in splits(data):
        decoder, lines = ndjson.Decoder(max_line=8), []
        with pytest.raises(SizeExceeded):  # noqa: PT012  (where in the pieces it comes is not the point)
            for piece in pieces:
                lines += decoder.feed(piece)
            decoder.close()
        assert len(lines) == count
