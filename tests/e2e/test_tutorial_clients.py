"""The clients that tutorials show, unchanged: they get every token once, as it comes, and learn of the end."""

import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import openai
import pytest
import requests
from tests.e2e.node_process import node, play
from tests.e2e.page_server import CuttingProxy, PageServer, page
from tests.e2e.scripted import UpstreamThread, model_of
from tests.e2e.server import HeadraceServer, upstream_toml

from headrace.testing.scripted_upstream import Received, Script, Trickle, head, sse

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "headrace.example.toml"
TOKENS = [f"t{number} " for number in range(12)]


class House(NamedTuple):
    """A server with the sample configuration, a scripted upstream, and the pages of one allowed origin."""

    server: HeadraceServer
    upstream: UpstreamThread
    pages: PageServer


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    def script(request: Received, released: Any) -> Script:
        model = model_of(request)
        if model.startswith("slow-"):  # not a byte more until the client has read the first chunk
            return [head(), sse("One"), released(model), sse(" two", finish_reason="stop", done=True)]
        if model == "cut":
            return [head(), sse("One"), b"data: {", b"\n"]
        good = sse(*TOKENS, finish_reason="stop", done=True)
        return [head(), Trickle(good, size=150, pause=0.02)]

    with UpstreamThread(script) as upstream, PageServer() as pages:
        toml = EXAMPLE.read_text() + upstream_toml(f"{upstream.url}/v1") + f'[cors]\norigins = ["{pages.origin}"]\n'
        with HeadraceServer(tmp_path_factory.mktemp("house"), toml) as server:
            yield House(server, upstream, pages)


# -- as they stand in tutorials, in JavaScript -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(house: House) -> dict[str, Any]:
    """What the JavaScript clients got, all played in one Node process."""
    url = house.server.url
    good = {"message": "hi", "model": "up/good"}
    with CuttingProxy(house.server.port, b"t5 ") as cutting, CuttingProxy(house.server.port, b"t5 ") as cutting_too:
        cases: dict[str, dict[str, Any]] = {
            "splitter": {"client": "splitter", "body": good},
            "splitter demo": {"client": "splitter", "body": {"message": "hi", "model": "demo", "max_tokens": 4}},
            "splitter failed": {"client": "splitter", "body": {"message": "hi", "model": "up/cut"}},
            "source": {"client": "eventSource", "query": urlencode(good)},
            "source failed": {"client": "eventSource", "query": urlencode({**good, "model": "up/cut"})},
            "source cut": {"client": "eventSource", "query": urlencode({**good, "model": "up/c1"}), "at": cutting.url},
            "source stays": {
                "client": "eventSource",
                "query": urlencode({**good, "model": "up/c2"}),
                "stay": True,
                "at": cutting_too.url,
            },
            "bare": {"client": "bare", "body": good},
            "text": {"client": "text", "body": good},
            "lines": {"client": "lines", "body": good},
            **{
                f"slow {client}": {"client": client, "token": token, "body": {"message": "hi", "model": f"up/{token}"}}
                for client in ("splitter", "text", "lines")
                for token in [f"slow-node-{client}"]
            },
            "slow source": {
                "client": "eventSource",
                "token": "slow-node-source",
                "query": urlencode({"message": "hi", "model": "up/slow-node-source"}),
            },
        }
        results = play("tutorials.mjs", list(cases.values()), timeout=18, url=url, upstream=house.upstream.url)
    return dict(zip(cases, results, strict=True))


@pytest.mark.node
def test_a_reader_that_splits_on_blank_lines_gets_every_token(told: dict[str, Any]) -> None:
    """It tests ``startsWith("event: token")``: nothing may stand in front of an event in its block."""
    seen = told["splitter"]
    assert seen["tokens"] == TOKENS
    assert seen["events"] == ["event: start", *["event: token"] * 12, "event: done", "event: close"]
    assert (seen["end"]["finish_reason"], seen["end"]["chars"], seen["rest"]) == ("stop", len("".join(TOKENS)), "")
    assert len(told["splitter demo"]["tokens"]) == 4
    assert told["splitter failed"]["events"] == ["event: start", "event: token", "event: error", "event: close"]


