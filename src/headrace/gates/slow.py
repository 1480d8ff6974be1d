"""Slow readers: a thousand who stop reading cost little memory each, and whoever reads beside them is not late (P6)."""

import asyncio
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple, cast

from headrace.gates.gate import Run
from headrace.gates.vitals import descriptors, memory, peers, percentile, settled
from headrace.gates.words import chat, configuration
from headrace.testing.client import Client
from headrace.testing.scripted_upstream import Script, ScriptedUpstream, Step, head
from headrace.testing.server import HeadraceServer

#: Of the whole experiment.
STALLED = 1_000
LIVE = 50
BYTES = 20_000_000
#: What a stalled reader may cost the server, in bytes.
COST = 64 << 10
#: How much later than without the stalled ones the 99th percentile of the live ones may be.
TIMES = 2.0

#: Bytes in a record, and records a second.
RECORD = 16_384
RATE = 64
#: Below these, neither memory nor delays tell anything: the first who fall behind have the server take some megabytes
#: once, for reading back what they missed, which would count as theirs.
LEAST_STALLED = 250
LEAST_LIVE = 4
LEAST_BYTES = 2_000_000

#: What a busy machine adds to a delay differs from one try to the next; what a stalled reader adds does not.
TRIES = 4

_MARK = b"@"
_DIGITS = 20
_CHUNK = b'data: {"id":"chatcmpl-x","choices":[{"index":0,"delta":{"content":"@%020d%b"},"finish_reason":null}]}\n\n'
_FILL = b"x" * (RECORD - _DIGITS - 1)
_END = b'data: {"id":"chatcmpl-x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
#: Seconds in which each of those who then stop must have been shown the beginning.
BEGUN = 20.0
#: Seconds after the answer in which the server notices that those who have read all of it are gone.
SETTLED = 2.0

_ASK = "GET /v1/streams/{} HTTP/1.1\r\nHost: localhost\r\n\r\n"
_MORE = '[limits]\nstream_bytes = "256MiB"\n[deadlines]\nsend = 600\n'


