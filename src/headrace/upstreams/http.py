"""The edge towards upstreams: a request, and an answer that is read only when asked. HTTP/1.1, on llhttp.

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
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache

from headrace.errors import (
    ConfigError,
    LimitExceeded,
    UpstreamError,
    UpstreamUnreachable,
)
from headrace.upstreams.http_connection import Connection
from headrace.upstreams.http_dial import Allowed, dial
from headrace.upstreams.http_request import Body, Origin, Request, outgoing
from headrace.upstreams.http_response import Response
from headrace.upstreams.inflate import inflater

#: Seconds for which an idle connection is kept, and a quarter more at most: one sweep looks after all of them.
KEEP_IDLE = 30.0
#: Seconds until there is a connection, DNS and TLS included.
CONNECT = 5.0


class Exchange:
    """A response whose head has come. Made for one request, used by one task.

    Raises UpstreamProtocol where its body is coded in a way that is not understood, unless it is not to be inflated.
    """

    def __init__(self, response: Response, connection: Connection, *, inflate: bool = True) -> None:
        self.status = response.status
        #: Lower-case names; only those of ``RESPONSE_HEADERS``, the first of each, none with control characters.
        self.headers = response.headers
        #: All of the body was read.
        self.ended = False
        self._response = response
        self._connection = connection
        self._inflate = inflater(self.headers.pop("content-encoding", "")) if inflate else None
        if self._inflate is not None:
            self.headers.pop("content-length", None)

    def take(self) -> bytes | None:
        """The bytes that have come; empty at the body's clean end, None where they have to be waited for.

        Raises UpstreamTruncated where the body was cut, after all that came before the cut has been returned, and
        UpstreamProtocol where it cannot be inflated.
        """
        if self._inflate is not None:
            return self._take_inflated()
        response = self._response
        data = response.take()
        if response.paused:
            self._connection.resume(response)
        if data == b"":
            self.ended = True
        return data

    def wait(self) -> "asyncio.Future[None]":
        """What to await where ``take`` has just returned None, before it is called again. It may come for nothing."""
        return self._connection.wait()

    def listen(self, news: Callable[[], None] | None) -> None:
        """Have ``news`` called when ``take`` may have something, for as long as the response comes in."""
        self._connection.listen(self._response, news)

    async def read_some(self) -> bytes:
        """The bytes that have come, after a wait for the first of them; empty at the body's clean end, and then always.

        Raises as ``take`` does.
        """
        while (data := self.take()) is None:
            await self.wait()
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

    def abort(self) -> None:
        """Close the connection at once, with a reset where the body has not come to its end. Idempotent."""
        self._connection.drop(self._response)

    def release(self, patience: float = 0.0) -> None:
        """Give the connection back for other requests if the body has come to its end, else abort. Idempotent.

        ``patience`` is in seconds: an answer whose own end has been read mostly lacks nothing but the zero chunk.
        """
        # At its end the body gives the connection back by itself; until then nothing more is taken in than the
        # buffer holds.
        if self._response.over or patience <= 0.0:
            self.abort()
        else:
            asyncio.get_running_loop().call_later(patience, self.abort)

    def _take_inflated(self) -> bytes | None:
        assert self._inflate is not None  # noqa: S101 - take has looked
        data = self._inflate.take()
        while not data:
            raw = self._response.take()
            if self._response.paused:
                self._connection.resume(self._response)
            if raw is None:
                return None
            if not raw:
                self.ended = True
                self._inflate.finish()
                return b""
            data = self._inflate.feed(raw)
        return data


class Http:
    """A pool of connections, by origin; the one that was used last is used first.

    ``ssl_context`` is for a private CA; one that does not verify is refused (ConfigError). ``connect`` and
    ``keep_idle`` are in seconds. How many connections there are has no limit here: the core limits how many answers
    are written at a time, and a limit here would only hide in a queue.
    ``allowed`` says to which addresses there may be connections; without ``inflate`` bodies come as they are coded.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        connect: float = CONNECT,
        keep_idle: float = KEEP_IDLE,
        allowed: Allowed | None = None,
        inflate: bool = True,
    ) -> None:
        if ssl_context is not None and (ssl_context.verify_mode != ssl.CERT_REQUIRED or not ssl_context.check_hostname):
            raise ConfigError("TLS to an upstream is always verified: name its CA instead of turning this off.")
        self._ssl = ssl_context
        self._connect_within = connect
        self._keep_idle = keep_idle
        self._allowed = allowed
        self._inflate = inflate
        #: Those idle, in the order in which they became so.
        self._idle: dict[Origin, dict[Connection, None]] = {}
        self._all: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Exchange:
        """Send a request and wait for the head of its response. Cancelling closes the connection.

        A body of bytes is sent again, once and on a new connection, where a kept connection turns out to have died
        before it: closed within a second of the request, not a byte of a response seen. A body that streams can't be
        sent again, so it never goes over a kept connection; an error of ours that it raises is raised here.

        Raises UpstreamUnreachable (``accepted`` false) where there is no connection in time, or the request is not one
        that can be sent; UpstreamTruncated where it was cut after the request, and UpstreamProtocol
        where what came is not HTTP or over the bounds.
        """
        try:
            request = outgoing(method, url, headers, body)
        except ValueError:
            raise UpstreamUnreachable(accepted=False) from None
        connection = self._kept(request)
        if connection is not None:
            try:
                return await self._exchange(connection, request)
            except UpstreamError:
                if not connection.stale:
                    raise
        return await self._exchange(await self._connected(request.origin), request)

    async def close(self) -> None:
        """Close all connections, those in use too."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        everything = [connection.gone for connection in self._all]
        for connection in tuple(self._all):
            connection.close()
        if everything:
            await asyncio.wait(everything)

    async def _exchange(self, connection: Connection, request: Request) -> Exchange:
        response = await connection.ask(request)
        try:
            return Exchange(response, connection, inflate=self._inflate)
        except UpstreamError:
            connection.drop(response)
            raise

    def _kept(self, request: Request) -> Connection | None:
        """An idle connection, if there is one and the request may go over it."""
        idle = self._idle.get(request.origin)
        if request.body is not None and not isinstance(request.body, bytes):
            return None
        while idle:
            connection, _ = idle.popitem()
            if connection.open:
                return connection
        return None

    async def _connected(self, origin: Origin) -> Connection:
        """A new connection. Raises UpstreamUnreachable, also where it takes too long."""
        context = None
        if origin.scheme == "https":
            context = self._ssl or _verifying()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_within):
                sock = await dial(origin.host, origin.port, self._allowed)
                # From here on the socket is the transport's to close.
                _, connection = await loop.create_connection(
                    lambda: Connection(origin, self._on_idle, self._on_lost),
                    sock=sock,
                    ssl=context,
                    server_hostname=origin.host if context else None,
                )
        except (TimeoutError, OSError, ValueError):
            raise UpstreamUnreachable(accepted=False) from None
        if not connection.open:
            raise UpstreamUnreachable(accepted=False)
        self._all.add(connection)
        return connection

    def _on_idle(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.setdefault(connection.origin, {})[connection] = None
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._keep_idle / 4, self._sweep)

    def _on_lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        self._idle.get(connection.origin, {}).pop(connection, None)

    def _sweep(self) -> None:
        """Close those that were idle for too long, and look again as long as there are others."""
        loop = asyncio.get_running_loop()
        since = loop.time() - self._keep_idle
        for origin, idle in tuple(self._idle.items()):
            for connection in [one for one in idle if one.idle_since <= since]:
                del idle[connection]
                connection.close()
            if not idle:
                del self._idle[origin]
        self._sweeper = loop.call_later(self._keep_idle / 4, self._sweep) if self._idle else None


@cache
def _verifying() -> ssl.SSLContext:
    """The system's trust, read once: that takes some milliseconds."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