@pytest.mark.node
def test_an_event_source_closes_on_done(told: dict[str, Any]) -> None:
    """One request, every token once."""
    seen = told["source"]
    assert (seen["tokens"], seen["how"], seen["errors"]) == (TOKENS, "done", [])
    assert seen["requests"] == [{"status": 200, "id": None}]
    failed = told["source failed"]
    assert (failed["tokens"], failed["how"], failed["dones"]) == (["One"], "event", 0)
    assert failed["errors"] == [{"code": "truncated", "message": failed["errors"][0]["message"], "retry": True}]


@pytest.mark.node
def test_an_event_source_goes_on_where_it_was_cut(house: House, told: dict[str, Any]) -> None:
    """Nothing lost or doubled, and the model is asked once."""
    seen = told["source cut"]
    assert (seen["tokens"], seen["how"]) == (TOKENS, "done")
    assert [request["status"] for request in seen["requests"]] == [200, 200]
    stream, _, cursor = seen["requests"][1]["id"].partition(":")
    assert (stream[:3], cursor.isdigit()) == ("st_", True)
    assert len(house.upstream.asked_for("c1")) == 1


@pytest.mark.node
def test_an_event_source_that_never_closes_is_stopped_by_204(house: House, told: dict[str, Any]) -> None:
    """It comes back after the end, learns that there is no more, and stays away."""
    seen = told["source stays"]
    assert (seen["tokens"], seen["dones"], seen["how"]) == (TOKENS, 1, "closed 204")
    assert [request["status"] for request in seen["requests"]] == [200, 200, 204]
    assert len(house.upstream.asked_for("c2")) == 1


@pytest.mark.node
def test_a_bare_fetch_is_understood(told: dict[str, Any]) -> None:
    """``fetch('/chat', {body})`` says text/plain of its JSON."""
    seen = told["bare"]
    assert (seen["status"], seen["type"].partition(";")[0]) == (200, "text/event-stream")
    values = [json.loads(block.split("\n")[0][6:]) for block in seen["text"].split("\n\n") if block]
    assert [value["content"] for value in values] == ["", *TOKENS, ""]
    assert [value["done"] for value in values] == [False] * 13 + [True]


@pytest.mark.node
def test_text_and_lines_are_read_as_they_come(told: dict[str, Any]) -> None:
    assert told["text"] == {"type": "text/plain; charset=utf-8", "text": "".join(TOKENS)}
    assert told["lines"] == {"text": "".join(TOKENS), "lines": 13}


@pytest.mark.node
def test_in_javascript_the_first_chunk_comes_before_the_second_is_made(told: dict[str, Any]) -> None:
    """The upstream waits with the second until the client has the first."""
    assert told["slow splitter"]["tokens"] == ["One", " two"]
    assert told["slow text"]["text"] == "One two"
    assert told["slow lines"]["text"] == "One two"
    assert (told["slow source"]["tokens"], told["slow source"]["how"]) == (["One", " two"], "done")


# -- a real browser --------------------------------------------------------------------------------------------------

PAGE = """
const tokens = [];
const source = new EventSource(url);
source.onmessage = (event) => {
  const data = JSON.parse(event.data);
  if (data.content) tokens.push(data.content);
  if (data.done) { source.close(); finish({tokens, id: event.lastEventId}); }
};
source.onerror = () => { if (source.readyState === EventSource.CLOSED) finish({tokens, closed: true}); };
"""

BARE = """
(async () => {
  try {
    const body = JSON.stringify({message: 'hi', model: 'up/browser-bare'});
    const response = await fetch(url, {method: 'POST', body});
    const id = response.headers.get('headrace-stream-id');
    finish({status: response.status, id, text: await response.text()});
  } catch (error) { finish({error: String(error)}); }
})();
"""


def shown(pages: PageServer, script: str, url: str, folder: Path) -> Any:
    pages.pages["/"] = page(script, {"url": url})
    return json.loads(pages.shown_in_browser("/", folder))


