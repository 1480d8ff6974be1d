"""HTTP on raw sockets, for tests that must see how an answer ends: HTTP/1.1 by its chunks, HTTP/2 by its events."""

import asyncio
import contextlib
import json
import ssl
from typing import Any, Self

import h2.config
import h2.connection
import h2.events

#: Seconds for which a test waits for a server's next bytes.
PATIENCE = 10.0

#: How a body ended: by its zero chunk, length or END_STREAM; or without.
CLEAN, CUT = "clean", "cut"


class Http1:
    """One HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}
        #: How the last body ended; empty while it goes on.
        self.ended = ""

    @classmethod
    async def connect(
        cls, port: int, host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None, limit: int = 1 << 20
    ) -> Self:
        return cls(*await asyncio.open_connection(host, port, ssl=tls, limit=limit))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def ask(self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None) -> None:
        """Send a request and read the head of its response."""
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        pairs = {"host": "localhost", **(headers or {})}
        if raw or method == "POST":
            pairs.setdefault("content-length", str(len(raw)))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs.items())]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + raw)
        await self.writer.drain()
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *fields = head.rstrip("\r\n").split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        self.ended = CLEAN if method == "HEAD" or self.status in (204, 304) else ""

    async def chunk(self) -> bytes:
        """The next chunk; nothing at the end, and then ``ended`` is set."""
        if self.ended:
            return b""
        if "content-length" in self.headers:
            self.ended = CLEAN
            return await self.reader.readexactly(int(self.headers["content-length"]))
        assert self.headers["transfer-encoding"] == "chunked"
        try:
            async with asyncio.timeout(PATIENCE):
                size = int(await self.reader.readuntil(b"\r\n"), 16)
                data = (await self.reader.readexactly(size + 2))[:-2]
        except TimeoutError:
            raise
        except (asyncio.IncompleteReadError, OSError):
            self.ended = CUT
            return b""
        if not size:
            self.ended = CLEAN
        return data

    async def rest(self) -> bytes:
        """The body from here on."""
        read = bytearray()
        while data := await self.chunk():
            read += data
        return bytes(read)


class Http2:
    """One HTTP/2 connection with prior knowledge (or TLS), and all of its streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self._h2.initiate_connection()
        self.heads: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytearray] = {}
        #: How streams ended.
        self.ended: dict[int, str] = {}
        self.error_codes: dict[int, int] = {}
        self.closed = False

    @classmethod
    async def connect(cls, port: int, host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None) -> Self:
        return cls(*await asyncio.open_connection(host, port, ssl=tls))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def ask(self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None) -> int:
        """Send a request; the number of its stream."""
        stream = self._h2.get_next_available_stream_id()
        pairs = [(":method", method), (":path", target), (":scheme", "http"), (":authority", "localhost")]
        raw = b"" if body is None else json.dumps(body).encode()
        self._h2.send_headers(stream, [*pairs, *(headers or {}).items()], end_stream=not raw)
        if raw:
            self._h2.send_data(stream, raw, end_stream=True)
        self.bodies[stream] = bytearray()
        await self._flush()
        return stream

    async def until(self, done: Any) -> None:
        """Read until ``done()`` holds, or the connection ends."""
        while not done() and not self.closed:
            async with asyncio.timeout(PATIENCE):
                data = await self._reader.read(65536)
            if not data:
                self.closed = True
                return
            for event in self._h2.receive_data(data):
                self._take(event)
            await self._flush()

    async def finish(self, *streams: int) -> None:
        """Read until these streams have ended."""
        await self.until(lambda: all(stream in self.ended for stream in streams))

    async def reset(self, stream: int) -> None:
        """Leave one stream."""
        self._h2.reset_stream(stream, error_code=8)
        await self._flush()

    def _take(self, event: Any) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self.heads[event.stream_id] = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.setdefault(event.stream_id, CLEAN)
        elif isinstance(event, h2.events.StreamReset):
            self.ended[event.stream_id] = CUT
            self.error_codes[event.stream_id] = int(event.error_code)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.closed = True

    async def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()
