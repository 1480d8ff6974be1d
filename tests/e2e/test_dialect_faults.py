"""Every fault of an upstream of any dialect, through the server, into the stock clients of every dialect.

An answer that did not complete never looks complete; an early failure keeps its HTTP status; nothing leaks; and who
comes later, in whatever dialect, is told the same.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.dialect_fault_cases import CASES, LATE, MAIN, script_of
from tests.e2e.dialect_fault_clients import Clients, Result
from tests.e2e.dialect_house import SPEAKS, upstreams_toml
from tests.e2e.fault_cases import PROMPT, SECRETS, SETTINGS, Case
from tests.e2e.node_process import play
from tests.e2e.scripted import UpstreamThread, model_of
from tests.e2e.server import HeadraceServer

from headrace.testing.scripted_upstream import Received, Script
from headrace.testing.spoken import dialect_at

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

#: How many clients at a time; more would make a busy machine miss the short deadlines.
AT_ONCE = 12

#: The clients that stream, and those that do not.
STREAMED = ("chat", "chat helper", "responses", "responses helper", "messages", "messages helper", "ui")
WHOLE = ("chat whole", "responses whole", "messages whole")
NODE = (
    "chat",
    "chatHelper",
    "responses",
    "responsesHelper",
    "messages",
    "messagesHelper",
    "sdkChat",
    "sdkResponses",
    "sdkMessages",
    "ui",
)

#: How each dialect says that an answer is whole.
WORDS = {"chat": "stop", "responses": "completed", "messages": "end_turn", "ui": "stop"}
#: The same with the dialect's last frame, which the SDK of OpenAI chat keeps to itself.
ENDS = {**WORDS, "messages": "end_turn and done", "ui": "stop and done"}
REPLAYED = {**ENDS, "chat": "stop and done"}

_UPSTREAMS = {dialect: name for name, dialect in SPEAKS.items()}
_MAIN = tuple(case for case in CASES if case.id in MAIN)


class House:
    """The server, its upstreams, and what the clients saw of every case."""

    def __init__(self, server: HeadraceServer, late: HeadraceServer, upstream: UpstreamThread) -> None:
        self.server = server
        self.late = late
        self.upstream = upstream
        self.clients = Clients(server.url, PROMPT)
        self.late_clients = Clients(late.url, PROMPT)
        self._seen: dict[str, dict[str, Any]] = {}

    def seen(self, client: str, case: Case) -> Result:
        """What a client saw of a case; all its cases are played when the first is asked for."""
        return self._all(client, lambda case: self.clients.play(client, case.model))[case.model]

    def seen_late(self, client: str, case: Case) -> Result:
        """The same through a server that has sent its status by then."""
        return self._all(f"{client} late", lambda case: self.late_clients.play(client, case.model), LATE)[case.model]

    def shown(self, dialect: str, case: Case, started: str = "responses") -> Result:
        """How a stream that was started in one dialect is shown in another, once it has ended."""
        ids = self.streams(started)
        found = self._all(f"{dialect} of {started}", lambda case: self.clients.replay(ids[case.model], dialect))
        return found[case.model]

    def streams(self, started: str) -> dict[str, str]:
        """The ids of the streams that one client's cases have become, by their models."""
        results = {case.model: self.seen(started, case) for case in CASES}
        return {model: result.stream or result.headers["headrace-stream-id"] for model, result in results.items()}

    def node(self, client: str, case: Case) -> dict[str, Any]:
        """What a client in JavaScript saw of a case; all are played in one process when the first is asked for."""
        if "node" not in self._seen:
            self._seen["node"] = {}  # what cannot be run fails all its tests, but is run once
            keys = [(client, case) for client in NODE for case in _MAIN]
            cases = [{"client": client, "model": case.model, "asks": ""} for client, case in keys]
            told = play("dialects.mjs", cases, timeout=110, url=self.server.url, schema={}, pixel="", prompt=PROMPT)
            self._seen["node"] = {f"{client} {case.model}": one for (client, case), one in zip(keys, told, strict=True)}
        assert self._seen["node"], "Node could not be run; the first test that wanted it says why"
        found: dict[str, Any] = self._seen["node"][f"{client} {case.model}"]
        return found

    def assert_silent(self, shown: str) -> None:
        """No secret is in what was shown."""
        for secret in (*SECRETS, self.upstream.url.removeprefix("http://")):
            assert secret not in shown

    def _all(self, key: str, play: Callable[[Case], Result], chosen: Sequence[Case] = CASES) -> dict[str, Result]:
        """What came of all cases; they are played once, also where that fails."""
        if key not in self._seen:
            self._seen[key] = {}
            with ThreadPoolExecutor(AT_ONCE) as pool:
                self._seen[key] = {case.model: one for case, one in zip(chosen, pool.map(play, chosen), strict=True)}
        assert self._seen[key], f"{key!r} could not be run; the first test that wanted it says why"
        return self._seen[key]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    def script(request: Received, _: object) -> Script:
        return script_of(_UPSTREAMS[dialect_at(request.target)], model_of(request))

    with UpstreamThread(script) as upstream:
        folder, toml = tmp_path_factory.mktemp, upstreams_toml(upstream.url)
        with (
            HeadraceServer(folder("gated"), SETTINGS.format(gate=5) + toml) as server,
            HeadraceServer(folder("late"), SETTINGS.format(gate=0.1) + toml) as late,
        ):
            made = House(server, late, upstream)
            yield made
            made.clients.close()
            made.late_clients.close()