@pytest.mark.browser
def test_a_page_in_chromium_goes_on_where_it_was_cut(house: House, tmp_path: Path) -> None:
    """The browser's own ``EventSource``, from another origin that is configured."""
    query = urlencode({"message": "hi", "model": "up/browser"})
    with CuttingProxy(house.server.port, b"t5 ") as cutting:
        seen = shown(house.pages, PAGE, f"{cutting.url}/chat/stream?{query}", tmp_path)
    assert seen["tokens"] == TOKENS
    assert seen["id"].endswith(":14")
    assert len(house.upstream.asked_for("browser")) == 1


@pytest.mark.browser
def test_a_bare_fetch_from_a_page_in_chromium(house: House, tmp_path: Path) -> None:
    seen = shown(house.pages, BARE, f"{house.server.url}/chat", tmp_path)
    assert seen["status"] == 200
    assert seen["id"].startswith("st_")
    assert seen["text"].count("data: ") == 14


@pytest.mark.browser
def test_a_page_from_elsewhere_starts_nothing(house: House, tmp_path: Path) -> None:
    """Neither by ``EventSource`` nor by a fetch that needs no preflight."""
    with PageServer() as evil:
        (tmp_path / "1").mkdir()
        (tmp_path / "2").mkdir()
        query = urlencode({"message": "hi", "model": "up/stolen"})
        assert shown(evil, PAGE, f"{house.server.url}/chat/stream?{query}", tmp_path / "1") == {
            "tokens": [],
            "closed": True,
        }
        bare = BARE.replace("browser-bare", "stolen")
        assert "error" in shown(evil, bare, f"{house.server.url}/chat", tmp_path / "2")
    assert house.upstream.asked_for("stolen") == []


# -- in Python -------------------------------------------------------------------------------------------------------


def test_a_requests_client_reads_infer_by_lines(house: House) -> None:
    """``for line in response.iter_lines(): if line: json.loads(line)``."""
    body = {"message": "hi", "model": "up/good"}
    with requests.post(f"{house.server.url}/infer", json=body, stream=True, timeout=8) as reply:
        lines = [json.loads(line) for line in reply.iter_lines() if line]
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert [line["choices"][0]["message"]["content"] for line in lines] == [*TOKENS, ""]
    assert [line["choices"][0]["finish_reason"] for line in lines] == [None] * 12 + ["stop"]
    assert len({line["id"] for line in lines}) == 1


def test_an_openai_snippet_with_another_vendors_model(house: House) -> None:
    """The sample configuration makes it run without a key, and the answer says whose it is."""
    client = openai.OpenAI(api_key="sk-none", base_url=f"{house.server.url}/v1")
    with client:
        stream = client.chat.completions.create(
            model="claude-sonnet-4-5-20250929",
            messages=[{"role": "user", "content": "Say hello"}],
            max_tokens=5,
            stream=True,
        )
        chunks = list(stream)
        reply = client.chat.completions.create(
            model="claude-sonnet-4-5-20250929", messages=[{"role": "user", "content": "Say hello"}], max_tokens=5
        )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text
    assert text == reply.choices[0].message.content
    assert {chunk.model for chunk in chunks} == {reply.model} == {"demo"}


