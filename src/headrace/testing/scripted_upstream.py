"""An upstream on a real socket that does what a script says, whatever HTTP says.

::

    async with ScriptedUpstream([head(), sse("one"), Reset()]) as upstream:
        ...                                     # talk to upstream.url
        assert upstream.requests[0].target == "/v1/chat/completions"
        await upstream.connections[0].closed.wait()

The faults that a server must survive are ready-made in :mod:`headrace.testing.faults`; the upstream without a socket is
:class:`~headrace.testing.fake_upstream.FakeUpstream`.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, cast

import msgspec

from headrace.testing.fake_upstream import End, FakeAnswer, FakeUpstream, KeepAlive, chunk, finish

__all__ = [
    "Connection",
    "End",
    "Endless",
    "FakeAnswer",
    "FakeUpstream",
    "Fin",
    "KeepAlive",
    "Next",
    "Received",
    "Reset",
    "ScriptedUpstream",
    "Stall",
    "Trickle",
    "answer",
    "chunk",
    "chunked",
    "finish",
    "head",
    "sse",
    "whole",
]

_LINGER_NOT = struct.pack("ii", 1, 0)
_MAX_HEAD = 1 << 20


@dataclass(frozen=True)
class Fin:
    """A step: close in good manners. Also what the end of a script does."""


@dataclass(frozen=True)
class Reset:
    """A step: close with a reset, after what was written has left this process."""


@dataclass(frozen=True)
class Stall:
    """A step: do nothing until the other side closes."""


@dataclass(frozen=True)
class Next:
    """A step: this response is complete, and the connection waits for another request."""


@dataclass(frozen=True)
class Trickle:
    """A step: send ``size`` bytes at a time, each in a packet of its own, with ``pause`` seconds after each."""

    data: bytes
    size: int = 1
    pause: float = 0.0


@dataclass(frozen=True)
class Endless:
    """A step: send the same again and again, as fast as it is read, until the other side closes."""

    data: bytes


#: Bytes are sent as they are; an event is waited for.
Step = bytes | asyncio.Event | Fin | Reset | Stall | Next | Trickle | Endless
Script = Sequence[Step]


@dataclass(frozen=True)
class Received:
    """A request as it came. Header names are lower-case; of several with one name the last is kept."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    def json(self) -> object:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


@dataclass
class Connection:
    """What happened on one connection; times are the event loop's."""

    index: int
    opened_at: float
    closed_at: float | None = None
    requests: int = 0
    sent: int = 0
    #: Set when the other side has closed, or when the script has.
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    #: The other side closed before the script did.
    left: bool = False