def cases(chosen: Sequence[Case] = CASES) -> Any:
    """Run a test with each of these cases."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.model) for case in chosen])


def assert_text(case: Case, text: str) -> None:
    """The text is what came before the failure."""
    if case.at_least:
        assert text.startswith(case.text)
    else:
        assert text == case.text


@pytest.mark.parametrize("client", STREAMED)
@cases()
def test_what_did_not_complete_never_looks_complete(house: House, client: str, case: Case) -> None:
    """Streamed: a failure is an error of the client's own kind, with the text so far; all else is whole."""
    result = house.seen(client, case)
    dialect = client.partition(" ")[0]
    house.assert_silent(result.shown)
    assert_text(case, result.text)
    assert not result.cut
    assert result.calls == 0
    if case.completes:
        assert (result.error, result.finish) == ("", ENDS[dialect])
    elif case.early and client != "ui":
        assert_refused(case, result)
    else:
        assert_failed(case, result, dialect)


@pytest.mark.parametrize("client", STREAMED)
@cases(LATE)
def test_a_failure_after_the_gate_is_an_error_in_the_stream(house: House, client: str, case: Case) -> None:
    """The status has been sent as 200, and still nobody takes it for an answer."""
    result = house.seen_late(client, case)
    house.assert_silent(result.shown)
    assert (result.text, result.calls, result.cut) == ("", 0, False)
    assert_failed(case, result, client.partition(" ")[0])


def assert_refused(case: Case, result: Result) -> None:
    """The failure is told by the status that it deserves, and by whether to try again."""
    status = case.status or STATUS[case.code]
    assert (result.status, result.code, result.finish) == (status, case.code, None)
    assert result.headers["content-type"] == "application/json"
    assert result.headers["x-should-retry"] == ("true" if is_passing(case) else "false")
    assert ("retry-after" in result.headers) == (case.id.startswith("U3-") or case.id == "U4-429-stalled")
    assert 0 <= int(result.headers.get("retry-after", 0)) <= 60


def assert_failed(case: Case, result: Result, dialect: str) -> None:
    """The failure is told in the stream."""
    if dialect == "ui":  # which has a sentence where the others have a code
        assert result.error.endswith(".")
        assert result.finish is None
    elif dialect == "responses":
        assert (result.error, result.code, result.finish) == ("response.failed", case.code, "failed")
    else:
        assert result.code == case.code
        assert result.error in {"APIError", "APIStatusError", "error"}
        assert_no_finish(case, result, dialect)


def assert_no_finish(case: Case, result: Result, dialect: str) -> None:
    """There is no finish, but where the upstream had said it in the client's own dialect: that is passed on at once."""
    if SPEAKS[case.upstream].endswith(dialect) and case.id == "U8-all-but-the-end":
        assert result.finish == WORDS[dialect]
    else:
        assert result.finish is None


@pytest.mark.parametrize("client", WHOLE)
@cases()
def test_what_is_asked_for_whole_is_whole_or_an_error(house: House, client: str, case: Case) -> None:
    """Not streamed: the status is that of the failure, also where half an answer had come."""
    result = house.seen(client, case)
    house.assert_silent(result.shown)
    if case.completes:
        assert (result.error, result.text, result.finish) == ("", case.text, WORDS[client.partition(" ")[0]])
    else:
        assert_refused(case, result)


#: The status of what fails in the middle, where it was asked for whole.
STATUS = {
    "bad": 502,
    "limit": 507,
    "overloaded": 503,
    "timeout": 504,
    "upstream_error": 502,
    "upstream_protocol": 502,
    "upstream_stalled": 504,
    "upstream_truncated": 502,
}


def is_passing(case: Case) -> bool:
    """Whether another try may do better."""
    asked_wrongly = case.status == 400 or case.id in {"U4-401", "U4-404-html", "U17-redirect"}
    return not (asked_wrongly or case.code in {"limit", "timeout"})


