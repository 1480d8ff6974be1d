"""The AI SDK's chat against a real server: what a user of the page sees who reloads, loses the network, or stops."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.fault_cases import TOOLS
from tests.e2e.node_process import play
from tests.e2e.scripted import UpstreamThread, model_of, soon
from tests.e2e.sdk_house import CALLS, House
from tests.e2e.server import HeadraceServer, upstream_toml

from headrace.model.dialect import MESSAGES
from headrace.model.events import Event, Finished, Reasoning, Refusal, Text, ToolCall
from headrace.model.outcome import Outcome, State, Usage
from headrace.testing.scripted_upstream import Fin, Received, Script, Stall, answer, head, sse
from headrace.wire.seal import Seal
from headrace.wire.ui.encoder import Encoder

pytestmark = [pytest.mark.slow, pytest.mark.node]

ODD_CHAT = "a/b ü?#%2e'"
CASES: list[dict[str, Any]] = [
    {"use": "send", "model": "up/good", "chat": ODD_CHAT},
    {"use": "reload", "model": "up/waits-reload", "chat": "reload/ü"},
    {"use": "lost", "model": "up/waits-lost", "chat": "lost"},
    {"use": "stop", "model": "up/stalls", "chat": "stop"},
    {"use": "cut", "model": "up/cut", "chat": "cut"},
    {"use": "busy", "model": "up/waits-busy", "chat": "busy"},
    {"use": "unknown", "chat": "unknown"},
    {"use": "tools", "model": "up/tools", "chat": "tools"},
    {"use": "refused", "chat": "refused", "body": {"model": "none"}},
]

ANSWERS: list[list[Event]] = [
    [],
    [Text(text="a"), Refusal(text="b"), Reasoning(text="c"), Reasoning(signature=str(Seal(MESSAGES, "s")))],
    [
        ToolCall(call=0, id="c", name="f", arguments='{"a": 123456789012345678901234567890, "b": [null, "ü"]}'),
        ToolCall(call=1, name="g", arguments="no JSON"),
        ToolCall(call=2),
        ToolCall(call=3, id="d", name="h", arguments='{"__proto__": {}}'),
        Finished(reason="tool_calls"),
    ],
    *([Finished(reason=reason)] for reason in ("stop", "length", "content_filter", "refusal", "unheard of")),
]


def script_of(request: Received, released: Any) -> Script:
    model, body = model_of(request), request.json()
    assert isinstance(body, dict)
    if model == "tools":
        done = body["messages"][-1]["role"] == "tool"
        return [answer("Done.")] if done else TOOLS.script or ()
    begun = [head(), sse("One ")]
    if model.startswith("waits"):
        return [*begun, released(model), sse("two ", "three", finish_reason="stop", usage=(3, 4), done=True)]
    match model:
        case "stalls":
            return [*begun, Stall()]
        case "cut":
            return [*begun, Fin()]
    return [*begun, sse("two", finish_reason="stop", done=True)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with UpstreamThread(script_of) as upstream:
        toml = upstream_toml(f"{upstream.url}/v1") + "[deadlines]\nfirst = 5\nidle = 15\n"
        with HeadraceServer(tmp_path_factory.mktemp("house"), toml, workers=2) as server:
            yield House(server, upstream)


@pytest.fixture(scope="module")
def told(house: House) -> dict[str, Any]:
    """What came of each use."""
    frames = {"use": "schema", "frames": list(all_frames())}
    results = play("ui.mjs", [*CASES, frames], timeout=18, url=house.server.url, upstream=house.upstream.url)
    return {case["use"]: result for case, result in zip([*CASES, frames], results, strict=True)}


def all_frames() -> Iterator[Any]:
    """Every kind of frame that there is."""
    ends = [
        Outcome(state=state, reason="x", ended_at=0.0, usage=Usage(input=1, output=2, exact=False))
        for state in State
        if state is not State.OPEN
    ]
    for events in ANSWERS:
        for end in ends:
            encoder = Encoder("st_x", "m")
            records = [*encoder.start(), *(frame for event in events for frame in encoder.encode(event))]
            yield from (json.loads(r.data) for r in [*records, *encoder.end(end)] if r.data != b"[DONE]")


def test_a_message_is_answered_with_model_usage_and_an_id_of_its_own(told: dict[str, Any]) -> None:
    """Whatever the chat's id has in it."""
    seen = told["send"]
    assert (seen["status"], seen["text"], seen["error"], seen["own"]) == ("ready", "One two", None, True)
    assert seen["metadata"]["model"] == "good"
    assert [part["type"] for part in seen["parts"]] == ["step-start", "text"]
    assert seen["parts"][1]["state"] == "done"


