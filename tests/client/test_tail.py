"""Following: what comes is shown once, over however many connections."""

import pytest
from tests.client.scripted import CUT, Scripted, answer

from headrace.client import tail
from headrace.client.errors import Refused

TEXT = {"content_type": "text/plain"}
JSON = {"content_type": "application/json; charset=utf-8"}


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("st_abc", True),
        ("chatcmpl-1", True),
        ("resp_1", True),
        ("msg_1", True),
        ("build/log", False),
        ("st_a/b", False),
    ],
)
def test_streams_are_told_from_topics(name, stream):
    assert tail.is_stream(name) is stream


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("build/log", "/v1/topics/build/log"),
        ("/v1/topics/st_a", "/v1/topics/st_a"),
        ("a b?c#d", "/v1/topics/a%20b%3Fc%23d"),
        ("日志", "/v1/topics/%E6%97%A5%E5%BF%97"),
        ("a\r\nb", "/v1/topics/a%0D%0Ab"),
    ],
)
def test_a_path_is_quoted(path, url):
    assert tail.url_of(path) == url


def test_a_topic_is_followed_to_its_end():
    """From page to page, each after the place at which the last one ended, with the cursor that it gave."""
    with Scripted(
        answer(body=b"one\n", stream_next_offset="0_1", **TEXT),
        answer(204, stream_next_offset="0_1", stream_cursor="77"),
        CUT,
        answer(body=b"two\n", stream_next_offset="0_2", **TEXT),
        answer(body=b"", stream_next_offset="0_2", stream_closed="true", **TEXT),
    ) as scripted:
        found = list(tail.topic(scripted.client(), "build/log"))
    assert found == [b"one\n", b"two\n"]
    path = "GET /v1/topics/build/log"
    assert scripted.lines == [
        f"{path}?offset=-1",
        f"{path}?offset=0_1&live=long-poll",
        f"{path}?offset=0_1&live=long-poll&cursor=77",
        f"{path}?offset=0_1&live=long-poll&cursor=77",
        f"{path}?offset=0_2&live=long-poll",
    ]


def test_a_page_that_is_cut_is_asked_for_again():
    """Half of it is not shown."""
    whole = answer(body=b"one\ntwo\n", stream_next_offset="0_2", stream_closed="true", **TEXT)
    with Scripted(whole[:-3], whole) as scripted:
        assert list(tail.topic(scripted.client(), "x")) == [b"one\ntwo\n"]


def test_json_is_shown_a_value_a_line():
    """As it was written."""
    body = b'[{"a": 1},[1,2],"x"]'
    with Scripted(answer(body=body, stream_closed="true", **JSON)) as scripted:
        assert list(tail.topic(scripted.client(), "x", "now")) == [b'{"a": 1}\n[1,2]\n"x"\n']
    assert scripted.lines == ["GET /v1/topics/x?offset=now"]


def test_what_serves_no_topics_is_refused():
    """It would be asked for ever."""
    with Scripted(answer(body=b"hello")) as scripted, pytest.raises(Refused):
        list(tail.topic(scripted.client(), "x"))
