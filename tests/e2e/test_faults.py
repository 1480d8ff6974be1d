"""Every fault of an upstream, scripted on a real socket, through the server into the stock SDKs and plain clients.

An answer that did not complete never looks complete; an early failure keeps its HTTP status; nothing leaks.
"""

import asyncio
import http.client
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.e2e.fault_cases import CASES, LATE, PROMPT, SECRETS, SETTINGS, WHOLES, Case, script_of
from tests.e2e.mute_tls import MuteServer, TlsServer
from tests.e2e.node_process import play
from tests.e2e.scripted import UpstreamThread, model_of
from tests.e2e.server import HeadraceServer, free_port, upstream_toml

from headrace.testing.scripted_upstream import Fin, Next, Received, Script, answer

pytestmark = pytest.mark.slow

#: How many clients at a time; more would make a busy machine miss the short deadlines.
AT_ONCE = 12

#: What both SDKs raise for a status.
CLASSES = {
    400: "BadRequestError",
    404: "NotFoundError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}

SCRIPTED = {case.id: case for case in CASES}


@dataclass
class Result:
    """What a client saw of a case. ``finish`` is the finish reason, ``shown`` all that it could read."""

    text: str = ""
    finish: str | None = None
    error: str = ""
    status: int = 0
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    shown: str = ""


class House:
    """The server, its upstreams, and what the clients saw of every case."""

    def __init__(self, server: HeadraceServer, late: HeadraceServer, upstream: UpstreamThread) -> None:
        self.server = server
        self.late = late
        self.upstream = upstream
        self.addresses = [upstream.url.removeprefix("http://")]
        self._seen: dict[str, dict[str, Result]] = {}

    def seen(self, client: str, id: str) -> Result:
        """What a client saw of a case; all its cases are played when the first is asked for."""
        if client not in self._seen:
            self._seen[client] = {}  # a client that cannot be run fails all its tests, but is run once
            self._seen[client] = CLIENTS[client](self)
        assert self._seen[client], f"the client {client!r} could not be run; the first test that wanted it says why"
        return self._seen[client][id]

    def assert_silent(self, shown: str) -> None:
        """No secret is in what was shown."""
        for secret in (*SECRETS, *self.addresses):
            assert secret not in shown


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    def script(request: Received, _: object) -> Script:
        model = model_of(request)
        return _reused(request) if model.startswith("U18") else script_of(model)

    with UpstreamThread(script) as upstream, MuteServer() as mute, TlsServer() as tls:
        others = {
            "refused": f"http://127.0.0.1:{free_port()}/v1",
            "nowhere": "http://nowhere.invalid/v1",
            "badcert": f"https://127.0.0.1:{tls.port}/v1",
            "mute": f"https://127.0.0.1:{mute.port}/v1",
            "plain": f"{upstream.url}/v1".replace("http:", "https:"),
            "reused": f"{upstream.url}/v1",
        }
        toml = upstream_toml(f"{upstream.url}/v1") + "".join(
            upstream_toml(url, name=name) for name, url in others.items()
        )
        folder = tmp_path_factory.mktemp
        with (
            HeadraceServer(folder("gated"), SETTINGS.format(gate=5) + toml) as server,
            HeadraceServer(folder("late"), SETTINGS.format(gate=0.1) + toml) as late,
        ):
            made = House(server, late, upstream)
            made.addresses += [url.partition("://")[2].removesuffix("/v1") for url in others.values()]
            yield made


# -- the clients -----------------------------------------------------------------------------------------------------


def _python(house: House, cases: Sequence[Case], mode: str) -> dict[str, Result]:
    """The stock Python SDK over all cases."""
    base_url = f"{(house.late if mode == 'late' else house.server).url}/v1"
    options: dict[str, Any] = {"base_url": base_url, "api_key": "sk-client", "max_retries": 0, "timeout": 8}

    async def all_async() -> list[Result]:
        limit = asyncio.Semaphore(AT_ONCE)
        async with openai.AsyncOpenAI(**options) as client:

            async def one(case: Case) -> Result:
                async with limit:
                    return await _python_async(client, case)

            return await asyncio.gather(*map(one, cases))

    if mode in ("stream", "late"):
        results = asyncio.run(all_async())
    else:
        read = {"helper": _python_helper, "whole": _python_whole, "sync": _python_sync}[mode]
        with openai.OpenAI(**options) as client, ThreadPoolExecutor(AT_ONCE) as pool:
            results = list(pool.map(lambda case: _python_one(client, case, read), cases))
    return {case.id: result for case, result in zip(cases, results, strict=True)}


def _asked(case: Case) -> dict[str, Any]:
    return {"model": case.model, "messages": [{"role": "user", "content": PROMPT}]}


async def _python_async(client: openai.AsyncOpenAI, case: Case) -> Result:
    result = Result()
    try:
        async for chunk in await client.chat.completions.create(**_asked(case), stream=True):
            _take(result, chunk)
    except openai.OpenAIError as error:
        _fail(result, error)
    return result


def _python_one(client: openai.OpenAI, case: Case, read: Any) -> Result:
    result = Result()
    try:
        read(client, case, result)
    except openai.OpenAIError as error:
        _fail(result, error)
    return result


def _python_sync(client: openai.OpenAI, case: Case, result: Result) -> None:
    for chunk in client.chat.completions.create(**_asked(case), stream=True):
        _take(result, chunk)


def _python_helper(client: openai.OpenAI, case: Case, result: Result) -> None:
    with client.chat.completions.stream(**_asked(case)) as events:
        for event in events:
            if event.type == "chunk":
                _take(result, event.chunk)
        final = events.get_final_completion()
    assert final.choices[0].message.content == result.text


def _python_whole(client: openai.OpenAI, case: Case, result: Result) -> None:
    reply = client.chat.completions.create(**_asked(case))
    result.text = reply.choices[0].message.content or ""
    result.finish = reply.choices[0].finish_reason
    result.shown += reply.model_dump_json()


def _take(result: Result, chunk: Any) -> None:
    for choice in chunk.choices:
        result.text += choice.delta.content or ""
        result.finish = choice.finish_reason or result.finish
    result.shown += chunk.model_dump_json()


def _fail(result: Result, error: openai.OpenAIError) -> None:
    result.error = type(error).__name__
    result.code = getattr(error, "code", None)
    result.shown += f"{error!r}{error}{getattr(error, 'body', '')}"
    if isinstance(error, openai.APIStatusError):
        result.status = error.status_code
        result.headers = dict(error.response.headers)
        result.shown += f"{result.headers}{error.response.text}"


def _node(house: House, cases: Sequence[Case], mode: str) -> dict[str, Result]:
    """The stock JavaScript SDK over all cases, in one process."""
    server = house.late if mode == "late" else house.server
    plan = [{"id": case.id, "model": case.model, "mode": "stream" if mode == "late" else mode} for case in cases]
    found: dict[str, Result] = {}
    for told in play("faults.mjs", plan, url=server.url, prompt=PROMPT):
        error = told["error"] or {"name": "", "status": 0, "code": None, "headers": {}}
        found[told["id"]] = Result(
            told["text"],
            told["finish"],
            error["name"],
            error["status"],
            error["code"],
            error["headers"],
            told["shown"],
        )
    return found


def _plain(house: House, path: str, accept: str = "*/*") -> dict[str, Result]:
    """A client that reads bytes, on one of the simple faces. ``error`` says whether the body was cut."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda case: _plain_one(house.server.port, path, accept, case), CASES))
    return {case.id: result for case, result in zip(CASES, results, strict=True)}


def _plain_one(port: int, path: str, accept: str, case: Case) -> Result:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=8)
    result = Result()
    try:
        body = json.dumps({"message": PROMPT, "model": case.model})
        connection.request("POST", path, body, {"Accept": accept, "Content-Type": "application/json"})
        reply = connection.getresponse()
        result.status = reply.status
        result.headers = {name.lower(): value for name, value in reply.getheaders()}
        try:
            result.text = reply.read().decode()
        except http.client.IncompleteRead as error:
            result.text = error.partial.decode()
            result.error = "cut"
    finally:
        connection.close()
    result.shown = f"{result.headers}{result.text}"
    return result


CLIENTS = {
    "python": lambda house: _python(house, CASES, "stream"),
    "python sync": lambda house: _python(house, CASES, "sync"),
    "python helper": lambda house: _python(house, CASES, "helper"),
    "python whole": lambda house: _python(house, (*CASES, *WHOLES), "whole"),
    "python late": lambda house: _python(house, LATE, "late"),
    "node": lambda house: _node(house, CASES, "stream"),
    "node helper": lambda house: _node(house, CASES, "helper"),
    "node iterated": lambda house: _node(house, CASES, "iterated"),
    "node whole": lambda house: _node(house, (*CASES, *WHOLES), "whole"),
    "node late": lambda house: _node(house, LATE, "late"),
    "named": lambda house: _plain(house, "/v1/chat/stream"),
    "unnamed": lambda house: _plain(house, "/chat"),
    "infer": lambda house: _plain(house, "/infer"),
    "text": lambda house: _plain(house, "/chat", "text/plain"),
}


def clients(*names: str) -> Any:
    """Run a test with each of these clients."""
    marked = [pytest.param(name, marks=[pytest.mark.node] if name.startswith("node") else []) for name in names]
    return pytest.mark.parametrize("client", marked)


def cases(chosen: Sequence[Case]) -> Any:
    """Run a test with each of these cases."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in chosen])


# -- the SDKs --------------------------------------------------------------------------------------------------------


@clients("python", "python sync", "python helper", "node", "node helper", "node iterated")
@cases(CASES)
def test_what_did_not_complete_never_looks_complete(house: House, client: str, case: Case) -> None:
    """Streamed: a failure raises, of the right class, with the text so far; all else is whole."""
    result = house.seen(client, case.id)
    house.assert_silent(result.shown)
    if case.at_least:
        assert result.text.startswith(case.text)
    else:
        assert result.text == case.text
    if case.early:
        assert_status(case, result)
    elif not case.completes:
        assert (result.error, result.code, result.finish) == ("APIError", case.code, None)
    elif client in ("node helper", "node iterated") and not case.roled:
        assert result.error == "OpenAIError"  # the helper's own demand: "missing role for choice 0"
    else:
        assert (result.error, result.finish) == ("", "stop")


@clients("python whole", "node whole")
@cases((*CASES, *WHOLES))
def test_what_is_asked_for_whole_is_whole_or_an_error(house: House, client: str, case: Case) -> None:
    """Not streamed: the status is that of the failure, also where half an answer had come."""
    result = house.seen(client, case.id)
    house.assert_silent(result.shown)
    if case.completes:
        assert (result.error, result.text, result.finish) == ("", case.text, "stop")
    else:
        assert_status(case, result)


@clients("python late", "node late")
@cases(LATE)
def test_a_failure_after_the_gate_is_an_error_in_the_stream(house: House, client: str, case: Case) -> None:
    """The status has been sent as 200, and still nobody takes it for an answer."""
    result = house.seen(client, case.id)
    house.assert_silent(result.shown)
    assert (result.error, result.code, result.text, result.finish) == ("APIError", case.code, "", None)


def assert_status(case: Case, result: Result) -> None:
    """The failure is told by the status that it deserves, and by whether to try again."""
    status = case.status or STATUS[case.code]
    assert (result.status, result.code) == (status, case.code)
    assert result.error == CLASSES.get(status, "InternalServerError")
    assert (result.finish, result.headers["content-type"]) == (None, "application/json")
    assert result.headers["x-should-retry"] in ("true", "false")
    if "retry-after" in result.headers:
        assert 0 <= int(result.headers["retry-after"]) <= 60


#: The status of what fails in the middle, where it was asked for whole.
STATUS = {
    "upstream_stalled": 504,
    "upstream_truncated": 502,
    "upstream_protocol": 502,
    "overloaded": 503,
    "bad": 502,
    "limit": 507,
    "timeout": 504,
}


# -- the simple faces ------------------------------------------------------------------------------------------------


@clients("named", "unnamed")
@cases(CASES)
def test_the_simple_events_tell_every_failure(house: House, client: str, case: Case) -> None:
    """Status 200 at once, so the failure is an event; ``done`` never follows it, and the body ends cleanly."""
    result = house.seen(client, case.id)
    house.assert_silent(result.shown)
    assert (result.status, result.error) == (200, "")
    blocks = result.text.removesuffix("\n\n").split("\n\n")
    events = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks if block[0] != ":"]
    data = [json.loads(event["data"]) for event in events]
    text = "".join(value.get("token", "") + value.get("content", "") for value in data)
    assert text == case.text or (case.at_least and text.startswith(case.text))
    if client == "named":
        done, failed = "done", [event.get("event") for event in events][-2:]
        assert failed == ["done" if case.completes else "error", "close"]
    else:
        done = "unnamed"
        assert events[-1].get("event", done) == (done if case.completes else "error")
        assert [value.get("done") for value in data].count(True) == case.completes
    assert [event.get("event") for event in events].count("error") == (not case.completes)