def test_a_reload_in_the_middle_finds_the_answer_as_often_as_one_likes(house: House, told: dict[str, Any]) -> None:
    """The page that left has what it had; those that came have all of it, once; the model was asked once."""
    seen = told["reload"]
    assert [(seen[page]["text"], seen[page]["messages"]) for page in ("left", "second", "third", "late")] == [
        ("One ", 2),
        ("One ", 2),
        ("One two three", 2),
        ("One two three", 2),
    ]
    assert (seen["third"]["status"], seen["late"]["status"], seen["same"]) == ("ready", "ready", True)
    assert len(house.upstream.asked_for("waits-reload")) == 1


def test_a_lost_network_is_found_again(house: House, told: dict[str, Any]) -> None:
    lost, found = told["lost"]["lost"], told["lost"]["found"]
    assert (lost["status"], lost["text"]) == ("error", "One ")
    assert (found["status"], found["text"], found["messages"], found["error"]) == ("ready", "One two three", 2, None)
    assert len(house.upstream.asked_for("waits-lost")) == 1


def test_stop_ends_the_upstreams_call_and_all_pages_see_it(house: House, told: dict[str, Any]) -> None:
    """By the message's id; a stop that means another answer stops nothing."""
    seen = told["stop"]
    assert seen["other"] == [409, "This chat has another answer by now."]
    assert seen["replies"] == [
        [200, {"cancelled": True, "state": "cancelled"}],
        [200, {"cancelled": False, "state": "cancelled", "reason": "already cancelled"}],
    ]
    for page in (seen["page"], seen["watcher"]):
        assert (page["status"], page["text"], page["error"]) == ("ready", "One ", None)
        assert page["last"] == {"type": "abort", "reason": "The answer was stopped before it was complete."}
    [asked] = house.upstream.asked_for("stalls")
    connection = house.upstream.server.connections[asked.connection]
    assert soon(lambda: connection.left)


def test_a_failure_in_the_middle_is_an_error_with_our_words(told: dict[str, Any]) -> None:
    """Whoever comes later sees the same."""
    for page in told["cut"].values():
        assert (page["status"], page["text"]) == ("error", "One ")
        assert page["error"] == "The model provider's answer stopped before its end."


def test_a_chat_that_is_being_answered_takes_no_other_message(told: dict[str, Any]) -> None:
    """The user reads why; the answer goes on, and after its end the chat takes the next."""
    seen = told["busy"]
    assert (seen["other"]["status"], seen["other"]["text"]) == ("error", "hi")
    assert seen["other"]["error"] == "This chat is being answered; stop that, or wait for its end."
    assert (seen["page"]["status"], seen["page"]["text"]) == ("ready", "One two three")
    assert (seen["next"]["status"], seen["next"]["text"]) == ("ready", "One two three")


def test_a_new_chat_has_nothing_to_resume(told: dict[str, Any]) -> None:
    seen = told["unknown"]
    assert (seen["status"], seen["messages"], seen["error"], seen["last"]) == ("ready", 0, None, None)
    assert seen["stop"] == [200, {"cancelled": False}]


def test_tool_calls_are_run_by_the_page_and_the_answer_goes_on(house: House, told: dict[str, Any]) -> None:
    """In the same message; the model is asked with its calls and their results, once each."""
    seen = told["tools"]
    calls = [(id, name, json.loads(arguments)) for id, name, arguments in CALLS]
    assert [(id, name, given) for id, name, given in seen["called"]] == calls
    assert (seen["status"], seen["messages"], seen["text"]) == ("ready", 2, "Done.")
    assert [(part["type"], part.get("state")) for part in seen["parts"]] == [
        ("step-start", None),
        ("tool-f", "output-available"),
        ("tool-g", "output-available"),
        ("step-start", None),
        ("text", "done"),
    ]
    first, second = house.upstream.asked_for("tools")
    assert [tool["function"]["name"] for tool in _asked(first)["tools"]] == ["f", "g"]
    said = _asked(second)["messages"]
    assert [message["role"] for message in said] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in said[1]["tool_calls"]] == ["call_0", "call_1"]
    assert [json.loads(message["content"]) for message in said[2:]] == [{"of": "f"}, {"of": "g"}]


def _asked(request: Received) -> dict[str, Any]:
    body = request.json()
    assert isinstance(body, dict)
    return body


def test_a_refusal_is_read_by_the_user_as_a_sentence(told: dict[str, Any]) -> None:
    seen = told["refused"]
    assert seen["status"] == "error"
    assert "none" in seen["error"]
    assert not seen["error"].startswith("{")


def test_every_frame_is_one_of_the_sdks_schema(told: dict[str, Any]) -> None:
    assert told["schema"] == []
    kinds = {frame["type"] for frame in all_frames()}
    assert len(kinds) == 16
