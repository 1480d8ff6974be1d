"""A client's connection in HTTP/1.1: uvicorn's protocol on llhttp, with bounds and deadlines of our own.

An idle one holds little more than its transport. None has a timer while it is read: its listener looks at all deadlines
now and then.
"""

import asyncio
import logging
import math
import socket
import struct
from collections.abc import Callable

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from headrace.faces.delivery import DETACH
from headrace.serving.ending import Ending
from headrace.serving.room import Room
from headrace.serving.sockets import HEAD_BYTES, HEAD_TIMEOUT

#: Bytes that are held here for a client which reads slowly, beyond the piece that is being sent; the kernel holds more.
HELD = 4 << 10

#: Bytes that the kernel holds for a reader of a stream (it takes twice as many, for itself too). By itself it takes up
#: to 4 MB for each that reads nothing, and with a thousand of them gets slow for all.
SENDING = 128 << 10

#: Requests of one connection that may wait for the answers before theirs; one read of it may bring thousands.
WAITING = 64

#: uvicorn logs what an application raises with its text, and each reply that was cut on purpose.
_QUIET = logging.getLogger("headrace.serving.quiet")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class Connection(HttpToolsProtocol):
    """One client's connection: one request after the other."""

    #: Outside of the protocol's dictionary: one of over 29 costs 1.3 KB more.
    __slots__ = (
        "_answered",
        "_chunks",
        "_deaf",
        "_due",
        "_gone",
        "_head",
        "_on_lost",
        "_overhead",
        "_ready",
        "_room",
        "_unchunked",
        "full",
    )

    def __init__(self, config: Config, state: ServerState, on_lost: Callable[[], None], room: Room) -> None:
        super().__init__(config, state, {})
        self.logger = self.access_logger = _QUIET
        self._on_lost = on_lost
        self._room = room
        #: When the head that is being read must be there; infinite while none is.
        self._due = math.inf
        #: Bytes of it so far; negative while none is read.
        self._head = 0
        #: Bytes behind a head since the last that were body: framing, trailers.
        self._overhead = 0
        #: What comes is dropped: the connection ends, behind the requests that wait.
        self._deaf = False
        #: More would only be held in memory.
        self.full = False
        #: The request whose answer is under way, or was the last; the protocol's own is the last that was read.
        self._answered: RequestResponseCycle | None = None
        #: How that is told, where it came in HTTP/1.0.
        self._unchunked: Unchunked | None = None
        #: The body that was handed out goes in chunks.
        self._chunks = True
        #: Told of room, and of the connection's loss, by whoever has the body.
        self._ready: Callable[[], None] | None = None
        self._gone: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; whoever connects has something to ask."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=HELD)
        self._due = self.loop.time() + HEAD_TIMEOUT
        self._room.rests(self)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._deaf:
            return
        if self._head >= 0:
            if not self._head:
                self._due = self.loop.time() + HEAD_TIMEOUT
                self._room.works(self)
            self._head += len(data)
        else:
            self._overhead += len(data)
        self._unset_keepalive_if_required()
        self._feed(data)
        if self._head > HEAD_BYTES or self._overhead > HEAD_BYTES:
            self.refuse(431)

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
                return
            except HttpParserUpgrade as upgrade:
                # No other protocol is spoken here, and the parser would skip the body of a request that offers one.
                data = self._plain_head() + data[upgrade.args[0] :]
                self.parser = HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
            except HttpParserError:
                if not self._deaf:
                    self.send_400_response("Invalid HTTP request received.")
                return

    def _plain_head(self) -> bytes:
        """The head that was read, as of a request that offers no other protocol."""
        first = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        fields = [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join([first, *fields, b"", b""])

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is under way."""
        cycle = self._answered
        if cycle is not None and not cycle.response_complete:  # others that came behind it have not begun
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # which holds on to this object
        self._room.works(self)
        self._room.give_back()
        if self._gone is not None:
            gone, self._ready, self._gone = self._gone, None, None
            gone()
        self._on_lost()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head. One of a trailer is none of it, whoever checks heads on the way here."""
        if self._head >= 0:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request on; the body's time is the application's."""
        if self._offers_upgrade:
            return
        if len(self.pipeline) == WAITING:
            self._deaf = True
            raise HttpParserError
        self._head, self._overhead = -1, 0
        self._due = math.inf
        self._room.works(self)
        super().on_headers_complete()
        self.cycle.transport = Ending(self.transport, self.close)  # type: ignore[assignment]
        if len(self.pipeline) == WAITING:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._overhead = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next head may begin; behind a body that nobody waited for any more, soon."""
        if self._offers_upgrade:
            return
        super().on_message_complete()
        self._head = self._overhead = 0
        if not self._answering:
            self._due = self.loop.time() + HEAD_TIMEOUT
            self._room.rests(self)

    def on_response_complete(self) -> None:
        """Go on to the next request. Where the body of this one is still coming, it has a while for that."""
        super().on_response_complete()
        if self._answering:
            return
        if self._head < 0:
            self._due = self.loop.time() + HEAD_TIMEOUT
        elif not self._head:
            self._room.rests(self)

    def close(self) -> None:
        """Close behind an answer; where its request's body is still coming, that would lose what is on its way."""
        if self._head < 0 and not self._answering:
            self._deaf = True
            self.transport.write_eof()
        else:
            self.transport.close()

    @property
    def _offers_upgrade(self) -> bool:
        """The parser takes the request for the last one in HTTP."""
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; the words of that would be taken for a part of an answer that is under way."""
        if self._answering:
            self.transport.close()
        else:
            super().send_400_response(msg)

    @property
    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        """Answer a request, once those before it are answered."""
        self._answered = cycle
        if cycle.scope["http_version"] == "1.0":
            app = self._unchunked = Unchunked(app, cycle)
        super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]

    @property
    def _unbounded(self) -> bool:
        return self._unchunked is not None and self._unchunked.unbounded

    # -- the body of a reply that goes on below ASGI ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Offer the connection to the request that begins."""
        super().on_message_begin()
        self.scope[DETACH] = self.detach  # type: ignore[literal-required]

    def detach(self, ready: Callable[[], None], lost: Callable[[], None]) -> "Connection | None":
        """Hand the rest of a body of unknown length out; the application's call may return before it has ended."""
        cycle = self._answered
        if cycle is None or cycle.disconnected or self.transport.is_closing():
            return None
        if not (cycle.chunked_encoding or self._unbounded):
            return None
        self._ready, self._gone = ready, lost
        self._chunks = not self._unbounded
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENDING)
        cycle.disconnected = True  # as far as the application is concerned; else its return would break the connection
        cycle.message_event.set()
        return self

    def write(self, data: bytes) -> None:
        """Send a chunk."""
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunks else data)

    def end(self) -> None:
        """End the body, and go on to the next request."""
        self._ready = self._gone = None
        cycle = self._answered
        if cycle is None:
            return
        cycle.response_complete = True
        if not self._unbounded:
            self.transport.write(b"0\r\n\r\n")
        if not cycle.keep_alive:
            self.close()
        self.on_response_complete()

    def cut(self) -> None:
        """Break the body off, after what was sent of it."""
        self._ready = self._gone = None
        if self._unbounded:
            reset_on_close(self.transport)
        self.transport.close()

    def pause_writing(self) -> None:
        """What is written from now on is held in memory."""
        super().pause_writing()
        self.full = True

    def resume_writing(self) -> None:
        """There is room again."""
        super().resume_writing()
        self.full = False
        if self._ready is not None:
            self._ready()

    def make_room(self) -> bool:
        """End, and say so; not where the client has yet to take what it was sent, which may last."""
        if idle := not self.transport.get_write_buffer_size():
            self.transport.close()
        return idle

    # -- deadlines ---------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Give up a head that does not come; while an answer is under way it may take its time."""
        if now < self._due:
            return
        if self._answering:
            self._due = now + HEAD_TIMEOUT
        else:
            self.refuse(408)

    def refuse(self, status: int) -> None:
        """Answer what is no whole request, unless that has an answer already, and close."""
        self._due = math.inf
        if self.transport.is_closing():
            return
        if self._answered is None or (self._head > 0 and not self._answering):
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


class Unchunked:
    """An app as a client of HTTP/1.0 is answered, who knows no chunks: what has no length ends with the connection."""

    def __init__(self, app: ASGIApp, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle
        #: The reply has begun, and has no length.
        self.unbounded = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. A body that is not finished is broken off with a reset, which tells it from one that is."""

        async def unchunked(message: Message) -> None:
            if message["type"] == "http.response.start":
                lengths = [name for name, _ in message.get("headers", ()) if name.lower() == b"content-length"]
                if not lengths and scope["method"] != "HEAD" and message["status"] not in (204, 304):
                    self.unbounded = True
                    self._cycle.chunked_encoding = False
            elif self.unbounded:
                self._cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, unchunked)
        finally:
            if self.unbounded and not (self._cycle.response_complete or self._cycle.disconnected):
                reset_on_close(self._cycle.transport)


def reset_on_close(transport: asyncio.Transport) -> None:
    """Have the client told by a reset that its body is not finished: the end of the connection would be its end."""
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