async def gate(run: Run) -> None:
    """Read a long answer live, without anybody beside and with many who have stopped reading."""
    stalled, live = run.of(STALLED, least=LEAST_STALLED), run.of(LIVE, least=LEAST_LIVE)
    allowed = descriptors(3 * (stalled + live) + 500)
    stalled = min(stalled, (allowed - 500) // 3 - live)
    records = run.of(BYTES, least=LEAST_BYTES) // RECORD
    async with ScriptedUpstream(lambda _: cast("Script", _Stamped(records))) as upstream:
        server = run.server("server", configuration(upstream, _MORE))
        await asyncio.to_thread(server.start)
        try:
            await _measure(run, server, stalled, live, records)
        finally:
            await asyncio.to_thread(server.kill)


async def _measure(run: Run, server: HeadraceServer, stalled: int, live: int, records: int) -> None:
    alone, beside, grown = [], [], []
    missing = unshown = dropped = 0
    for _ in range(TRIES):
        quiet = await _read(server, 0, live, records)
        alone.append(percentile(quiet.delays, 0.99))
        crowded = await _read(server, stalled, live, records)
        beside.append(percentile(crowded.delays, 0.99))
        grown.append((crowded.most - quiet.most) / stalled)
        missing += quiet.missing + crowded.missing
        unshown += crowded.unshown
        dropped += crowded.dropped
        if min(beside) <= TIMES * min(alone):
            break
    run.figure("readers that take nothing", stalled)
    run.zero("readers that were not shown the beginning", unshown)
    run.zero("readers that take nothing and were hung up on", dropped)
    run.figure("readers beside them", live)
    run.figure("bytes of the answer", records * RECORD)
    # Of the first time: what it frees is used again, and does not count a second time.
    run.figure("memory for each that takes nothing", round(grown[0]), "bytes", most=COST)
    run.figure("p99 of the lag without them", round(min(alone) * 1e3, 2), "ms")
    run.figure("p99 of the lag beside them", round(min(beside) * 1e3, 2), "ms")
    run.figure("times the lag without them", round(min(beside) / min(alone), 2), most=TIMES)
    run.zero("records that a live reader was not shown", missing)


class _Reading(NamedTuple):
    """What came of one answer: the most memory over it, the live readers' delays, and the records that they miss.

    Of those who stop: how many were not shown the beginning, and how many were not there any more at the end.
    """

    most: int
    delays: list[float]
    missing: int
    unshown: int
    dropped: int


async def _read(server: HeadraceServer, stalled: int, live: int, records: int) -> _Reading:
    """One answer, read live beside so many who stop."""
    asked = {"headrace-on-leave": "keep"}
    starter = await Client(server.port).open("POST", "/v1/chat/completions", chat(), asked)
    starter.close()
    with ExitStack() as stack:
        idle = [stack.enter_context(await _stall(server.port, starter.stream)) for _ in range(stalled)]
        unshown = (await asyncio.gather(*map(_begun, idle))).count(False)
        readers = [await _Live.ask(server.port, starter.stream) for _ in range(live)]
        watching = asyncio.create_task(_most(server.pid))
        await asyncio.gather(*(reader.ended for reader in readers))
        watching.cancel()
        # Until the buffers of those who take nothing are full, they are readers like others.
        delays = [delay for reader in readers for delay in reader.delays[len(reader.delays) // 2 :]]
        missing = sum(records - len(reader.delays) for reader in readers)
        return _Reading(await watching, delays, missing, unshown, await _dropped(server, idle))


async def _stall(port: int, stream: str) -> socket.socket:
    """Somebody who asks, and will take only the beginning."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(made, ("127.0.0.1", port))
    await loop.sock_sendall(made, _ASK.format(stream).encode())
    return made


async def _begun(stalled: socket.socket) -> bool:
    """Whether somebody is shown the head and a first record, in time; after that nothing is taken."""
    shown = b""
    try:
        async with asyncio.timeout(BEGUN):
            while _MARK not in shown:
                piece = await asyncio.get_running_loop().sock_recv(stalled, 1 << 10)
                if not piece:
                    return False
                shown += piece
    except (OSError, TimeoutError):
        return False
    return shown.startswith(b"HTTP/1.1 200 ")


async def _dropped(server: HeadraceServer, idle: Sequence[socket.socket]) -> int:
    """How many the server has let go of, which it may do after ``deadlines.send`` only. Their side need not know.

    It may have closed the connection, or have given up the reply and be left with what cannot be sent of it.
    """
    readers = (await settled(server, lambda found: found.readers <= len(idle), SETTLED)).readers
    kept = set(peers(server.pid))
    closed = sum(stalled.getsockname()[1] not in kept for stalled in idle)
    return max(closed, len(idle) - readers)


async def _most(pid: int) -> int:
    """The most memory, until cancelled."""
    most = 0
    try:
        while True:
            most = max(most, memory(pid))
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        return most


class _Stamped:
    """The steps of an answer whose records say when each was sent."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __iter__(self) -> Iterator[Step]:
        loop = asyncio.get_running_loop()
        yield head()
        begun = loop.time()
        for number in range(self._count):
            due = asyncio.Event()
            loop.call_at(begun + number / RATE, due.set)
            yield due
            yield _CHUNK % (time.monotonic_ns(), _FILL)
        yield _END


class _Live(asyncio.Protocol):
    """Reads a stream to its end, keeps nothing, and notes how old each record is when it comes."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tail = b""
        self._transport: asyncio.Transport

    @classmethod
    async def ask(cls, port: int, stream: str) -> "_Live":
        """One that is connected."""
        transport, made = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        transport.write(_ASK.format(stream).encode())
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it, to close it at the end."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Look at the stamps in what came."""
        now = time.monotonic_ns()
        over = data.endswith(b"0\r\n\r\n")
        data = self._tail + data
        at = data.find(_MARK)
        while 0 <= at < len(data) - _DIGITS:
            self.delays.append((now - int(data[at + 1 : at + 1 + _DIGITS])) / 1e9)
            at = data.find(_MARK, at + 1)
        self._tail = data[at:] if at >= 0 else b""
        if over:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over, clean or not."""
        del exc
        if not self.ended.done():
            self.ended.set_result(None)
