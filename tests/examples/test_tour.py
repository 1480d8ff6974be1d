"""The tour: every path of the tutorials answers, as their clients expect it."""

import json
import re
from collections.abc import Iterator

import pytest
from tests.e2e.scripted import UpstreamThread
from tests.examples.example_server import ROOT, ExampleServer, events

from headrace.testing.scripted_upstream import Next, head

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

QUESTION = {"message": "Count.", "model": "demo/counter", "max_tokens": 5}
CLAUDE = {"model": "demo/counter", "max_tokens": 3, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}

#: Method, path, body, type of the reply, and what stands in it.
PLACES = [
    ("GET", "/stream/text", None, "text/plain", "Each of these words"),
    ("GET", "/stream/async", None, "text/plain", "Each of these words"),
    ("GET", "/stream/users", None, "application/x-ndjson", '{"id":10000,"name":"User 10000"}\n'),
    ("GET", "/export/csv?rows=2", None, "text/csv", "2,Customer 2,0.02,\r\n"),
    ("GET", "/download/video", None, "video/mp4", "not really a film"),
    ("GET", "/proxy/download?path=README", None, "application/octet-stream", "read me"),
    ("GET", "/sse/numbers?to=2", None, "text/event-stream", 'data: {"number":2,"of":2}\n\nevent: close'),
    ("GET", "/ai/stream?message=Hi&model=demo/echo", None, "text/event-stream", '"done":true'),
    ("POST", "/ai/generate", QUESTION, "text/event-stream", 'event: done\ndata: {"finish_reason":"length"'),
    ("POST", "/claude/stream", CLAUDE, "text/event-stream", "event: message_stop\n"),
    ("GET", "/v1/models", None, "application/json", "demo/counter"),
    ("GET", "/", None, "", ""),
]


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExampleServer]:
    """The app, with a film, a log and somebody else's server."""
    folder = tmp_path_factory.mktemp("tour")
    (folder / "video.mp4").write_text("not really a film")
    (folder / "app.log").write_text("old\n")
    script = [head(type="text/html", body="7"), b"read me", Next()]
    with UpstreamThread(lambda *_: script) as upstream:
        with ExampleServer("tour", folder, MEDIA=str(folder), PROXY_TARGET=upstream.url) as started:
            yield started


@pytest.mark.parametrize(("method", "path", "body", "type", "part"), PLACES, ids=[place[1] for place in PLACES])
def test_each_path_answers(tour: ExampleServer, method: str, path: str, body: object, type: str, part: str) -> None:
    """With what it is for."""
    with tour.reply(method, path, body) as reply:
        assert reply.status in (200, 307)
        assert reply.headers.get("content-type", "").startswith(type)
        assert part in reply.read().decode()


def test_live_and_resumable_feeds(tour: ExampleServer) -> None:
    """Both go on after an id."""
    with tour.reply("GET", "/sse/resumable") as reply:
        first = next(events(reply))
    with tour.reply("GET", "/sse/resumable", headers={"Last-Event-ID": first["id"]}) as reply:
        assert json.loads(next(events(reply))["data"]) == {"news": 2}
    with tour.reply("GET", "/sse/live", headers={"Last-Event-ID": "0"}) as reply:
        assert next(events(reply)) == {"data": "old", "id": "4"}


def test_cancel_stops_the_answer(tour: ExampleServer) -> None:
    """By the id of its first event; of an unknown one it says so."""
    with tour.reply("POST", "/ai/generate", {**QUESTION, "max_tokens": 300}) as reply:
        told = events(reply)
        stream = json.loads(next(told)["data"])["id"]
        with tour.reply("POST", f"/ai/cancel/{stream}") as stopped:
            assert json.load(stopped)["cancelled"] is True
        assert [event["event"] for event in told][-2:] == ["cancelled", "close"]
    with tour.reply("POST", "/ai/cancel/nothing") as reply:
        assert reply.status == 404


def test_it_is_the_examples_that_are_toured() -> None:
    """Every path that the tutorials use is there, and each has its comment."""
    source = (ROOT / "examples/tour.py").read_text()
    places = {re.split(r"[?]", path)[0] for _, path, *_ in PLACES if path not in ("/", "/v1/models")}
    for path in places | {"/sse/resumable", "/sse/live", "/ai/cancel/{id}"}:
        assert f'"{path}"' in source
