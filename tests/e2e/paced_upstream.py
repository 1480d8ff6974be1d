"""An upstream process that answers at a steady rate: ``python paced_upstream.py RATE COUNT``.

Prints its port. Each chunk's text is its number and a space, so that a lost or doubled one shows.
"""

import asyncio
import json
import sys


class Paced(asyncio.Protocol):
    """One connection: a request, then ``count`` chunks at ``rate`` a second, then the end."""

    def __init__(self, rate: float, count: int) -> None:
        self._pause = 1 / rate
        self._count = count
        self._received = b""
        self._sent = 0
        self._due = 0.0

    def connection_made(self, transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) < int(length.partition(b":")[2]):
            return
        self._received = b""
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        self._due = self._loop.time()
        self._next()

    def _next(self) -> None:
        if self._transport.is_closing():
            return
        if self._sent == self._count:
            finish = {"id": "chatcmpl-paced", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            self._transport.write(b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(finish).encode())
            self._transport.close()
            return
        self._sent += 1
        self._transport.write(
            b'data: {"id":"chatcmpl-paced","object":"chat.completion.chunk","created":1,"model":"m",'
            b'"choices":[{"index":0,"delta":{"content":"%d "},"finish_reason":null}]}\n\n' % self._sent
        )
        self._due += self._pause
        self._loop.call_at(self._due, self._next)


async def main() -> None:
    rate, count = float(sys.argv[1]), int(sys.argv[2])
    server = await asyncio.get_running_loop().create_server(lambda: Paced(rate, count), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
