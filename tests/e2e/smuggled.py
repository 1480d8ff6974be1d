"""Requests whose end is not clear: what is one request to one reader is two to another.

Each holds a second one where some reading of it sees a body. A server that answers both lets whoever stands in front of
it be fooled (RFC 9112, sections 6.3 and 11.2).
"""

SECOND = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
_POST = b"POST %b HTTP/1.1\r\nHost: localhost\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_LAST = b"0\r\n\r\n"

#: Values of ``Transfer-Encoding`` that are not ``chunked``, or perhaps.
_ENCODINGS = (b"xchunked", b"chunked, identity", b"identity, chunked", b"chunked, chunked", b"\x0bchunked", b"",
              b"chunked\x00", b'"chunked"', b"chunked;q=1", b"cHuNkEd, x", b"gzip, chunked", b"identity")  # fmt: skip
#: Lines that some take for that header.
_ENCODING_LINES = (
    b"Transfer-Encoding : chunked",
    b" Transfer-Encoding: chunked",
    b"Transfer-Encoding\t: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"Transfer-Encoding:\n chunked",
    b"Transfer-Encoding\r\n: chunked",
    b"X: y\r\n Transfer-Encoding: chunked",
    b"\x00Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer_Encoding: chunked",
)
#: Values of ``Content-Length`` that are no number, or several.
_LENGTHS = (b"0, %d", b"%d, 0", b"+%d", b"-%d", b"0x%x", b"%d %d", b"%d;", b"%d\x00", b"1e%d", b" %d\x0b", b"%d.0")
#: Sizes of chunks, and last chunks, that are none.
_SIZES = (b"0x%x", b"+%x", b"-%x", b" %x", b"%x ", b"%x\t", b"%x\x00", b"%xg", b"1 %x", b"FFFFFFFFFFFFFF%x")
_ENDS = (b"0;\n", b"0;x=\n\r\n\r\n", b"0\n\n", b"0\r\r\n", b"0\n\r\n", b"\n0\r\n\r\n", b"0 \r\n\r\n", b";\r\n\r\n")


def chunk(data: bytes, size: bytes | None = None) -> bytes:
    return b"%b\r\n%b\r\n" % (size if size is not None else b"%x" % len(data), data)


def requests(path: bytes) -> dict[str, bytes]:
    """By what is wrong with them."""
    post = _POST % path
    found: dict[str, bytes] = {}

    def framed(name: str, headers: bytes, body: bytes) -> None:
        found[name] = post + headers + b"\r\n" + body

    size = b"Content-Length: %d\r\n"
    framed("length and chunks, ended by the chunks", size % (5 + len(SECOND)) + _CHUNKED, _LAST + SECOND)
    framed("length and chunks, ended by the length", size % 4 + _CHUNKED, chunk(SECOND) + _LAST)
    framed("chunks and length", _CHUNKED + size % (5 + len(SECOND)), _LAST + SECOND)
    for value in _ENCODINGS:
        framed(f"encoding {value!r}", b"Transfer-Encoding: " + value + b"\r\n", _LAST + SECOND)
    for line in _ENCODING_LINES:
        framed(f"line {line!r}", line + b"\r\n" + size % (5 + len(SECOND)), _LAST + SECOND)
    for value in _LENGTHS:
        text = value % ((len(SECOND),) * value.count(b"%"))
        framed(f"length {text!r}", b"Content-Length: " + text + b"\r\n", SECOND)
    for one, two in ((0, len(SECOND)), (len(SECOND), 0)):
        framed(f"lengths {one} and {two}", size % one + size % two, SECOND)
    framed("length over 64 bits", b"Content-Length: 18446744073709551616\r\n", SECOND)
    framed("folded length", b"Content-Length:\r\n %d\r\n" % len(SECOND), SECOND)
    framed("length on a bare LF", b"X: y\nContent-Length: %d\r\n" % len(SECOND), SECOND)
    framed("length on a bare CR", b"X: y\rContent-Length: %d\r\n" % len(SECOND), SECOND)
    for text in _SIZES:
        framed(f"chunk of {text!r}", _CHUNKED, chunk(SECOND, text % len(SECOND)) + _LAST)
    for text in _ENDS:
        framed(f"end {text!r}", _CHUNKED, text + SECOND)
    framed("extension with a bare LF", _CHUNKED, b"5;a\nX\r\nabcde\r\n" + _LAST + SECOND)
    framed("extension of 100 KB", _CHUNKED, b"1;" + b"a" * 100_000 + b"\r\nx\r\n" + _LAST)
    framed("chunk without its CRLF", _CHUNKED, b"3\r\nabc" + b"0\r\n\r\n" + SECOND)
    framed("chunk longer than it says", _CHUNKED, b"1\r\nabc\r\n" + _LAST + SECOND)
    framed("trailer with a length", _CHUNKED, b"0\r\nContent-Length: %d\r\n\r\n" % len(SECOND))
    framed("head ended by a bare CR", b"X: y\r\r\n", SECOND)
    found["chunks in HTTP/1.0"] = post.replace(b"1.1", b"1.0") + _CHUNKED + b"\r\n" + _LAST + SECOND
    rest = size % len(SECOND) + b"\r\n" + SECOND
    for version in (b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/11", b"http/1.1", b"HTTP/1.1 x", b"HTTP/1,1"):
        found[f"version {version!r}"] = post.replace(b"HTTP/1.1", version) + rest
    for end in (b" HTTP/1.1\n", b" HTTP/1.1\r", b" HTTP/1.1\r\r\n", b"\tHTTP/1.1\r\n", b"\x0bHTTP/1.1\r\n", b"\r\n"):
        found[f"first line ended by {end!r}"] = post.replace(b" HTTP/1.1\r\n", end) + rest
    found["first line after spaces"] = b" " + post + rest
    found["two hosts"] = post + b"Host: other\r\n" + rest
    found["null in the target"] = post.replace(path, path + b"\x00") + rest
    return found