@pytest.mark.parametrize("dialect", ENDS)
@cases()
def test_who_comes_later_is_told_the_same(house: House, dialect: str, case: Case) -> None:
    """Every stream, replayed in every dialect: its text, and how it ended; the body comes to its own end."""
    result = house.shown(dialect, case)
    house.assert_silent(result.shown)
    assert (result.status, result.cut) == (200, False)
    assert_text(case, result.text)
    if case.completes:
        assert (result.error, result.finish) == ("", REPLAYED[dialect])
    else:
        assert_failed(case, result, dialect)


@pytest.mark.parametrize("path", ["chat/completions", "messages"])
@cases()
def test_the_object_of_a_failed_answer_is_its_error(house: House, path: str, case: Case) -> None:
    """Fetched by id, once it has ended, in a dialect that has no object for half an answer."""
    status, value, headers = house.clients.fetch(f"/v1/{path}/{house.streams('responses')[case.model]}")
    house.assert_silent(f"{value}{headers}")
    if case.completes:
        assert status == 200
        return
    assert status == (case.status or STATUS[case.code])
    assert value["error"]["code"] == case.code
    assert headers["x-should-retry"] == ("true" if is_passing(case) else "false")
    assert value.get("type", "error") == "error"


@pytest.mark.parametrize("started", ["chat", "responses", "messages"])
@cases()
def test_a_response_that_failed_has_what_there_is_of_it(house: House, started: str, case: Case) -> None:
    """The object says how it ended, whatever the stream was started in; what was cut is marked incomplete."""
    status, value, headers = house.clients.fetch(f"/v1/responses/{house.streams(started)[case.model]}")
    house.assert_silent(f"{value}{headers}")
    assert (status, value["object"]) == (200, "response")
    messages = [item for item in value["output"] if item["type"] == "message"]
    assert_text(case, "".join(part["text"] for item in messages for part in item["content"]))
    if case.completes:
        assert (value["status"], value["error"]) == ("completed", None)
        return
    assert (value["status"], value["error"]["code"]) == ("failed", case.code)
    if case.id != "U8-all-but-the-end" and "in-a-call" not in case.id:
        assert {item["status"] for item in messages} <= {"incomplete"}
    calls = [item for item in value["output"] if item["type"] == "function_call"]
    assert [item["status"] for item in calls] == ["incomplete"] * ("in-a-call" in case.id)


@pytest.mark.node
@pytest.mark.parametrize("client", NODE)
@cases(_MAIN)
def test_the_javascript_clients_never_take_it_for_complete(house: House, client: str, case: Case) -> None:
    """Raw streams, helpers, the AI SDK over each provider of its own, and its chat."""
    told = house.node(client, case)
    house.assert_silent(told["shown"])
    assert_text(case, told["said"])
    assert told["calls"] == []
    if case.completes:
        assert (told["error"], told["status"]) == ("", 0)
        return
    assert told["error"]
    if case.early and client != "ui":
        assert told["status"] == (case.status or STATUS[case.code])
    dialect = client.removesuffix("Helper").removeprefix("sdk").lower()
    if case.id != "U8-all-but-the-end" or not SPEAKS[case.upstream].endswith(dialect):
        assert told["finish"] in {"", None, "failed", "error"}


def test_no_script_was_left_unplayed(house: House) -> None:
    """Every case reached its upstream, in its dialect, with the upstream's own key and no other."""
    for case in CASES:
        house.seen("chat", case)
    asked = {(_UPSTREAMS[dialect_at(request.target)], model_of(request)) for request in house.upstream.requests}
    assert asked >= {(case.upstream, case.id) for case in CASES}
    keys = [request.headers.get("authorization") or request.headers["x-api-key"] for request in house.upstream.requests]
    assert {key.removeprefix("Bearer ") for key in keys} == {"sk-upstream-secret-0123456789"}


def test_the_log_holds_no_secret(house: House) -> None:
    """No key, address, prompt or answer is in the server's log, after all of these."""
    for client in ("chat", "responses", "messages", "ui"):
        house.seen(client, CASES[0])
    for server in (house.server, house.late):
        log = Path(server.log).read_text()
        house.assert_silent(log)
        assert PROMPT not in log
        assert "One" not in log
        assert "unexpected" not in log
    assert "upstream_stalled" in house.server.log.read_text()


def test_nothing_is_left_open(house: House) -> None:
    """After every fault of the table no stream goes on."""
    house.seen("ui", CASES[0])
    streams = house.server.json("GET", "/v1/streams?limit=1000")["data"]
    assert {stream["state"] for stream in streams} == {"completed", "failed"}
