"""One request, one response: however its end is disguised, on both servers and behind nginx."""

import asyncio
import contextlib

import pytest
from tests.e2e.server import KINDS, HeadraceServer
from tests.e2e.smuggled import SECOND, requests

from headrace.testing.nginx import Nginx

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

#: Seconds of silence after which nothing more is expected.
SILENCE = 1.0
#: Statuses of a server that does not know what it does; 501 and 505 are plain words.
FAULTS = {b"500", b"502", b"503", b"504"}
#: A route that reads its body, and one that does not.
PATHS = (b"/infer", b"/v1/streams/none/cancel")


async def answered(port: int, request: bytes) -> bytes:
    """All that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = bytearray()
    with contextlib.suppress(TimeoutError, OSError):
        writer.write(request)
        while piece := await asyncio.wait_for(reader.read(65536), SILENCE):
            data += piece
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return bytes(data)


async def doubly_answered(port: int) -> list[tuple[bytes, str, list[bytes]]]:
    """Those that were taken for two, or brought somebody out of step."""
    wrong = []
    for path in PATHS:
        found = requests(path)
        replies = await asyncio.gather(*(answered(port, request) for request in found.values()))
        for name, reply in zip(found, replies, strict=True):
            heads = [line for line in reply.split(b"\r\n") if line.startswith(b"HTTP/1.")]
            if len(heads) > 1 or FAULTS & {head.split()[1] for head in heads}:
                wrong.append((path, name, heads))
    return wrong


@pytest.fixture(params=KINDS)
async def server(request, tmp_path):
    made = HeadraceServer(tmp_path, "", kind=request.param)
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.stop)


async def test_no_request_is_taken_for_two(server):
    """Refused or read one way; and the server lives."""
    assert (await answered(server.port, SECOND * 2)).count(b"HTTP/1.1 404") == 2
    assert len(requests(PATHS[0])) > 70
    assert await doubly_answered(server.port) == []
    assert (await answered(server.port, SECOND)).startswith(b"HTTP/1.1 404")


@pytest.mark.nginx
async def test_nor_behind_nginx(tmp_path):
    """Two readers of one request, who must not differ."""
    made = HeadraceServer(tmp_path, "")
    await asyncio.to_thread(made.start)
    try:
        (tmp_path / "nginx").mkdir()
        with Nginx(tmp_path / "nginx", [made.port]) as nginx:
            assert await doubly_answered(nginx.port) == []
            assert (await answered(nginx.port, SECOND)).startswith(b"HTTP/1.1 404")
    finally:
        await asyncio.to_thread(made.stop)
