"""What goes out, byte for byte."""

from collections.abc import AsyncIterator

import pytest

from headrace import __version__
from headrace.upstreams.http_request import Body, Origin, outgoing


async def streamed() -> AsyncIterator[bytes]:
    yield b"part"


def lines(method: str = "POST", url: str = "http://h/p", body: Body = b"{}", **headers: str) -> list[str]:
    request = outgoing(method, url, {name.replace("_", "-"): value for name, value in headers.items()}, body)
    assert request.head.endswith(b"\r\n\r\n")
    return request.head.decode("latin-1")[:-4].split("\r\n")


def test_a_head_is_what_http_says():
    assert lines(url="https://api.example/v1/x?a=b%20c", Authorization=" Bearer k ") == [
        "POST /v1/x?a=b%20c HTTP/1.1",
        "host: api.example",
        "accept: */*",
        "accept-encoding: identity",
        f"user-agent: headrace/{__version__}",
        "authorization: Bearer k",
        "content-length: 2",
    ]


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        ("http://h", Origin("http", "h", 80), "h"),
        ("http://h:80/", Origin("http", "h", 80), "h"),
        ("https://H.example:443/x", Origin("https", "h.example", 443), "h.example"),
        ("https://h:8443/x", Origin("https", "h", 8443), "h:8443"),
        ("http://h:443/x", Origin("http", "h", 443), "h:443"),
        ("http://[::1]/x", Origin("http", "::1", 80), "[::1]"),
        ("http://[::1]:8000/x", Origin("http", "::1", 8000), "[::1]:8000"),
    ],
)
def test_the_host_names_the_port_where_it_is_not_the_schemes_own(url: str, origin: Origin, host: str):
    assert outgoing("GET", url, {}).origin == origin
    assert f"host: {host}" in lines(url=url)


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "ftp://h/", "http://", "http://h:0/", "http://h:99999/", "http://[::bad/", "http://u@h/"),
        *("http://u:p@h/", "http://h/a b", "http://h/\r\nx: y", "http://h\t/", "http://hé/", "http://h/\x00"),
    ],
)
def test_a_url_that_is_none_or_not_for_here_is_refused(url: str):
    with pytest.raises(ValueError):
        outgoing("GET", url, {})


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "a\x7fb", "a\x1bb", "a\u2028b", "\r\n"])
def test_a_value_that_could_forge_a_line_is_refused(value: str):
    with pytest.raises(ValueError):
        lines(x=value)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "é", "a\0"])
def test_a_name_that_is_none_is_refused(name: str):
    with pytest.raises(ValueError):
        outgoing("GET", "http://h/", {name: "x"})


@pytest.mark.parametrize("method", ["", "get", "GET /x HTTP/1.1\r\nx: y\r\n\r\nGET", "CONNECT"])
def test_a_method_that_is_none_or_not_for_here_is_refused(method: str):
    with pytest.raises(ValueError):
        outgoing(method, "http://h/", {})


def test_framing_is_not_the_callers():
    """Whoever could say how long a message is could hide a second one in it."""
    given = {"Content_Length": "9", "Transfer_Encoding": "gzip", "Connection": "x", "TE": "x", "Expect": "100-continue"}
    sent = lines(**given)
    assert sent[-1] == "content-length: 2"
    assert len(sent) == len(lines())


@pytest.mark.parametrize(
    ("method", "body", "told", "last"),
    [
        ("POST", b"", "", "content-length: 0"),
        ("POST", None, "", "content-length: 0"),
        ("GET", None, "", f"user-agent: headrace/{__version__}"),
        ("POST", streamed(), "", "transfer-encoding: chunked"),
        ("POST", streamed(), "4", "content-length: 4"),
        ("POST", streamed(), "-4", "transfer-encoding: chunked"),
        ("POST", streamed(), "\xb2", "transfer-encoding: chunked"),
    ],
)
def test_a_body_is_framed_by_what_is_known_of_it(method: str, body: Body, told: str, last: str):
    assert lines(method, body=body, **({"content_length": told} if told else {}))[-1] == last


def test_a_configured_header_replaces_our_own():
    assert "user-agent: mine" in lines(User_Agent="mine")
    assert lines(HOST="other")[1] == "host: other"
    assert len(lines(User_Agent="mine", HOST="other")) == len(lines())
