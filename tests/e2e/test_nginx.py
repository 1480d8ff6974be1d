"""Headrace behind nginx, with the configuration that ships: nothing is held back, and a cut stays a cut."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.clients import Client, chat
from tests.e2e.scripted import UpstreamThread
from tests.e2e.server import HeadraceServer, upstream_toml

from headrace.testing.nginx import Nginx
from headrace.testing.scripted_upstream import Fin, Received, Script, answer, head, sse

pytestmark = [pytest.mark.nginx, pytest.mark.slow]


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
    with (
        HeadraceServer(tmp_path, upstream_toml(f"{upstream.url}/v1")) as server,
        Nginx(tmp_path, [server.port]) as nginx,
    ):
        yield nginx.port


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
