"""Every client's dialect over every provider's, with the stock JavaScript clients, their helpers and the AI SDK."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.dialect_house import PIXEL, SCENARIOS, SCHEMA, SPEAKS, USES, House, Scenario, dialect_house
from tests.e2e.node_process import node, play

pytestmark = [pytest.mark.slow, pytest.mark.node, pytest.mark.timeout(120)]

CLIENTS = (
    "chat",
    "chatHelper",
    "responses",
    "responsesHelper",
    "messages",
    "messagesHelper",
    "sdkChat",
    "sdkResponses",
    "sdkMessages",
    "sdkCompatible",
    "ui",
)
CALLS = [[use.id, use.name, json.loads(use.whole)] for use in USES]
CASES = [(client, upstream, scenario) for client in CLIENTS for upstream in SPEAKS for scenario in SCENARIOS]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with dialect_house(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture(scope="module")
def told(house: House) -> dict[tuple[str, str, str], dict[str, Any]]:
    """What came of every case, all in one process."""
    cases = [
        {"client": client, "model": f"{upstream}/{scenario}-node-{client}", "asks": SCENARIOS[scenario].asks}
        for client, upstream, scenario in CASES
    ]
    results = play("dialects.mjs", cases, timeout=110, url=house.server.url, schema=SCHEMA, pixel=PIXEL)
    return dict(zip(CASES, results, strict=True))


@pytest.mark.parametrize(("client", "upstream", "scenario"), CASES)
def test_an_answer_is_the_same_to_every_client(
    house: House, told: dict[tuple[str, str, str], dict[str, Any]], client: str, upstream: str, scenario: str
) -> None:
    """Text, calls, reasoning and usage; and a failure is an error, never an answer that looks whole."""
    seen, given = told[client, upstream, scenario], SCENARIOS[scenario]
    if given.error:
        _check_failed(seen, given, client)
    else:
        _check_said(seen, given, client)
    assert len(house.asked(f"{upstream}/{scenario}-node-{client}")) == 1


def _check_said(seen: dict[str, Any], given: Scenario, client: str) -> None:
    said = given.said
    assert (seen["error"], seen["status"]) == ("", 0)
    assert seen["said"] == said.text + "".join(said.refusal)
    assert seen["calls"] == (CALLS if said.calls else [])
    if client not in {"chatHelper", "sdkChat"}:  # which know of no reasoning
        assert seen["reasoning"] == "".join(said.reasoning)
    if client != "chatHelper":  # which was not asked for usage
        assert seen["usage"] == [said.input, said.output]


def _check_failed(seen: dict[str, Any], given: Scenario, client: str) -> None:
    assert seen["error"]
    if given.status and client != "ui":
        assert seen["status"] == given.status
    if not given.status:
        assert seen["said"] == given.said.text
    assert seen["finish"] in {"", "failed", "error", None}


def test_node_is_one_that_the_clients_support() -> None:
    """The AI SDK and openai want 22 or later."""
    version = subprocess.run([node(), "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    assert int(version.lstrip("v").partition(".")[0]) >= 22