class ScriptedUpstream:
    """A server on a free loopback port that plays one script per request; the last is played again and again.

    ``scripts`` is one script, a list of them, or a function from a request to its script. ``ssl_context`` makes it
    speak TLS. Use as an async context manager.
    """

    def __init__(
        self,
        scripts: Script | Sequence[Script] | Callable[[Received], Script],
        *,
        ssl_context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.requests: list[Received] = []
        self.connections: list[Connection] = []
        #: Set with the first request.
        self.asked = asyncio.Event()
        self.port = 0
        self._host = host
        self._ssl = ssl_context
        self.script_for = scripts if callable(scripts) else _in_turn(scripts)
        self._server: asyncio.Server | None = None
        self.players: set[_Player] = set()

    @property
    def url(self) -> str:
        """The origin, such as ``http://127.0.0.1:4711``."""
        return f"{'https' if self._ssl else 'http'}://{self._host}:{self.port}"

    @property
    def open(self) -> int:
        """How many connections are open now."""
        return sum(connection.closed_at is None for connection in self.connections)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Player(self), self._host, 0, ssl=self._ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening and drop all connections."""
        if self._server is not None:
            self._server.close()
        for player in list(self.players):
            player.drop()
        await asyncio.gather(*(player.task for player in self.players if player.task), return_exceptions=True)


def _in_turn(scripts: Script | Sequence[Script]) -> Callable[[Received], Script]:
    """One script for each request, the last for all that follow."""
    several = [list(script) for script in scripts if isinstance(script, (list, tuple))] or [list(scripts)]
    turn = iter(several[:-1])
    return lambda _: next(turn, several[-1])


class _Player(asyncio.Protocol):
    """One connection: reads requests and plays a script for each."""

    def __init__(self, server: ScriptedUpstream) -> None:
        self.task: asyncio.Task[None] | None = None
        self._server = server
        self._received = bytearray()
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport
        self._connection = Connection(len(server.connections), asyncio.get_running_loop().time())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.index = len(self._server.connections)  # only now: several may have been made at once
        self._server.connections.append(self._connection)
        self._server.players.add(self)
        self.task = asyncio.get_running_loop().create_task(self._run())

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._news.set()

    def eof_received(self) -> bool:
        self._left()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._left()
        self._server.players.discard(self)
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def drop(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _left(self) -> None:
        if self._connection.closed_at is None:
            self._connection.left = True
            self._closed()

    def _closed(self) -> None:
        if self._connection.closed_at is None:
            self._connection.closed_at = asyncio.get_running_loop().time()
        self._connection.closed.set()

    async def _run(self) -> None:
        while True:
            request = await self._read_request()
            self._connection.requests += 1
            self._server.requests.append(request)
            self._server.asked.set()
            if not await self._play(self._server.script_for(request)):
                return

    async def _play(self, script: Script) -> bool:
        """Whether the connection waits for another request."""
        for step in script:
            if isinstance(step, Next):
                return True
            if isinstance(step, (Fin, Reset)):
                self._hang_up(reset=isinstance(step, Reset))
                return False
            await self._step(step)
        self._hang_up(reset=False)
        return False

    async def _step(self, step: Step) -> None:
        if isinstance(step, bytes):
            await self._send(step)
        elif isinstance(step, asyncio.Event):
            await step.wait()
        elif isinstance(step, Stall):
            await asyncio.get_running_loop().create_future()
        elif isinstance(step, Trickle):
            for start in range(0, len(step.data), step.size):
                await self._send(step.data[start : start + step.size])
                await asyncio.sleep(step.pause)
        elif isinstance(step, Endless):
            while True:
                await self._send(step.data)
                await asyncio.sleep(0)

    async def _send(self, data: bytes) -> None:
        await self._writable.wait()
        self._transport.write(data)
        self._connection.sent += len(data)

    def _hang_up(self, *, reset: bool) -> None:
        self._closed()
        if reset:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            self._transport.abort()
        else:
            self._transport.close()

    async def _read_request(self) -> Received:
        end = await self._find(b"\r\n\r\n")
        first, *lines = self._take(end + 4)[:-4].decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = await self._read_chunked()
        else:
            body = await self._read_exactly(int(headers.get("content-length", "0")))
        return Received(method, target, headers, body, self._connection.index)

    async def _read_chunked(self) -> bytes:
        body = bytearray()
        while True:
            end = await self._find(b"\r\n")
            size = int(self._take(end + 2).split(b";")[0], 16)
            body += (await self._read_exactly(size + 2))[:-2]
            if size == 0:
                return bytes(body)

    async def _read_exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            await self._more()
        return self._take(size)

    async def _find(self, separator: bytes) -> int:
        while (at := self._received.find(separator)) < 0:
            await self._more()
        return at

    async def _more(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken


def head(status: int = 200, *fields: str, type: str = "text/event-stream", body: str = "close") -> bytes:
    """A response's head. ``body`` says how its body ends: ``close``, ``chunked`` or a length in bytes."""
    framing = {"close": "Connection: close", "chunked": "Transfer-Encoding: chunked"}.get(
        body, f"Content-Length: {body}"
    )
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {type}", framing, *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunked(*parts: bytes, end: bool = True) -> bytes:
    """Parts in chunked coding, with the zero chunk where it is to ``end``."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + (b"0\r\n\r\n" if end else b"")


def sse(*texts: str, finish_reason: str = "", done: bool = False, usage: tuple[int, int] | None = None) -> bytes:
    """OpenAI chat chunks as server-sent events: text, then a finish, usage and ``[DONE]`` as asked for."""
    records = [chunk(text) for text in texts]
    if finish_reason:
        records.append(finish(finish_reason))
    blocks = [b"data: %b\n\n" % record.data for record in records]
    if usage:
        body = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "choices": [], "usage": _usage(usage)}
        blocks.append(b"data: %b\n\n" % msgspec.json.encode(body))
    return b"".join(blocks) + (b"data: [DONE]\n\n" if done else b"")


def answer(*texts: str, usage: tuple[int, int] | None = None) -> bytes:
    """A whole good streamed response, framed by its length so that the connection may be kept."""
    body = sse(*texts, finish_reason="stop", done=True, usage=usage)
    return head(body=str(len(body))) + body


def whole(text: str = "Hello", status: int = 200, usage: tuple[int, int] = (1, 2)) -> bytes:
    """A whole good response that is not streamed."""
    message = {"role": "assistant", "content": text}
    body = msgspec.json.encode(
        {
            "id": "chatcmpl-fake",
            "object": "chat.completion",
            "created": 1,
            "model": "fake",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": _usage(usage),
        }
    )
    return head(status, type="application/json", body=str(len(body))) + body


def _usage(usage: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
