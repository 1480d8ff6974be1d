"""The least relay: what it is measured for is that it relays."""

import asyncio
import contextlib
import sys

import pytest
from processes import HERE, free_port

EVENTS = [b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'] * 3
EVENTS += [b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: relay\r\ncontent-length: 2\r\n\r\n{}"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request of a connection, an event a piece."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
        while True:
            await reader.readuntil(b"{}")
            writer.write(HEAD)
            for event in EVENTS:
                writer.write(b"%x\r\n%b\r\n" % (len(event), event))
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection, as soon as somebody listens."""
    while True:
        with contextlib.suppress(OSError):
            return await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)


async def body(reader: asyncio.StreamReader) -> bytes:
    """The next response's body."""
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
    found = b""
    while size := int(await reader.readline(), 16):
        found += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return found


@pytest.mark.parametrize("events", [False, True])
async def test_the_least_relay_relays_one_answer_after_the_other(events: bool) -> None:
    """Both ways to be it give all that the upstream says; the one that reads the events numbers them."""
    upstream = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = free_port()
    command = [HERE / "bare.py", port, upstream.sockets[0].getsockname()[1], *(["--events"] if events else [])]
    process = await asyncio.create_subprocess_exec(sys.executable, *map(str, command))
    try:
        reader, writer = await connected(port)
        for _ in range(2):
            writer.write(REQUEST)
            found = await body(reader)
            numbered = [event[:-1] + b"id: %d\n\n" % number for number, event in enumerate(EVENTS[:-1], 1)]
            assert found == b"".join([*numbered, EVENTS[-1]] if events else EVENTS)
        writer.close()
        await writer.wait_closed()
    finally:
        process.terminate()
        await process.wait()
        upstream.close()
        await upstream.wait_closed()
