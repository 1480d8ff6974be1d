"""The examples of chat: over the demo, over Azure OpenAI and over Anthropic, stopped, refused and cut."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from tests.e2e.page_server import PageServer
from tests.e2e.scripted import UpstreamThread, model_of
from tests.e2e.server import HeadraceServer
from tests.examples.example_server import ROOT, Event, ExampleServer, events
from tests.test_examples import run

from headrace.testing.scripted_upstream import Next, Received, Script, Stall, head
from headrace.testing.spoken import Said, dialect_at, refusal_body, spoken

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

SAID = Said(texts=("Hel", "lo", " there"))
SECRET = "sk-never-told-0123456789"


def play(request: Received, _: object) -> Script:
    """What a model does, as its name says."""
    model = model_of(request) or request.target.split("/")[3]
    frames = spoken(dialect_at(request.target), SAID)
    some = frames[: next(number for number, frame in enumerate(frames, 1) if b'"lo"' in frame)]
    if model == "busy":
        body = refusal_body(dialect_at(request.target), f"{SECRET} has no quota")
        return [head(429, "Retry-After: 0", type="application/json", body=str(len(body))), body, Next()]
    if model == "cut":
        return [head(), *some]
    if model == "stalls":
        return [head(), *some, Stall()]
    return [head(), *frames]


@pytest.fixture
def upstream() -> Iterator[UpstreamThread]:
    """The provider."""
    with UpstreamThread(play) as started:
        yield started


def chat(name: str, model: str, folder: Path, upstream: UpstreamThread) -> ExampleServer:
    """An example whose provider is that one."""
    env = {
        "azure_chat": {
            "AZURE_OPENAI_API_KEY": SECRET,
            "AZURE_OPENAI_ENDPOINT": upstream.url,
            "AZURE_OPENAI_MODEL": model,
        },
        "anthropic_chat": {
            "ANTHROPIC_API_KEY": SECRET,
            "ANTHROPIC_BASE_URL": upstream.url,
            "ANTHROPIC_MODEL": model,
        },
    }
    return ExampleServer(name, folder, **env[name])


def ask(server: ExampleServer) -> tuple[int, str, list[Event]]:
    """The status of an answer, all its text, and its events where it has some."""
    with server.reply("POST", "/chat", {"message": "Hello"}) as reply:
        if reply.status != 200:
            return reply.status, reply.read().decode(), []
        told = list(events(reply))
    return 200, "".join(json.loads(event["data"]).get("token", "") for event in told), told


NAMES = ["azure_chat", "anthropic_chat"]


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_whole(name: str, tmp_path: Path, upstream: UpstreamThread) -> None:
    """Its words as they come, why it ended, and the end; the model was asked once, with the key."""
    with chat(name, "good", tmp_path, upstream) as server:
        status, text, told = ask(server)
        with server.reply("POST", "/chat", {"message": ""}) as refused:
            assert refused.status == 422
    assert (status, text) == (200, "Hello there")
    assert [event["event"] for event in told] == ["token"] * 3 + ["done", "close"]
    assert json.loads(told[3]["data"]) in ({"finish_reason": "stop"}, {"stop_reason": "end_turn"})
    (asked,) = upstream.requests
    assert SECRET in (asked.headers.get("api-key"), asked.headers.get("authorization", "").removeprefix("Bearer "))
    assert asked.json()["messages"] == [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_stopped(name: str, tmp_path: Path, upstream: UpstreamThread) -> None:
    """By its id, while it waits for its model: the connection to that is closed at once."""
    with chat(name, "stalls", tmp_path, upstream) as server:
        with server.reply("POST", "/chat", {"message": "Hello"}) as reply:
            told = events(reply)
            seen = list(islice(told, 2))
            with server.reply("POST", f"/streams/{reply.headers['headrace-stream-id']}/cancel") as stopped:
                assert json.load(stopped) == {"cancelled": True, "state": "cancelled"}
            assert [event["event"] for event in [*seen, *told]][-2:] == ["cancelled", "close"]
        deadline = time.monotonic() + 5
        while not upstream.server.connections[0].left:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_that_is_cut_is_no_answer(name: str, tmp_path: Path, upstream: UpstreamThread) -> None:
    """It ends with an error, and never with ``done``."""
    with chat(name, "cut", tmp_path, upstream) as server:
        _, _, told = ask(server)
    assert [event["event"] for event in told][-2:] == ["error", "close"]
    assert "done" not in {event["event"] for event in told}
    assert json.loads(told[-2]["data"])["code"] in {"truncated", "upstream"}


@pytest.mark.parametrize("name", NAMES)
def test_a_refusal_is_told_in_other_words(name: str, tmp_path: Path, upstream: UpstreamThread) -> None:
    """Nothing of what the provider wrote reaches the client, or the log."""
    with chat(name, "busy", tmp_path, upstream) as server:
        _, text, told = ask(server)
        said = text + json.dumps(told)
        assert "rate_limit" in said
        assert SECRET not in said + server.log


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExampleServer]:
    """Headrace in an app of one's own."""
    with ExampleServer("chat_stop", tmp_path_factory.mktemp("chat")) as started:
        yield started


