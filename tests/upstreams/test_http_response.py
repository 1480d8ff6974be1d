"""What comes in, however it is cut and whatever is wrong with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import UpstreamError, UpstreamProtocol, UpstreamTruncated
from headrace.testing.scripted_upstream import chunked, head
from headrace.upstreams.http_response import HEAD_BYTES, HEAD_FIELDS, INFORMATIONAL, Response

OK = b"HTTP/1.1 200 OK\r\n"


def fed(*data: bytes, method: str = "GET") -> Response:
    response = Response(method)
    for piece in data:
        if not response.over:
            response.feed(piece)
    return response


def body(response: Response) -> bytes:
    taken = b""
    while data := response.take():
        taken += data
    return taken


@given(cuts=st.lists(st.integers(min_value=1, max_value=40), max_size=30))
def test_any_cutting_gives_the_same_response(cuts: list[int]):
    whole = b"HTTP/1.1 103 Hint\r\nX-Request-Id: not\r\n\r\n" + head(200, "X-Request-Id: r", body="chunked")
    whole += chunked(b"one", b"two" * 20, end=False) + b"0\r\nX-Trailer: t\r\n\r\n"
    pieces, rest = [], whole
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    response = fed(*pieces, *([rest] if rest else []))
    assert (response.status, response.headers["x-request-id"]) == (200, "r")
    assert body(response) == b"one" + b"two" * 20
    assert response.complete
    assert response.keep_alive


@pytest.mark.parametrize(
    ("data", "content", "keep_alive"),
    [
        (OK + b"Content-Length: 2\r\n\r\nok", b"ok", True),
        (OK + b"Content-Length: 0\r\n\r\n", b"", True),
        (OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nok", b"ok", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok", True),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n2  \r\nok\r\n0\r\n\r\n", b"ok", True),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"ok", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", b"ok", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"", True),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nrest", b"", False),
        (OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", b"ok", False),
        (OK + b"Content-Length: 2\r\n\r\nok garbage", b"ok", False),
    ],
    ids=[
        *("length", "empty", "close", "chunked", "padded-size", "bare-lf", "1.0", "1.0-keep", "204", "304", "101"),
        *("unasked-response", "garbage-behind"),
    ],
)
def test_a_body_ends_where_http_says(data: bytes, content: bytes, keep_alive: bool):
    response = fed(data)
    assert response.complete
    assert body(response) == content
    assert response.keep_alive is keep_alive


def test_a_head_has_no_body_and_its_connection_is_not_trusted():
    """The parser cannot be told of the method, so it may not see where the next response begins."""
    response = fed(OK + b"Content-Length: 9\r\n\r\nunwanted!", method="HEAD")
    assert (body(response), response.complete, response.keep_alive) == (b"", True, False)
    assert response.headers["content-length"] == "9"


def test_the_close_ends_a_body_without_a_length_and_no_other():
    response = fed(OK + b"\r\n", b"some")
    assert not response.complete
    response.close()
    assert (body(response), response.complete, response.keep_alive) == (b"some", True, False)
    for framing in (b"Content-Length: 9", b"Transfer-Encoding: chunked"):
        short = fed(OK + framing + b"\r\n\r\n")
        short.close()
        with pytest.raises(UpstreamTruncated):
            short.take()


def test_what_came_before_a_cut_is_taken_first():
    response = fed(OK + b"\r\n", b"one", b"two")
    response.cut()
    assert response.take() == b"onetwo"
    with pytest.raises(UpstreamTruncated):
        response.take()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n",
        b"\0" * 9,
        b"HTTP/2 200\r\n\r\n",
        OK + b"X: a\0b\r\n\r\n",
        OK + b"X: a\rSet-Cookie: b\r\n\r\n",
        OK + b"X y: a\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"X: y\r\n" * (HEAD_FIELDS + 1) + b"\r\n",
        OK + b"X: " + b"y" * HEAD_BYTES + b"\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * (INFORMATIONAL + 1),
    ],
)
def test_a_head_that_is_none_or_over_its_bounds_is_an_error(data: bytes):
    for pieces in ([data], [data[at : at + 7] for at in range(0, len(data), 7)]):
        assert fed(*pieces).error is UpstreamProtocol


@pytest.mark.parametrize(
    ("start", "more", "error"),
    [
        (b"", b"\r\n", UpstreamProtocol),
        (OK, b"X-Long: " + b"y" * 100, UpstreamProtocol),
        (OK + b"X-Long: ", b"y" * 100, UpstreamProtocol),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n", UpstreamTruncated),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"y" * 100, UpstreamTruncated),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 100, UpstreamTruncated),
    ],
    ids=["blank-lines", "field", "value", "trailers", "trailer", "chunk-extension"],
)
def test_what_is_no_body_is_bounded(start: bytes, more: bytes, error: type[UpstreamError]):
    """However little comes at a time: neither a head nor a trailer grows without end."""
    response = fed(start) if start else Response("GET")
    fed_bytes = 0
    while not response.over and fed_bytes < 4 * HEAD_BYTES:
        response.feed(more)
        fed_bytes += len(more)
    assert response.error is error
    assert fed_bytes <= HEAD_BYTES + 200


def test_framing_beside_a_body_may_go_on_for_ever():
    """Only what comes without any body in between is bounded."""
    response = fed(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(HEAD_BYTES // 3):
        response.feed(b"1\r\n")
        response.feed(b"x\r\n")
        assert response.take() == b"x"
    assert response.error is None


def test_headers_are_those_of_the_list_the_first_of_each_and_clean():
    response = fed(OK + b"ETag: a\r\netag: b\r\nSet-Cookie: c\r\nX-Request-Id:  r \r\nContent-Type: a\x80\r\n\r\n")
    assert response.headers == {"etag": "a", "x-request-id": "r", "content-type": "a\x80"}
