"""The least that a relay in Python can be: what Headrace's figures are to be seen beside. No product, and no example.

Two protocols on uvloop and llhttp move bytes from one socket to the other. With ``--events`` each event is also split
off, checked and written again, by Headrace's own client, decoder and intake. There is no log, no other reader, no
deadline and no error here: what a row of Headrace costs more is what these cost.
"""

import asyncio
import sys
from collections.abc import Sequence

import uvloop
from httptools import HttpRequestParser, HttpResponseParser

from headrace.upstreams.http import Exchange, Http
from headrace.wire.chat.intake import Intake
from headrace.wire.sse import Decoder

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """A piece of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Upstream(asyncio.Protocol):
    """A connection to the upstream, used again and again; it writes to the client that asked."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.parts: list[bytes] = []
        self.on_body = self.parts.append
        self.over = False

    def ask(self, request: bytes, client: asyncio.Transport) -> None:
        self.client = client
        self.over = False
        self.parser = HttpResponseParser(self)
        self.transport.write(request)

    def on_headers_complete(self) -> None:
        self.client.write(HEAD)

    def on_message_complete(self) -> None:
        self.over = True

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)
        if self.parts:
            self.client.write(chunk(b"".join(self.parts)))
            self.parts.clear()
        if self.over:
            self.client.write(END)
            IDLE.append(self)


#: Those that nobody uses now.
IDLE: list[Upstream] = []


class Client(asyncio.Protocol):
    """A client's connection; each request goes on to the upstream's port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.parser = HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        body, self.body = self.body, b""
        self.task = asyncio.get_running_loop().create_task(self.relay(body))

    async def relay(self, body: bytes) -> None:
        """Ask the upstream; what it says is written as it comes."""
        if IDLE:
            upstream = IDLE.pop()
        else:
            loop = asyncio.get_running_loop()
            _, upstream = await loop.create_connection(Upstream, "127.0.0.1", self.port)
        head = b"POST %b HTTP/1.1\r\nhost: upstream\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        upstream.ask(head % (self.url, len(body)) + body, self.transport)


class EventsClient(Client):
    """The same, by Headrace's own parts: each event is looked at, and told with a number of its own."""

    http: Http

    async def relay(self, body: bytes) -> None:
        """Ask the upstream; what it says is written as it comes."""
        url = f"http://127.0.0.1:{self.port}{self.url.decode()}"
        self.exchange: Exchange = await self.http.request("POST", url, {"content-type": "application/json"}, body)
        self.decoder, self.intake, self.number = Decoder(), Intake(usage_wanted=True), 0
        self.transport.write(HEAD)
        self.exchange.listen(self.news)
        self.news()

    def news(self) -> None:
        while (data := self.exchange.take()) is not None:
            if not data:
                self.transport.write(END)
                return
            told = self.told(self.intake.take(self.decoder.feed(data)))
            if told:
                self.transport.write(chunk(told))

    def told(self, records: Sequence[tuple[str, bytes]]) -> bytes:
        """The events again."""
        frames = []
        for _, data in records:
            self.number += 1
            frames.append(b"data: %b\nid: %d\n\n" % (data, self.number))
        if self.intake.ended:
            frames.append(b"data: [DONE]\n\n")
        return b"".join(frames)


async def serve(port: int, upstream: int, kind: type[Client]) -> None:
    """Relay until the process ends."""
    EventsClient.http = Http()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: kind(upstream), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2]), EventsClient if "--events" in sys.argv else Client))
