"""Headrace behind nginx, with the configuration that ships: nothing is held back, and a cut stays a cut."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.clients import Client, chat
from tests.e2e.scripted import UpstreamThread
from tests.e2e.server import HeadraceServer, free_port, upstream_toml

from headrace.faces.guard import PASSED_ON, STARTED_BY_GET
from headrace.testing.nginx import Nginx
from headrace.testing.scripted_upstream import (
    Fin,
    Next,
    Received,
    Reset,
    Script,
    ScriptedUpstream,
    answer,
    head,
    sse,
    whole,
)

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


#: Requests, and whether nginx may send them once more.
SENT = [("POST", "/v1/chat/completions", False), ("GET", "/v1/streams/x", True)]
BEGINNING = (*sorted(STARTED_BY_GET), f"{PASSED_ON}name/x")
SENT += [(method, path, False) for path in BEGINNING for method in ("GET", "POST")]


@pytest.mark.parametrize(("method", "path", "again"), SENT)
async def test_what_begins_an_answer_is_sent_once(tmp_path: Path, method: str, path: str, again: bool) -> None:
    """To a node that dies once it has the request, and after that to none; so the model is called once (P8)."""
    async with ScriptedUpstream([Reset()]) as dying, ScriptedUpstream([Reset()]) as other:
        with Nginx(tmp_path, [dying.port, other.port]) as nginx:
            client = await Client(nginx.port).open(method, path, chat() if method == "POST" else None)
            assert client.status == 502
            client.close()
        assert len(dying.requests) + len(other.requests) == 1 + again


@pytest.mark.parametrize(("method", "path", "again"), SENT)
async def test_a_node_that_is_not_there_costs_nobody_anything(
    tmp_path: Path, method: str, path: str, again: bool
) -> None:
    """What could not be sent to it goes to the other one, whatever it is, at once and each time."""
    async with ScriptedUpstream([whole(), Next()]) as there:
        with Nginx(tmp_path, [free_port(), there.port]) as nginx:
            for asked in range(1, 5):
                client = await Client(nginx.port).open(method, path, chat() if method == "POST" else None)
                assert client.status == 200, asked
                client.close()
                assert len(there.requests) == asked
                assert there.requests[-1].method == method
                assert bool(there.requests[-1].body) == (method == "POST")
