"""Every client's dialect over every provider's, with the stock Python SDKs on real sockets."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.dialect_clients import STREAMED, WHOLE, Seen
from tests.e2e.dialect_house import PIXEL, SCENARIOS, SCHEMA, SPEAKS, USES, House, Scenario, dialect_house

from headrace.model.dialect import CHAT, MESSAGES, RESPONSES

pytestmark = pytest.mark.slow

CALLS = [(use.id, use.name, json.loads(use.whole)) for use in USES]

#: How each client's dialect calls the ends of an answer.
FINISH = {
    "chat": {
        "stop": {"stop"},
        "length": {"length"},
        "tool_calls": {"tool_calls"},
        "refusal": {"stop", "content_filter"},
    },
    "responses": {
        "stop": {"completed"},
        "length": {"max_output_tokens"},
        "tool_calls": {"completed"},
        "refusal": {"completed", "content_filter"},
    },
    "messages": {
        "stop": {"end_turn"},
        "length": {"max_tokens"},
        "tool_calls": {"tool_use"},
        "refusal": {"refusal"},
    },
    "ui": {"stop": {"stop"}, "length": {"length"}, "tool_calls": {"tool-calls"}, "refusal": {"stop", "content-filter"}},
}

#: The dialect that a client speaks; the UI stream has no provider.
OWN = {"chat": "chat", "responses": "resp", "messages": "msgs"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with dialect_house(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("upstream", SPEAKS)
@pytest.mark.parametrize("client", STREAMED)
def test_a_streamed_answer_is_the_same_to_every_client(house: House, client: str, upstream: str, scenario: str) -> None:
    """Text, calls, reasoning, finish, usage; and a failure is an error of the client's own kind, early or late."""
    model = f"{upstream}/{scenario}-{client}"
    given = SCENARIOS[scenario]
    seen = STREAMED[client](house.server.url, model, given.asks)
    if given.error:
        _check_failed(seen, given, client)
    else:
        _check_said(seen, given, client)
    assert len(house.asked(model)) == 1


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name not in {"fault", "cut"}])
@pytest.mark.parametrize("upstream", SPEAKS)
@pytest.mark.parametrize("client", WHOLE)
def test_a_whole_answer_is_the_same_to_every_client(house: House, client: str, upstream: str, scenario: str) -> None:
    """The same of answers that are not streamed."""
    given = SCENARIOS[scenario]
    seen = WHOLE[client](house.server.url, f"{upstream}/{scenario}-whole-{client}", given.asks)
    if given.error:
        _check_failed(seen, given, client)
    else:
        _check_said(seen, given, client)


@pytest.mark.parametrize("upstream", SPEAKS)
@pytest.mark.parametrize("client", STREAMED)
def test_every_byte_in_a_packet_of_its_own_is_the_same_answer(house: House, client: str, upstream: str) -> None:
    seen = STREAMED[client](house.server.url, f"{upstream}/bytes-{client}")
    assert seen.said == SCENARIOS["text"].said.text


@pytest.mark.parametrize("asks", ["tools", "image", "structured", "reasoning"])
@pytest.mark.parametrize("upstream", SPEAKS)
@pytest.mark.parametrize("client", STREAMED)
def test_what_is_asked_reaches_the_provider_in_its_own_words(
    house: House, client: str, upstream: str, asks: str
) -> None:
    """Instructions, text, pictures, tools, schemas and how much to think. The UI stream asks for tools and pictures."""
    model = f"{upstream}/{asks}-asked-{client}"
    if client == "ui" and asks in {"structured", "reasoning"}:
        asks = "text"
    STREAMED[client](house.server.url, model, SCENARIOS[asks].asks)
    (request,) = house.asked(model)
    body: Any = request.json()
    assert f"{upstream}/{body['model']}" == model
    assert body["stream"] is True
    assert "sk-client" not in json.dumps(request.headers) + json.dumps(body)
    HAS[SPEAKS[upstream]](body, SCENARIOS[asks].asks)


def _check_said(seen: Seen, given: Scenario, client: str) -> None:
    said = given.said
    assert (seen.error, seen.status) == ("", 0)
    assert seen.said == said.text + "".join(said.refusal)
    assert seen.reasoning == "".join(said.reasoning)
    assert seen.calls == (CALLS if said.calls else [])
    assert seen.finish in FINISH[client][said.finish]
    assert seen.usage == (said.input, said.output)


def _check_failed(seen: Seen, given: Scenario, client: str) -> None:
    """A page of the AI SDK has a text where the others have a code, and its status comes before any failure."""
    if client == "ui":
        assert seen.error
        assert "st_" in seen.stream
    elif given.status == 400:
        assert (seen.status, seen.error) in {
            (400, given.error),
            (400, "upstream_refused"),
            (400, "invalid_request_error"),
        }
    else:
        assert seen.status == given.status
        assert given.error in seen.error
    if not given.status:
        assert seen.said == given.said.text
    assert not seen.finish or seen.finish == "failed"


def _has_chat(body: dict[str, Any], asks: str) -> None:
    first, second = body["messages"]
    assert first["role"] in {"system", "developer"}
    assert "Be brief." in json.dumps(first)
    assert '"hi"' in json.dumps(second)
    assert body["stream_options"] == {"include_usage": True}
    if asks == "image":
        assert second["content"][1]["image_url"]["url"] == f"data:image/png;base64,{PIXEL}"
    elif asks == "tools":
        assert [tool["function"]["name"] for tool in body["tools"]] == ["weather", "time"]
        assert body["tools"][0]["function"]["parameters"] == SCHEMA
    elif asks == "schema":
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    elif asks == "thinking":
        assert body["reasoning_effort"] in {"low", "medium", "high"}


def _has_responses(body: dict[str, Any], asks: str) -> None:
    assert "Be brief." in json.dumps(body.get("instructions") or body["input"][0])
    assert "hi" in json.dumps(body["input"][-1])
    if asks == "image":
        assert body["input"][-1]["content"][1]["image_url"] == f"data:image/png;base64,{PIXEL}"
    elif asks == "tools":
        assert [(tool["type"], tool["name"]) for tool in body["tools"]] == [
            ("function", "weather"),
            ("function", "time"),
        ]
        assert body["tools"][0]["parameters"] == SCHEMA
    elif asks == "schema":
        assert body["text"]["format"]["schema"] == SCHEMA
    elif asks == "thinking":
        assert body["reasoning"]["effort"] in {"low", "medium", "high"}


def _has_messages(body: dict[str, Any], asks: str) -> None:
    assert "Be brief." in json.dumps(body["system"])
    assert body["max_tokens"] > 0
    (message,) = body["messages"]
    if asks == "image":
        source = message["content"][1]["source"]
        assert source == {"type": "base64", "media_type": "image/png", "data": PIXEL}
    elif asks == "tools":
        assert [tool["name"] for tool in body["tools"]] == ["weather", "time"]
        assert body["tools"][0]["input_schema"] == SCHEMA
    elif asks == "schema":
        assert body["output_config"]["format"]["schema"] == SCHEMA
    elif asks == "thinking":
        assert body["thinking"]["type"] in {"enabled", "adaptive"}


HAS = {CHAT: _has_chat, RESPONSES: _has_responses, MESSAGES: _has_messages}