def test_stop_stops(app: ExampleServer) -> None:
    """The id is in the first event; every reader is told."""
    question = {"message": "Count.", "model": "demo/counter"}
    with app.reply("POST", "/v1/chat/stream", question) as reply:
        told = events(reply)
        stream = json.loads(next(told)["data"])["id"]
        with app.reply("POST", f"/v1/streams/{stream}/cancel") as stopped:
            assert json.load(stopped)["cancelled"] is True
        rest = [event["event"] for event in told]
    assert rest[-2:] == ["cancelled", "close"]
    assert len(rest) < 250


def test_the_page_is_there(app: ExampleServer) -> None:
    """It is the one that tests/test_examples.py shows in a browser, led to its own server."""
    with app.reply("GET", "/") as reply:
        assert reply.headers["location"] == "/chat.html?server="
    assert app.get("/chat.html?server=")[1] == (ROOT / "examples/fetch.html").read_bytes()


#: Asks, presses Stop when there are some words, and tells what the page shows then.
DRIVE = """
await until(() => the("ask")?.onsubmit);
the("message").value = "Tell me something long.";
the("ask").requestSubmit();
await until(() => the("chat").textContent.length > 60);
the("stop").click();
await until(() => the("state").textContent);
await fetch("%s/result", { method: "POST", mode: "no-cors", body: the("state").textContent });
"""


@pytest.mark.browser
def test_the_button_stops_it(tmp_path: Path) -> None:
    """In Chromium, from the page to the model."""
    with PageServer() as pages:
        env = {"EXAMPLE": "examples.chat_stop", "DRIVE": DRIVE % pages.origin}
        with ExampleServer("chat_stop", tmp_path, app="tests.examples.driven:app", **env) as server:
            pages.origin = server.url
            assert pages.shown_in_browser("/drive.html", tmp_path, timeout=30) == "cancelled"
            assert json.loads(server.get("/v1/streams")[1])["data"][0]["state"] == "cancelled"


def test_stream_test_prints_lines_as_they_arrive(tmp_path: Path) -> None:
    """Each raw, and then parsed; the first ones long before the last."""
    with HeadraceServer(tmp_path) as server:
        env = {**os.environ, "HEADRACE_URL": server.url, "HEADRACE_MODEL": "demo/counter", "PYTHONUNBUFFERED": ""}
        command = [sys.executable, str(ROOT / "examples/stream_test.py")]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as counting:
            assert counting.stdout.readline().startswith(b"raw:")
            assert counting.poll() is None  # three hundred numbers take seconds
            counting.terminate()
        *lines, end = run("stream_test.py", server.url, "hello", "there").splitlines()
    assert [line[8:] for line in lines[1::2] if line[8:]] == ["hello", " there"]
    for raw, parsed in zip(lines[::2], lines[1::2], strict=True):
        assert json.loads(raw[8:])["choices"][0]["message"]["content"] == parsed[8:]
    assert end == "ended:  stop"
