"""Appending: lines as they come from a pipe, each batch under a number of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.scripted import CUT, Scripted, answer

from headrace.client.append import LONGEST, TEXT, Appender, blocks
from headrace.client.errors import Refused

JSON = {"content_type": "application/json"}


def reading(*pieces):
    """A pipe's ``read``, which gives so many pieces and then its end."""
    left = iter([*pieces, b""])
    return lambda: next(left)


def appender(scripted, **options):
    return Appender(scripted.client(), "build/log", **options)


@pytest.mark.parametrize(
    ("pieces", "found"),
    [
        ([], []),
        ([b"one\n"], [b"one\n"]),
        ([b"one\ntwo\n"], [b"one\ntwo\n"]),
        ([b"one\ntw", b"o\nthree"], [b"one\n", b"two\n", b"three\n"]),
        ([b"o", b"n", b"e", b"\n"], [b"one\n"]),
        ([b"one"], [b"one\n"]),
        ([b"\n", b"\n"], [b"\n", b"\n"]),
        ([b"a\r\nb\xff\0\n"], [b"a\r\nb\xff\0\n"]),
    ],
)
def test_a_pipe_is_read_in_whole_lines(pieces, found):
    """As many at once as there are; a last line without its end gets one."""
    assert list(blocks(reading(*pieces))) == found


@given(st.lists(st.binary(min_size=1, max_size=8)))
def test_a_pipe_loses_nothing(pieces):
    """However it comes in pieces."""
    data = b"".join(pieces)
    assert b"".join(blocks(reading(*pieces))) == data + (b"" if data.endswith(b"\n") or not data else b"\n")


def test_an_endless_line_is_sent_in_pieces():
    """Memory is bounded; what it says stays whole."""
    found = list(blocks(reading(*[b"x" * 65536] * 40)))
    assert max(map(len, found)) <= LONGEST + 65536
    assert b"".join(found) == b"x" * 65536 * 40 + b"\n"


def test_a_topic_that_is_not_there_is_created():
    with Scripted(answer(404), answer(201, content_type=TEXT), answer(200)) as scripted:
        writer = appender(scripted)
        writer.open()
        writer.append(b"one\n")
    assert scripted.lines == ["HEAD /v1/topics/build/log", "PUT /v1/topics/build/log", "POST /v1/topics/build/log"]
    assert f"content-type: {TEXT}" in scripted.asked[1][0]
    assert scripted.asked[2][1] == b"one\n"


def test_a_batch_that_is_sent_again_has_its_number():
    """The next one has the next; all are of one producer."""
    with Scripted(answer(content_type=TEXT), CUT, answer(204), answer(200)) as scripted:
        writer = appender(scripted)
        writer.open()
        writer.append(b"one\n")
        writer.append(b"two\n")
    heads = [dict(line.split(": ", 1) for line in head.split("\r\n")[1:]) for head, _ in scripted.asked[1:]]
    assert [(head["producer-epoch"], head["producer-seq"]) for head in heads] == [("0", "0"), ("0", "0"), ("0", "1")]
    assert len({head["producer-id"] for head in heads}) == 1
    assert [body for _, body in scripted.asked[1:]] == [b"one\n", b"one\n", b"two\n"]


def test_a_json_topic_takes_a_value_a_line():
    """Arrays stay arrays, blank lines are nothing."""
    with Scripted(answer(**JSON), answer(200)) as scripted:
        writer = appender(scripted)
        writer.open()
        writer.append(b'{"a": 1}\n\n[1,2]\r\n"x"\n')
    assert scripted.asked[1][1] == b'[{"a": 1},[1,2],"x"]'


@pytest.mark.parametrize("line", [b"nope", b"{", b'"\xff"', b"1,2", b"NaN", b"[" * 9000])
def test_a_line_that_is_not_json_is_named(line):
    """What came before it is appended."""
    with Scripted(answer(**JSON), answer(200), answer(200)) as scripted:
        writer = appender(scripted)
        writer.open()
        writer.append(b"1\n")
        with pytest.raises(Refused, match="Line 3 is not JSON"):
            writer.append(b"2\n" + line + b"\n4\n")
    assert [body for _, body in scripted.asked[1:]] == [b"[1]", b"[2]"]


def test_a_topic_that_may_not_be_seen_is_refused():
    with Scripted(answer(401)) as scripted, pytest.raises(Refused, match="status 401"):
        appender(scripted).open()


def test_closing_is_a_request_of_its_own():
    with Scripted(answer(content_type=TEXT), answer(204)) as scripted:
        writer = appender(scripted)
        writer.open()
        writer.close()
    assert "stream-closed: true" in scripted.asked[1][0]