@pytest.mark.node
def test_the_same_snippet_in_javascript(house: House) -> None:
    """With the base URL and the key from the environment, as the SDK's page has it."""
    snippet = """
import OpenAI from "openai";
const client = new OpenAI();
const stream = await client.chat.completions.create({
  model: "claude-sonnet-4-5-20250929",
  messages: [{ role: "user", content: "Say hello" }],
  max_tokens: 5,
  stream: true,
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content || "");
"""
    done = subprocess.run(
        [node(), "--input-type=module", "-"],
        input=snippet.encode(),
        cwd=Path(__file__).parent / "node",
        env={"OPENAI_BASE_URL": f"{house.server.url}/v1", "OPENAI_API_KEY": "sk-none"},
        capture_output=True,
        timeout=10,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout


# -- the first of slow chunks, on every face -------------------------------------------------------------------------

JSON = {"Content-Type": "application/json"}
MESSAGES = [{"role": "user", "content": "hi"}]

#: A face: method, path, body (None: a query) and what it accepts.
FACES: dict[str, tuple[str, str, dict[str, Any] | None, str]] = {
    "chat completions": ("POST", "/v1/chat/completions", {"messages": MESSAGES, "stream": True}, "*/*"),
    "chat completions alias": ("POST", "/chat/completions", {"messages": MESSAGES, "stream": True}, "*/*"),
    "unnamed": ("POST", "/chat", {"message": "hi"}, "*/*"),
    "text": ("POST", "/chat", {"message": "hi"}, "text/plain"),
    "message": ("POST", "/chat/stream", {"message": "hi"}, "*/*"),
    "messages": ("POST", "/chat/stream", {"messages": MESSAGES}, "*/*"),
    "named": ("POST", "/v1/chat/stream", {"message": "hi"}, "*/*"),
    "infer": ("POST", "/infer", {"message": "hi"}, "*/*"),
    "event source": ("GET", "/chat/stream", None, "text/event-stream"),
    "event source alias": ("GET", "/chat/completions", None, "text/event-stream"),
}


def ask(house: House, face: str, token: str) -> http.client.HTTPConnection:
    """Send a face's request for a slow answer."""
    method, path, body, accept = FACES[face]
    connection = http.client.HTTPConnection("127.0.0.1", house.server.port, timeout=8)
    if body is None:
        connection.request(method, f"{path}?{urlencode({'message': 'hi', 'model': f'up/{token}'})}")
    else:
        connection.request(method, path, json.dumps({**body, "model": f"up/{token}"}), {**JSON, "Accept": accept})
    return connection


def read_slowly(house: House, reply: http.client.HTTPResponse, token: str) -> bytes:
    """Read up to the first chunk, let the upstream make the second, and read to the end."""
    seen = b""
    while b"One" not in seen:
        piece = reply.read1(65536)
        assert piece, seen
        seen += piece
    assert b"two" not in seen
    house.upstream.release(token)
    return seen + reply.read()


@pytest.mark.parametrize("face", FACES)
def test_the_first_of_slow_chunks_comes_before_the_second_is_made(house: House, face: str) -> None:
    """Nothing between the model and the client waits for more."""
    token = f"slow-{face.replace(' ', '-')}"
    connection = ask(house, face, token)
    try:
        whole = read_slowly(house, connection.getresponse(), token)
    finally:
        connection.close()
    assert whole.count(b" two") == (2 if face in ("messages", "named") else 1)  # token and t


@pytest.mark.parametrize("dialect", ["", "chat", "named", "unnamed", "ndjson", "plain", "completions"])
def test_a_rejoiner_too_gets_the_first_before_the_second_is_made(house: House, dialect: str) -> None:
    """On the stream's own URL, in each dialect, and on that of the chat."""
    token = f"slow-rejoin-{dialect}"
    starter = ask(house, "named", token)
    reader = http.client.HTTPConnection("127.0.0.1", house.server.port, timeout=8)
    try:
        stream = starter.getresponse().headers["headrace-stream-id"]
        if dialect == "completions":
            reader.request("GET", f"/v1/chat/completions/{stream}?stream=true")
        else:
            reader.request("GET", f"/v1/streams/{stream}" + (f"?as={dialect}" if dialect else ""))
        whole = read_slowly(house, reader.getresponse(), token)
    finally:
        starter.close()
        reader.close()
    assert b" two" in whole


@pytest.mark.curl
def test_curl_shows_each_chunk_as_it_comes(house: House) -> None:
    """``curl -N``, with the line that the server prints when it starts."""
    curl = shutil.which("curl")
    assert curl, "this test needs curl: sudo apt-get install curl"
    url = f"{house.server.url}/chat/stream?message=hi&model=up/slow-curl"
    with subprocess.Popen([curl, "-sN", url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        seen = b""
        while b"One" not in seen:
            line = process.stdout.readline()
            assert line, seen
            seen += line
        assert b"two" not in seen
        house.upstream.release("slow-curl")
        seen += process.stdout.read()
    assert process.returncode == 0
    assert b'"done":true' in seen
