"""One connection to an upstream: one request at a time goes out, and what comes back is fed to its response.

This is the path that every chunk of every answer takes. A chunk costs one call of the event loop, one of the parser,
and the one future of whoever waits.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import suppress
from typing import cast

from headrace.errors import HeadraceError, RequestError
from headrace.upstreams.http_request import Origin, Request
from headrace.upstreams.http_response import Response

#: Bytes of a body that may wait to be taken before the socket is left alone. One read of the event loop, 256 KiB at
#: most, may come on top.
READ_BUFFER = 65536
#: Seconds after which a connection that breaks without an answer had taken the request on, reused or not.
STALE_WINDOW = 1.0

#: Linger for no time at all: closing sends a reset, and drops what the other side still sends.
_RESET = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """A connection that its pool owns.

    ``on_idle`` is called when it can serve another request, ``on_lost`` when it is gone for good.
    """

    def __init__(
        self, origin: Origin, on_idle: Callable[["Connection"], None], on_lost: Callable[["Connection"], None]
    ) -> None:
        self.origin = origin
        #: When it was given back, on the loop's clock.
        self.idle_since = 0.0
        #: It broke soon after a request, without a word. Where it had served others it was dead before.
        self.stale = False
        self._loop = asyncio.get_running_loop()
        #: Done when the socket is closed.
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._transport: asyncio.Transport
        self._response: Response | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._news: Callable[[], None] | None = None
        self._asked_at = 0.0
        self._sending: asyncio.Task[None] | None = None
        self._unsent: HeadraceError | None = None
        self._writable: asyncio.Future[None] | None = None

    @property
    def open(self) -> bool:
        """It may be used, as far as is known on this side."""
        return not (self.gone.done() or self._transport.is_closing())

    # -- what its users call -----------------------------------------------------------------------------------------

    async def ask(self, request: Request) -> Response:
        """Send a request and wait for the final head. The connection must be open; cancelling closes it.

        Raises UpstreamTruncated and UpstreamProtocol; where a body that streams raises an error of ours, that.
        """
        response = self._response = Response(request.method)
        self._asked_at = self._loop.time()
        self._send(request)
        try:
            while not response.headed and response.error is None:
                await self.wait()
        except BaseException:
            self.drop(response)
            raise
        if self._unsent is not None:
            raise self._unsent
        if response.error is not None and not response.headed:
            raise response.error
        return response

    def wait(self) -> "asyncio.Future[None]":
        """What is done when there is news of the response; only the last one is. Not to be shared."""
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def listen(self, response: Response, news: Callable[[], None] | None) -> None:
        """Have it called when there is news of a response that is still coming in; nobody waits then."""
        if self._response is response:
            self._news = news

    def resume(self, response: Response) -> None:
        """Read again: the response has room."""
        response.paused = False
        if self._response is response:
            self._transport.resume_reading()

    def drop(self, response: Response) -> None:
        """Close at once, with a reset, if this response is still coming in. Idempotent."""
        if self._response is response:
            response.cut()
            self._leave()
            self._reset()

    def close(self) -> None:
        """Close at once, whatever it does."""
        if self._response is not None:
            self.drop(self._response)
        else:
            self._transport.abort()

    # -- what the event loop calls -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport. uvloop's are of none of asyncio's classes."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Feed the response. What nobody asked for ends the connection."""
        response = self._response
        if response is None:
            self._transport.abort()
            return
        response.feed(data)
        if response.complete or response.error is not None:
            self._finish(response)
        elif response.size > READ_BUFFER and not response.paused:
            response.paused = True
            self._transport.pause_reading()
        if (news := self._news) is not None:
            news()
            return
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def eof_received(self) -> bool:
        """The other side has closed: so do we."""
        if self._response is not None:
            self._note_stale(self._response)
            self._response.close()
            self._leave()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Cut what was coming in."""
        del exc
        if self._response is not None:
            self._note_stale(self._response)
            self._response.cut()
        self._on_lost(self)
        if not self.gone.done():
            self.gone.set_result(None)
        self._leave()  # last: whoever is told may fail

    def pause_writing(self) -> None:
        """The other side takes no more for now."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """The other side takes more."""
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    # -- the request -------------------------------------------------------------------------------------------------

    def _send(self, request: Request) -> None:
        if request.body is None or isinstance(request.body, bytes):
            self._transport.write(request.head + (request.body or b""))
            return
        self._transport.write(request.head)
        self._sending = self._loop.create_task(self._send_body(request.body, request.length))
        self._sending.add_done_callback(self._sent)

    async def _send_body(self, body: AsyncIterable[bytes], left: int | None) -> None:
        """Send a body as it comes, as fast as the other side takes it; ``left`` is its length, if that is known.

        Raises RequestError where it is not that long.
        """
        parts = aiter(body)
        try:
            async for part in parts:
                if self._writable is not None:
                    await self._writable
                if left is None:
                    self._transport.write(b"%x\r\n%b\r\n" % (len(part), part) if part else b"")
                elif (left := left - len(part)) >= 0:
                    self._transport.write(part)
                else:
                    break
            if left is None:
                self._transport.write(b"0\r\n\r\n")
            elif left:
                raise RequestError("The request body is not as long as it was said to be.")
        finally:
            if isinstance(parts, AsyncGenerator):
                await parts.aclose()

    def _sent(self, sending: asyncio.Task[None]) -> None:
        """A body that broke off breaks the request: the other side must not take it for a whole one."""
        self._sending = None
        error = None if sending.cancelled() else sending.exception()
        if error is not None and self._response is not None:
            self._unsent = error if isinstance(error, HeadraceError) else None
            self.drop(self._response)

    # -- small parts -------------------------------------------------------------------------------------------------

    def _finish(self, response: Response) -> None:
        """The response is over: be there for another, or close."""
        sending = self._sending
        self._leave()
        if response.error is not None:
            self._reset()
        elif response.keep_alive and sending is None and self.open:
            self._on_idle(self)
        else:
            self._transport.abort()

    def _leave(self) -> None:
        """Let go of the response, and wake who waits for it."""
        self._response = None
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        news, self._news = self._news, None
        if news is not None:
            news()

    def _note_stale(self, response: Response) -> None:
        self.stale = not response.heard and self._loop.time() - self._asked_at < STALE_WINDOW

    def _reset(self) -> None:
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()
