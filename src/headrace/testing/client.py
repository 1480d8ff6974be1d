"""A client on a raw socket that keeps exactly what it saw: the bytes, whole events, their ids, and how it ended."""

import asyncio
import contextlib
import json
import re
import socket
import struct
from collections.abc import Callable, Mapping

#: Seconds in which anything that is waited for must have happened.
PATIENCE = 10.0

_RESET = struct.pack("ii", 1, 0)


class Event:
    """One server-sent event."""

    def __init__(self, block: bytes) -> None:
        self.name = ""
        self.data = ""
        self.id = ""
        for line in block.decode().split("\n"):
            field, _, value = line.partition(": ")
            if field in ("event", "data", "id"):
                setattr(self, "name" if field == "event" else field, value)

    @property
    def text(self) -> str:
        """What it adds to the answer's text, in any of the dialects."""
        if self.data in ("", "[DONE]"):
            return ""
        found = json.loads(self.data)
        if "choices" in found:
            return "".join(choice["delta"].get("content") or "" for choice in found["choices"])
        return str(found.get("token") or found.get("content") or "")

    @property
    def error(self) -> str:
        """The code of the error that it tells, or ``cancelled``, which has an event of its own among named ones."""
        if self.name == "cancelled":
            return self.name
        found = json.loads(self.data) if self.data.startswith("{") else {}
        error = found.get("error") or (found if self.name == "error" else {})
        return str(error.get("code", ""))


class Client:
    """One request on a connection of its own, and all that came back. ``open`` it, read, ``close`` it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 0
        self.headers: dict[str, str] = {}
        #: The body's bytes, without the chunked coding.
        self.body = b""
        #: The body has come to its own end: the zero chunk, or all of its length.
        self.whole = False
        self._raw = b""
        self._reader: asyncio.StreamReader
        #: None until the connection is there.
        self._writer: asyncio.StreamWriter | None = None

    async def open(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        buffer: int = 0,
        head: bool = True,
    ) -> "Client":
        """Send the request and read the head of the reply. ``buffer`` is the size of the socket's receive buffer."""
        sock = socket.socket()
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        except BaseException:
            sock.close()
            raise
        self._reader, self._writer = await asyncio.open_connection(sock=sock, limit=max(buffer, 1 << 10))
        content = b"" if body is None else json.dumps(body).encode()
        fields = {"Host": f"127.0.0.1:{self.port}", "Content-Length": str(len(content)), **(headers or {})}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        if head:
            async with asyncio.timeout(PATIENCE):
                await self.read_head()
        return self

    async def read_head(self) -> None:
        """Read status and headers."""
        while b"\r\n\r\n" not in self._raw:
            if not await self._more():
                raise ConnectionError("the server hung up before the head of its reply")
        first, _, self._raw = self._raw.partition(b"\r\n\r\n")
        status, *lines = first.decode().split("\r\n")
        self.status = int(status.split(" ")[1])
        pairs = (line.split(":", 1) for line in lines)
        self.headers = {name.lower(): value.strip() for name, value in pairs}
        self._decode()

    @property
    def stream(self) -> str:
        """The id of the stream that the reply shows."""
        return self.headers["headrace-stream-id"]

    @property
    def events(self) -> list[Event]:
        """The events that came whole."""
        blocks = self.body.split(b"\n\n")[:-1]
        # A keep-alive of the OpenAI dialect is a line of the next block.
        return [event for event in map(Event, blocks) if event.data]

    @property
    def last_id(self) -> str:
        """The id of the last event that came whole."""
        return next((event.id for event in reversed(self.events) if event.id), "")

    @property
    def text(self) -> str:
        """The answer's text, as far as it came."""
        return "".join(event.text for event in self.events)

    @property
    def errors(self) -> list[str]:
        """The codes of the errors that were told."""
        return [event.error for event in self.events if event.error]

    @property
    def done(self) -> bool:
        """Whether the answer looks complete, in any of the dialects."""
        return b"data: [DONE]" in self.body or b'"done":true' in self.body or b"event: done" in self.body

    async def until(self, condition: Callable[["Client"], bool], seconds: float = PATIENCE) -> "Client":
        """Read until ``condition`` holds. Raises TimeoutError, and ConnectionError where the reply ends before."""
        async with asyncio.timeout(seconds):
            while not condition(self):
                if self.whole or not await self._more():
                    raise ConnectionError(f"the reply ended: {self.body[-300:]!r}")
                self._decode()
        return self

    async def rest(self, seconds: float = PATIENCE) -> "Client":
        """Read to the end of the reply, clean or not. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not self.whole and await self._more():
                self._decode()
        self.close()
        return self

    def close(self) -> None:
        """Hang up, where it was connected."""
        if self._writer is not None:
            self._writer.close()

    def __del__(self) -> None:
        # A test that fails leaves clients behind; what it failed of is the news, not they.
        if self._writer is not None:
            with contextlib.suppress(RuntimeError, OSError):
                self._writer.transport.abort()

    def reset(self) -> None:
        """Hang up with a reset, where it was connected."""
        if self._writer is None:
            return
        sock = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()

    async def _more(self) -> bool:
        try:
            data = await self._reader.read(1 << 16)
        except OSError:
            return False
        self._raw += data
        return bool(data)

    def _decode(self) -> None:
        if "content-length" in self.headers:
            self.body += self._raw
            self._raw = b""
            self.whole = len(self.body) == int(self.headers["content-length"])
        elif self.headers.get("transfer-encoding") != "chunked":
            self.body += self._raw
            self._raw = b""
            self.whole = self.status == 204
        else:
            self._decode_chunks()

    def _decode_chunks(self) -> None:
        parts = []
        at = 0
        while (head := re.compile(rb"([0-9a-fA-F]+)\r\n").match(self._raw, at)) is not None:
            size = int(head[1], 16)
            if len(self._raw) < head.end() + size + 2:
                break
            parts.append(self._raw[head.end() : head.end() + size])
            at = head.end() + size + 2
            if size == 0:
                self.whole = True
                break
        self._raw = self._raw[at:]
        self.body += b"".join(parts)
