"""The stock JavaScript SDK against a real server: everything that it does in one Node process."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.node_process import play
from tests.e2e.sdk_house import CALLS, TEXT, TOKENS, House, sdk_house

pytestmark = [pytest.mark.slow, pytest.mark.node]

#: What is done, and with which model.
USES = {
    "stream": "up/n-good",
    "usage": "up/n-usage",
    "whole": "up/n-whole",
    "helper": "up/n-helper",
    "rejoin": "up/n-rejoin",
    "cancel": "up/stalls-n",
    "attach": "up/n-attach",
    "errors": "",
    "models": "",
    "retried": "up/busy-n",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with sdk_house(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture(scope="module")
def told(house: House) -> dict[str, Any]:
    """What came of each use."""
    cases = [{"use": use, "model": model} for use, model in USES.items()]
    cases.append({"use": "helper", "model": "up/tools"})
    *results, tools = play("sdk.mjs", cases, timeout=18, url=house.server.url)
    return {**dict(zip(USES, results, strict=True)), "tools": tools}


def test_a_stream_has_its_text_its_id_and_the_url_to_rejoin(told: dict[str, Any]) -> None:
    seen = told["stream"]
    assert (seen["text"], seen["finish"]) == (TEXT, "stop")
    assert seen["location"] == f"/v1/chat/completions/{seen['id']}?stream=true"


def test_usage_comes_last_where_it_is_asked_for(told: dict[str, Any]) -> None:
    assert told["usage"] == [[0, 7]]


def test_an_answer_that_is_not_streamed(told: dict[str, Any]) -> None:
    assert told["whole"] == {"text": TEXT, "finish": "stop", "total": 7}


def test_the_helper_takes_text_and_tool_calls(told: dict[str, Any]) -> None:
    assert told["helper"] == {"text": TEXT, "calls": []}
    calls = told["tools"]["calls"]
    assert [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls] == CALLS


def test_a_client_that_left_rejoins_after_its_last_event(house: House, told: dict[str, Any]) -> None:
    """The first chunk has no text, so five of them are four words. The model is asked once."""
    seen = told["rejoin"]
    assert (seen["before"], seen["before"] + seen["after"], seen["whole"]) == ("".join(TOKENS[:4]), TEXT, TEXT)
    assert len(house.upstream.asked_for("n-rejoin")) == 1


def test_cancel_is_an_error_to_the_reader_and_idempotent(told: dict[str, Any]) -> None:
    seen = told["cancel"]
    assert seen["error"] == {"name": "APIError", "status": 0, "code": "cancelled"}
    assert seen["replies"] == [[True, "cancelled"], [False, "cancelled"]]


def test_an_idempotency_key_attaches(house: House, told: dict[str, Any]) -> None:
    """Two at once are one stream and one call; another body under the key is refused."""
    seen = told["attach"]
    assert seen["texts"] == [TEXT, TEXT]
    assert len(set(seen["ids"])) == 1
    assert seen["other"] == {"name": "UnprocessableEntityError", "status": 422, "code": "idempotency_mismatch"}
    assert len(house.upstream.asked_for("n-attach")) == 1


def test_errors_are_of_the_right_class(told: dict[str, Any]) -> None:
    missing, *bad = told["errors"]
    assert missing == {"name": "NotFoundError", "status": 404, "code": "model_not_found"}
    assert [(error["name"], error["status"]) for error in bad[:2]] == [("BadRequestError", 400)] * 2


def test_models_are_listed(told: dict[str, Any]) -> None:
    assert ["m", "model"] in told["models"]
    assert ["demo", "model"] in told["models"]


def test_the_sdks_own_retries_find_the_answer(house: House, told: dict[str, Any]) -> None:
    """429 with ``retry-after: 0``, twice; then it streams."""
    assert told["retried"] == TEXT
    assert len(house.upstream.asked_for("busy-n")) == 3