@clients("infer", "text")
@cases(CASES)
def test_a_face_without_words_for_a_failure_is_cut(house: House, client: str, case: Case) -> None:
    """An early failure has its status; a later one ends without the zero chunk."""
    result = house.seen(client, case.id)
    house.assert_silent(result.shown)
    if case.early:
        assert (result.status, result.error) == (case.status, "")
        assert set(json.loads(result.text)["error"]) >= {"code", "message", "retry"}
        return
    text = result.text if client == "text" else "".join(_texts(result.text))
    assert (result.status, result.error) == (200, "" if case.completes else "cut")
    assert text == case.text or (case.at_least and text.startswith(case.text))
    if client == "infer":
        assert ('"finish_reason":"stop"' in result.text) == case.completes


def _texts(lines: str) -> list[str]:
    return [json.loads(line)["choices"][0]["message"]["content"] for line in lines.split("\n") if line]


# -- what the cases have in common -----------------------------------------------------------------------------------


def _reused(request: Received) -> Script:
    """U18: a connection serves one request well and is dead for the next, by the model's name at once or when used."""
    if request.connection in _USED and model_of(request) == "U18-dies-when-used":
        return [Fin()]
    _USED.add(request.connection)
    good = answer("One", " two")
    return [good, Fin()] if model_of(request) == "U18-dies-idle" else [good, Next()]


