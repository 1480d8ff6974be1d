"""Compressed bodies, inflated a piece at a time.

A body of a few kilobytes can inflate to gigabytes: what comes out at a time is bounded, not only what goes in.
"""

import zlib

from headrace.errors import UpstreamProtocol, UpstreamTruncated

#: Bytes that come out at a time.
STEP = 65536

_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class Inflater:
    """Inflates gzip and deflate, at most ``STEP`` bytes at a time."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._zlib = zlib.decompressobj(_WBITS[coding])
        self._rest = b""
        self._fed = False

    def feed(self, data: bytes) -> bytes:
        """Take compressed bytes; what they give may be empty, or only the first of more that ``take`` gives."""
        if not self._fed and self._coding == "deflate" and data[0] & 0x0F != 8:
            self._zlib = zlib.decompressobj(-15)  # Not what RFC 9110 says, but what some servers send.
        self._fed = True
        self._rest += data
        return self.take()

    def take(self) -> bytes:
        """The next bytes, empty where more must be fed. Raises UpstreamProtocol."""
        data = b""
        try:
            while not data and self._rest:
                if self._zlib.eof:
                    self._zlib = zlib.decompressobj(_WBITS[self._coding])  # The next member of a gzip file.
                data = self._zlib.decompress(self._rest, STEP)
                self._rest = self._zlib.unused_data or self._zlib.unconsumed_tail
            if not data and not self._zlib.eof:
                # What zlib holds back when the output was full to the byte.
                data = self._zlib.decompress(b"", STEP)
        except zlib.error:
            raise UpstreamProtocol from None
        return data

    def finish(self) -> None:
        """Note the end of the body. Raises UpstreamTruncated where the compressed data did not end."""
        if self._fed and not self._zlib.eof:
            raise UpstreamTruncated


def inflater(encoding: str) -> Inflater | None:
    """What a Content-Encoding needs. Raises UpstreamProtocol for an unknown one, and for several at once."""
    coding = encoding.strip().lower()
    if coding in {"", "identity"}:
        return None
    if coding not in _WBITS:
        raise UpstreamProtocol
    return Inflater(coding)
