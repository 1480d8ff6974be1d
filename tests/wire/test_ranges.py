"""Ranges: what a header asks for is what slices say, and what nobody needs is refused before it costs anything."""

import time
from email import message_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import RangeNotSatisfiable
from headrace.wire.ranges import MAX_RANGES, Range, asked, length, multipart

DATA = bytes(range(100))
TEN = "bytes=0-9"


@pytest.mark.parametrize(
    ("header", "ranges"),
    [
        ("bytes=0-0", [(0, 1)]),
        (TEN, [(0, 10)]),
        ("bytes=90-", [(90, 100)]),
        ("bytes=90-1000", [(90, 100)]),
        ("bytes=-10", [(90, 100)]),
        ("bytes=-1000", [(0, 100)]),
        ("BYTES = 0-9 , 20-29", [(0, 10), (20, 30)]),
        ("bytes=20-29,0-9", [(20, 30), (0, 10)]),
        ("bytes=,0-9,,", [(0, 10)]),
        ("bytes=0-9,500-600", [(0, 10)]),
        ("bytes=0-99999999999999999999999999", [(0, 100)]),
    ],
)
def test_what_is_asked_for_is_found(header, ranges):
    """In the header's order, clipped to what is there."""
    assert [tuple(one) for one in asked(header, 100)] == ranges


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=9-0",
        "bytes=0-9,x",
        "bytes=0-9;20-29",
        "bytes=0-9, bytes=20-29",
        "bytes=+0-9",
        "bytes=0x0-9",
        "bytes=\u0660-\u0669",
        "bytes=--9",
        "bytes=0-9-",
        "bytes=" + "9" * 5000 + "-",
        "lines=0-9",
        "none",
        "bytes=0-9,5-14",
        "bytes=0-,-1",
    ],
)
def test_what_is_not_understood_or_overlaps_asks_for_the_whole(header):
    """As RFC 9110 has it for the former, and allows for the latter."""
    assert asked(header, 100) == ()


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-0", 0)])
def test_what_is_not_there_is_refused(header, size):
    """With the size, which tells the client where the end is."""
    with pytest.raises(RangeNotSatisfiable) as caught:
        asked(header, size)
    assert (caught.value.status, caught.value.size) == (416, size)


def test_the_last_bytes_of_nothing_are_the_whole():
    """RFC 9110, section 14.1.2: such a range is satisfiable, and there is no Content-Range for it."""
    assert asked("bytes=-5", 0) == ()


def test_ten_thousand_ranges_are_refused_at_once():
    """Before any of them is looked at."""
    header = "bytes=" + ",".join(f"{2 * at}-{2 * at}" for at in range(10_000))
    begun = time.thread_time()
    with pytest.raises(RangeNotSatisfiable):
        asked(header, 1 << 30)
    assert time.thread_time() - begun < 0.05


def test_as_many_ranges_as_are_allowed_are_found():
    """And one more is not."""
    ones = [f"{2 * at}-{2 * at}" for at in range(MAX_RANGES + 1)]
    assert len(asked("bytes=" + ",".join(ones[:-1]), 100)) == MAX_RANGES
    with pytest.raises(RangeNotSatisfiable):
        asked("bytes=" + ",".join(ones), 100)


spec = st.one_of(
    st.tuples(st.integers(0, 120), st.none() | st.integers(0, 120)),
    st.tuples(st.none(), st.integers(0, 120)),
)


@given(st.lists(spec, min_size=1, max_size=6), st.integers(0, 100))
def test_any_ranges_are_slices(specs, size):
    """Whatever numbers are asked for, what is sent of each range is the slice that it names."""
    header = "bytes=" + ",".join(
        f"{'' if first is None else first}-{'' if last is None else last}" for first, last in specs
    )
    valid = all(first is None or last is None or first <= last for first, last in specs)
    data = DATA[:size]
    slices = [
        data[max(0, size - (last or 0)) :] if first is None else data[first : None if last is None else last + 1]
        for first, last in specs
    ]
    try:
        found = asked(header, size)
    except RangeNotSatisfiable:
        assert valid
        assert not any(slices)
        return
    if found:
        assert [data[one.start : one.stop] for one in found] == [one for one in slices if one]
    else:
        assert not valid or sum(map(len, slices)) > len(set(b"".join(slices))) or not size


@given(st.text(alphabet="bytes=0123456789-, \t;x", max_size=60), st.integers(0, 100))
def test_any_header_leads_within_what_is_there(header, size):
    """Nothing else is raised, and nothing is sent that is not there."""
    try:
        found = asked(header, size)
    except RangeNotSatisfiable:
        return
    assert all(0 <= one.start < one.stop <= size for one in found)


def test_several_ranges_are_a_body_that_mail_parsers_read():
    """Each part says what it is, the length is announced to the byte, and the end is marked."""
    ranges = [Range(0, 10), Range(50, 60)]
    body = multipart(ranges, 100, "video/mp4", "b0undary")
    sent = b"".join(DATA[one.start : one.stop] if isinstance(one, Range) else one for one in body)
    assert length(body) == len(sent)
    parsed = message_from_bytes(b"Content-Type: multipart/byteranges; boundary=b0undary\r\n\r\n" + sent)
    assert [part["content-range"] for part in parsed.get_payload()] == ["bytes 0-9/100", "bytes 50-59/100"]
    assert [part.get_content_type() for part in parsed.get_payload()] == ["video/mp4"] * 2
    assert [part.get_payload(decode=True) for part in parsed.get_payload()] == [DATA[:10], DATA[50:60]]
    assert not parsed.defects
