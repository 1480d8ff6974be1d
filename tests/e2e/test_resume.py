"""Resuming over real sockets, on both servers and both stores: connections that are cut anywhere lose nothing."""

import asyncio
import random
import re

import pytest
from tests.e2e.server import KINDS, HeadraceServer, upstream_toml
from tests.e2e.wire import CLEAN, Http1

from headrace.testing.scripted_upstream import ScriptedUpstream, head, sse
from headrace.wire.sse import Decoder

RECORDS = 300
#: Sockets that are cut, for each kind of server, store and dialect.
CUTS = 25

STARTS = {
    "/v1/chat/completions": {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]},
    "/v1/chat/stream": {"model": "m", "message": "x"},
    "/chat": {"model": "m", "message": "x"},
}


class Slowly:
    """A script of 300 records, one every few milliseconds, so that they are cut while they come."""

    def __iter__(self):
        yield head()
        for number in range(1, RECORDS):
            pause = asyncio.Event()
            asyncio.get_running_loop().call_later(0.003, pause.set)
            yield pause
            yield sse(f"{number} ")
        yield sse(finish_reason="stop", done=True)


@pytest.fixture(params=[(kind, store) for kind in KINDS for store in ("sqlite", "memory:")], ids="-".join)
async def server(request, tmp_path):
    kind, store = request.param
    async with ScriptedUpstream(lambda _: Slowly()) as upstream:
        env = {"HEADRACE_DATA": "memory:"} if store == "memory:" else {}
        made = HeadraceServer(tmp_path, upstream_toml(f"{upstream.url}/v1"), kind=kind, env=env)
        await asyncio.to_thread(made.start)
        made.upstream = upstream
        try:
            yield made
        finally:
            await asyncio.to_thread(made.stop)


class EventSource:
    """What a browser's does: blocks are dispatched whole, and the last id is shown on reconnecting."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._path = path
        self.last_event_id = ""
        self.frames = []
        self.status = 0
        self.ended = ""

    async def connect(self, *, cut_after: int | None = None) -> None:
        """Read to the end, or drop the connection after so many bytes."""
        decoder = Decoder()
        decoder.last_event_id = decoder._id = self.last_event_id
        headers = {"last-event-id": self.last_event_id} if self.last_event_id else {}
        left = cut_after
        async with await Http1.connect(self._port) as http:
            await http.ask("POST", self._path, STARTS[self._path], headers)
            self.status = http.status
            while data := await http.chunk():
                for frame in decoder.feed(data if left is None else data[:left]):
                    self.frames.append(frame)
                    self.last_event_id = frame.id
                if left is not None and (left := left - len(data)) <= 0:
                    http.writer.transport.abort()
                    return
            self.ended = http.ended


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("path", STARTS)
async def test_a_socket_cut_at_any_byte_loses_nothing(server, path):
    """Twenty-five cuts at random bytes, resets all; then what was read is the answer, to the byte."""
    random.seed(path)
    source = EventSource(server.port, path)
    for _ in range(CUTS):
        await source.connect(cut_after=random.randint(150, 1200))
        assert source.status == 200
    await source.connect()
    assert source.ended == CLEAN
    assert len(server.upstream.requests) == 1

    stream = source.last_event_id.partition(":")[0]
    async with await Http1.connect(server.port) as http:
        await http.ask("GET", f"/v1/streams/{stream}")
        whole = Decoder().feed(await http.rest())
    assert [(frame.event, frame.data) for frame in source.frames] == [(frame.event, frame.data) for frame in whole]
    assert [frame.id for frame in source.frames] == [f"{stream}:{frame.id}" for frame in whole]
    numbers = re.findall(rb'(?:content|token)":"(\d+) "', b"".join(frame.data for frame in source.frames))
    assert numbers == [b"%d" % number for number in range(1, RECORDS)]

    await source.connect()
    assert source.status == 204
    assert len(server.upstream.requests) == 1