_USED: set[int] = set()


@pytest.mark.parametrize("how", ["dies-when-used", "dies-idle", "lives"])
def test_a_dead_kept_connection_is_not_the_clients_business(house: House, how: str) -> None:
    """U18: the second request finds the connection dead, and gets its answer over a new one."""
    case = Case(f"U18-{how}", None, "One two", upstream="reused")
    with openai.OpenAI(base_url=f"{house.server.url}/v1", api_key="sk-client", max_retries=0) as client:
        results = [_python_one(client, case, _python_sync) for _ in range(3)]
    assert [(result.text, result.finish, result.error) for result in results] == [("One two", "stop", "")] * 3
    asked = house.upstream.asked_for(case.id)
    assert len(asked) == (5 if how == "dies-when-used" else 3)
    assert len({request.connection for request in asked}) == (1 if how == "lives" else 3)


def test_a_connection_is_given_up_within_its_own_deadline(house: House) -> None:
    """U1, U2: what does not connect is told long before the first token would be late."""
    case = SCRIPTED["U2-handshake-stalls"]
    began = time.monotonic()
    with openai.OpenAI(base_url=f"{house.server.url}/v1", api_key="sk-client", max_retries=0) as client:
        result = _python_one(client, case, _python_sync)
    assert result.code == "upstream_unreachable"
    assert time.monotonic() - began < 2.4


