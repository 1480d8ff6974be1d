"""The one seam over aiohttp: a request, and an answer that is read only when asked.

What this edge guarantees, whatever the other side does:

- A credential goes to the host that it was given for: no redirects, no proxies from the environment, no cookies.
- TLS is always verified.
- Memory is bounded: one read buffer per answer, bounded headers, compressed bodies inflated a piece at a time.
- An answer that was cut is never taken for one that ended.
- Errors are ours (:mod:`headrace.errors`), without a word of the other side's text.

The only deadline here is that of connecting, which nobody else can see; for the rest the callers have their own, and
cancelling any call closes the connection.
"""

import asyncio
import re
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError
from yarl import URL

from headrace import __version__
from headrace.errors import (
    ConfigError,
    LimitExceeded,
    UpstreamError,
    UpstreamProtocol,
    UpstreamTruncated,
    UpstreamUnreachable,
)
from headrace.upstreams.inflate import inflater

#: Bytes that may wait in one connection's read buffer before its socket is left alone; at most twice as many do.
READ_BUFFER = 65536
#: Bounds of a response's head: bytes per line and field, and fields.
HEAD_LINE = 16384
HEAD_FIELDS = 256
#: Informational responses (1xx) before the final one.
INFORMATIONAL = 32
#: Seconds for which an idle connection is kept.
KEEP_IDLE = 15.0
#: Seconds until there is a connection, DNS and TLS included.
CONNECT = 5.0
#: Seconds after which a connection that breaks without an answer had taken the request on, reused or not.
STALE_WINDOW = 1.0

#: Response headers that are looked at or passed on; all others are dropped at the edge.
RESPONSE_HEADERS = frozenset(
    {
        "accept-ranges",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-range",
        "content-type",
        "etag",
        "last-modified",
        "openai-model",
        "openai-processing-ms",
        "openai-version",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-limit-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
        "x-request-id",
    }
)
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#: Linger for no time at all: closing sends a reset, and drops what the other side still sends.
_RESET = struct.pack("ii", 1, 0)


class Exchange:
    """A response whose head has come. Made for one request, used by one task."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        #: Lower-case names; only those of ``RESPONSE_HEADERS``, the first of each, none with control characters.
        self.headers = _allowed(response.headers)
        #: All of the body was read.
        self.ended = False
        self._response = response
        self._inflate = inflater(self.headers.pop("content-encoding", ""))
        if self._inflate is not None:
            self.headers.pop("content-length", None)

    async def read_some(self) -> bytes:
        """The bytes that have come, after a wait for the first of them; empty at the body's clean end, and then always.

        Raises UpstreamTruncated where the body was cut, after all that came before the cut has been returned, and
        UpstreamProtocol where it cannot be inflated.
        """
        if self._inflate is None:
            data = await self._read_raw()
        else:
            data = self._inflate.take()
            while not data and not self.ended:
                raw = await self._read_raw()
                data = self._inflate.feed(raw) if raw else b""
            if not data:
                self._inflate.finish()
        return data

    async def read_all(self, limit: int) -> bytes:
        """The whole body. Raises LimitExceeded over ``limit`` bytes."""
        parts: list[bytes] = []
        left = limit
        while data := await self.read_some():
            left -= len(data)
            if left < 0:
                raise LimitExceeded
            parts.append(data)
        return b"".join(parts)

    async def read_head(self, limit: int) -> bytes:
        """The first bytes of the body, at most ``limit``. A cut body gives what there is."""
        data = bytearray()
        with suppress(UpstreamError):
            while len(data) < limit and (more := await self.read_some()):
                data += more
        return bytes(data[:limit])

    async def _read_raw(self) -> bytes:
        content = self._response.content
        try:
            data = await content.readany()
        except (aiohttp.ClientError, OSError):
            # aiohttp reports the cut before what came ahead of it; the reader's promise is the other way round.
            if content._buffer:  # noqa: SLF001
                return content._read_nowait(-1)  # noqa: SLF001
            self._response.close()
            raise UpstreamTruncated from None
        self.ended = not data
        return data

    def abort(self) -> None:
        """Close the connection at once, with a reset where it is not read to its end. Idempotent."""
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            _reset(connection.transport)
        self._response.close()

    def release(self, patience: float = 0.0) -> None:
        """Give the connection back for other requests if the body has come to its end, else abort. Idempotent.

        ``patience`` is in seconds: an answer whose own end has been read mostly lacks nothing but the zero chunk.
        """
        if self._response.content.is_eof():
            self._response.release()
        elif patience > 0.0 and not self._response.closed:
            # At its end the body gives the connection back by itself; until then nothing more is taken in than the
            # buffer holds.
            asyncio.get_running_loop().call_later(patience, self.abort)
        else:
            self.abort()


class Http:
    """A pool of connections.

    ``ssl_context`` is for a private CA; one that does not verify is refused (ConfigError). ``connect`` is in seconds.
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None, connect: float = CONNECT) -> None:
        if ssl_context is not None and (ssl_context.verify_mode != ssl.CERT_REQUIRED or not ssl_context.check_hostname):
            raise ConfigError("TLS to an upstream is always verified: name its CA instead of turning this off.")
        self._ssl = ssl_context or True
        self._connect = connect
        self._pool: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | AsyncIterable[bytes] | None = None
    ) -> Exchange:
        """Send a request and wait for the head of its response.

        A body of bytes is sent again, once and on a new connection, where a kept connection turns out to have died
        before it: closed within a second of the request, not a byte of a response seen.

        Raises UpstreamUnreachable (``accepted`` false) where there is no connection, UpstreamTruncated where it was cut
        after the request, and UpstreamProtocol where what came is not HTTP or over the bounds.
        """
        send = partial(self._send, method, url, headers, body)
        try:
            try:
                response = await send(self._session(fresh=False))
            except _Stale:
                if body is not None and not isinstance(body, bytes):
                    raise
                response = await send(self._session(fresh=True))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _request_error(error) from None
        try:
            return Exchange(response)
        except UpstreamError:
            response.close()
            raise

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterable[bytes] | None,
        session: aiohttp.ClientSession,
    ) -> aiohttp.ClientResponse:
        return await session.request(
            method, URL(url, encoded=True), headers={**_SENT, **headers}, data=body, allow_redirects=False
        )

    def _session(self, *, fresh: bool) -> aiohttp.ClientSession:
        """The pool, or the session that opens a connection for each request; made on the running loop when needed."""
        session = self._fresh if fresh else self._pool
        if session is None:
            session = _new_session(self._ssl, self._connect, fresh=fresh)
            if fresh:
                self._fresh = session
            else:
                self._pool = session
        return session

    async def close(self) -> None:
        """Close all connections."""
        for session in (self._pool, self._fresh):
            if session is not None:
                await session.close()
        self._pool = self._fresh = None


