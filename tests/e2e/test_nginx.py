"""Headrace behind nginx, with the configuration that ships: nothing is held back, and a cut stays a cut."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.clients import Client, chat
from tests.e2e.scripted import UpstreamThread
from tests.e2e.server import HeadraceServer, free_port, upstream_toml

from headrace.testing.scripted_upstream import Fin, Received, Script, answer, head, sse

pytestmark = [pytest.mark.nginx, pytest.mark.slow]

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx.conf"

AROUND = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {server}
}}
"""


def play(request: Received, event) -> Script:
    """A slow answer, a cut one, or a whole one."""
    if b"slowly" in request.body:
        return [head(body="chunked"), _chunk(sse("one")), event("go"), _chunk(sse(" two")), Fin()]
    if b"cut" in request.body:
        return [head(body="close"), sse("one"), Fin()]
    return [answer("one", " two")]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.fixture
def upstream() -> Iterator[UpstreamThread]:
    with UpstreamThread(play) as made:
        yield made


@pytest.fixture
def port(tmp_path: Path, upstream: UpstreamThread) -> Iterator[int]:
    """Where nginx listens."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert program, "this test needs nginx: sudo apt-get install nginx"
    with HeadraceServer(tmp_path, upstream_toml(f"{upstream.url}/v1")) as server:
        listen = free_port()
        site = SHIPPED.read_text().replace("127.0.0.1:8003", f"127.0.0.1:{server.port}")
        conf = tmp_path / "nginx.conf"
        conf.write_text(
            AROUND.format(folder=tmp_path, server=site.replace("listen 8080", f"listen 127.0.0.1:{listen}"))
        )
        with subprocess.Popen([program, "-p", tmp_path, "-c", conf, "-e", tmp_path / "start.log"]) as process:
            try:
                _until_listening(listen)
                yield listen
            finally:
                process.terminate()
                process.wait(10)


def _until_listening(port: int) -> None:
    async def connect() -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0)
            else:
                writer.close()
                return

    asyncio.run(asyncio.wait_for(connect(), 10))


async def test_each_chunk_passes_at_once(port: int, upstream: UpstreamThread) -> None:
    """The second chunk is made only after the client has the first."""
    client = Client(port)
    await client.open("POST", "/v1/chat/completions", chat(text="slowly"))
    await client.until(lambda it: it.text == "one")
    upstream.release("go")
    await client.until(lambda it: it.text == "one two")
    client.close()


async def test_a_cut_answer_is_told_and_a_face_without_words_is_cut(port: int) -> None:
    """In chat by its error frame; as bare text by a connection that breaks."""
    told = Client(port)
    await told.open("POST", "/v1/chat/completions", chat(text="cut"))
    await told.rest()
    assert told.errors == ["upstream_truncated"]
    assert not told.done
    bare = Client(port)
    await bare.open("POST", "/chat", {"message": "cut", "model": "m"}, {"accept": "text/plain"})
    await bare.rest()
    assert bare.body == b"one"
    assert not bare.whole
    for client in (told, bare):
        client.close()


async def test_who_was_cut_reads_on_through_nginx(port: int) -> None:
    """By the id of the last event that it saw; past the end it is 204."""
    first = Client(port)
    await first.open("POST", "/v1/chat/completions", chat(text="whole"))
    await first.rest()
    assert first.done
    again = Client(port)
    seen = first.events[0].id
    await again.open("POST", "/v1/chat/completions", chat(text="whole"), {"last-event-id": seen})
    await again.rest()
    assert [event.id for event in again.events] == [event.id for event in first.events[1:]]
    past = Client(port)
    await past.open("GET", f"/v1/streams/{first.stream}", None, {"last-event-id": first.last_id})
    assert past.status == 204
    for client in (first, again, past):
        client.close()