def test_no_script_was_left_unplayed(house: House) -> None:
    """Every case that has a script reached the scripted upstream, with the upstream's own key and no other."""
    for case in CASES:
        house.seen("python", case.id)
    for case in CASES:
        if case.script is not None:
            assert house.upstream.asked_for(case.id), case.id
    assert {request.headers["authorization"] for request in house.upstream.requests} == {
        "Bearer sk-upstream-secret-0123456789"
    }


def test_the_log_holds_no_secret(house: House) -> None:
    """No key, address, prompt or answer is in the server's log, after all of these."""
    house.seen("python", "U6-stall")
    for server in (house.server, house.late):
        log = Path(server.log).read_text()
        house.assert_silent(log)
        assert PROMPT not in log
        assert "One" not in log
        assert "Unclosed" not in log
    lines = [json.loads(line) for line in house.server.log.read_text().splitlines() if line.startswith("{")]
    (line, *_) = (line for line in lines if "upstream_stalled" in line["message"])
    assert line["stream"].startswith("st_")
    assert line["request"]


def test_the_metrics_hold_no_secret(house: House) -> None:
    """Labels are words of ours, whatever upstreams said; and every end is counted."""
    house.seen("python", "U6-stall")
    shown = house.server.request("GET", "/metrics")[2].decode()
    house.assert_silent(shown)
    assert PROMPT not in shown
    assert 'headrace_streams_ended_total{reason="upstream_stalled",state="failed"}' in shown


def test_the_server_still_works(house: House) -> None:
    """After every fault of the table, answers are whole and no connection to the upstream is left over."""
    case = Case("good", None, "One two")
    with openai.OpenAI(base_url=f"{house.server.url}/v1", api_key="sk-client", max_retries=0) as client:
        result = _python_one(client, case, _python_sync)
        assert (result.text, result.finish) == ("One two", "stop")
    end = time.monotonic() + 5
    while house.upstream.server.open > 4 and time.monotonic() < end:  # idle ones are kept for others
        time.sleep(0.05)
    assert house.upstream.server.open <= 4
    streams = house.server.json("GET", "/v1/streams?limit=1000")["data"]
    assert "open" not in {stream["state"] for stream in streams}