_SENT = {"Accept-Encoding": "identity", "User-Agent": f"headrace/{__version__}"}


def _new_session(verify: ssl.SSLContext | bool, connect: float, *, fresh: bool) -> aiohttp.ClientSession:
    # The core limits how many answers are written at a time; a limit here would only hide in a queue.
    options: dict[str, Any] = {"force_close": True} if fresh else {"keepalive_timeout": KEEP_IDLE}
    return aiohttp.ClientSession(
        connector=_Connector(ssl=verify, limit=0, limit_per_host=0, **options),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=None, sock_read=None),
        auto_decompress=False,
        trust_env=False,
        read_bufsize=READ_BUFFER,
        max_line_size=HEAD_LINE,
        max_field_size=HEAD_LINE,
        max_headers=HEAD_FIELDS,
    )


class _Stale(aiohttp.ClientConnectionError):
    """A kept connection had died before the request reached the other side."""


class _Handler(ResponseHandler):
    """aiohttp's protocol, which also knows whether a connection was stale and counts informational responses."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._uses = 0
        self._heard = False
        self._sent_at = 0.0
        self._informational = 0

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401 - aiohttp's own
        """Begin another request."""
        self._uses += 1
        self._heard = False
        self._sent_at = time.monotonic()
        self._informational = 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Note that something came."""
        self._heard = True
        super().data_received(data)

    def feed_data(self, data: Any, size: int = 0) -> None:  # noqa: ANN401 - aiohttp's own
        """Take a parsed head. Too many informational ones break the connection."""
        if 100 <= data[0].code <= 199:
            self._informational += 1
            if self._informational == INFORMATIONAL + 1:
                self.abort()
                self.set_exception(aiohttp.ClientPayloadError())
            if self._informational > INFORMATIONAL:
                return
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Fail the request, telling a stale connection from one that broke while it was used."""
        stale = self._uses > 1 and not self._heard and time.monotonic() - self._sent_at < STALE_WINDOW
        if stale and isinstance(exc, aiohttp.ClientConnectionError):
            exc = _Stale()
        super().set_exception(exc, *cause)
        if isinstance(exc, HttpProcessingError) and self._payload is not None:
            # The parser forgets a body whose framing is broken without telling its reader, who would wait for ever.
            self._payload.set_exception(aiohttp.ClientPayloadError())


class _Connector(aiohttp.TCPConnector):
    """A connector whose connections are ours."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(**options)
        self._factory = cast("partial[ResponseHandler]", partial(_Handler, loop=self._loop))


def _allowed(headers: Mapping[str, str]) -> dict[str, str]:
    allowed: dict[str, str] = {}
    for name, value in headers.items():
        if name.lower() in RESPONSE_HEADERS and not _CONTROLS.search(value):
            allowed.setdefault(name.lower(), value)
    return allowed


def _reset(transport: asyncio.BaseTransport) -> None:
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    # uvloop's transports are of none of asyncio's classes.
    cast("asyncio.Transport", transport).abort()


_NO_CONNECTION = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    ssl.SSLError,
    ValueError,
)


def _request_error(error: Exception) -> UpstreamError:
    """What went wrong before the head of a response came."""
    if isinstance(error, _NO_CONNECTION):
        return UpstreamUnreachable(accepted=False)
    if isinstance(error, (aiohttp.ClientConnectionError, OSError)):
        return UpstreamTruncated()
    return UpstreamProtocol()
