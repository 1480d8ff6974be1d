"""What a response goes on from: earlier items sent again, items by their names, a request's input as a list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses.response_item import ResponseItem
from pydantic import TypeAdapter
from tests.wire.asked import JSON, chats
from tests.wire.params import valid

from headrace.model.dialect import MESSAGES, RESPONSES
from headrace.wire.chat.reading import read
from headrace.wire.json_object import encode, parse
from headrace.wire.manner import PLAIN
from headrace.wire.responses.history import expanded, items_of, references, resolved, unsealed
from headrace.wire.responses.writing import write
from headrace.wire.seal import Seal

ITEM = TypeAdapter(ResponseItem)
HI = {"type": "message", "role": "user", "content": "hi"}
CITED = {"type": "file_path", "file_id": "file-1", "index": 0}
WELL = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "phase": "final_answer",
    "content": [
        {"type": "output_text", "text": "we", "annotations": [CITED], "logprobs": []},
        {"type": "output_text", "text": "ll", "annotations": []},
    ],
}
WELL_AGAIN = {"type": "message", "role": "assistant", "content": "well", "phase": "final_answer"}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"}
CALL_AGAIN = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "id": "fco_1", "call_id": "c1", "output": "42", "status": "completed"}
RESULT_AGAIN = {"type": "function_call_output", "call_id": "c1", "output": "42"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA", "status": None}
THOUGHT_AGAIN = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}


def _again(*output, given="and?", items=(HI,)):
    """What goes in front of a new input, and the input."""
    return expanded({"model": "m", "input": given}, items, output)["input"]


def test_a_new_request_goes_on_from_the_earlier_one():
    """Its input, its output, then what is new, without the name of the earlier response."""
    body = {"model": "m", "input": "and?", "previous_response_id": "resp_1", "instructions": "be kind", "x": 1}

    went_on = expanded(body, [HI], [WELL])

    assert went_on == {
        "model": "m",
        "input": [HI, WELL_AGAIN, {"type": "message", "role": "user", "content": "and?"}],
        "instructions": "be kind",
        "x": 1,
    }
    assert body["previous_response_id"] == "resp_1"


def test_earlier_instructions_are_not_gone_on_with():
    """Each request has its own."""
    assert "instructions" not in expanded({"input": "and?"}, [HI], [WELL])


def test_items_go_again_without_the_ids_that_no_upstream_knows():
    """And the new input as the client says it."""
    given = [{**RESULT, "x": 1}]

    assert _again(THOUGHT, CALL, given=given) == [HI, THOUGHT_AGAIN, CALL_AGAIN, *given]
    assert _again(given=[], items=[{**HI, "id": "msg_0", "status": "completed"}, CALL, RESULT]) == [
        HI,
        CALL_AGAIN,
        RESULT_AGAIN,
    ]


@pytest.mark.parametrize(
    ("items", "again"),
    [
        ([{**THOUGHT, "encrypted_content": None}, WELL], [WELL_AGAIN]),
        ([{"type": "reasoning", "id": "rs_1", "summary": []}, CALL], [CALL_AGAIN]),
        ([WELL, THOUGHT], [WELL_AGAIN]),
        ([THOUGHT, THOUGHT, CALL], [THOUGHT_AGAIN, THOUGHT_AGAIN, CALL_AGAIN]),
    ],
)
def test_reasoning_goes_again_where_it_is_sealed_and_led_to_something(items, again):
    """An upstream can find no other, and refuses one that stands alone."""
    assert _again(*items)[1:-1] == again


@pytest.mark.parametrize("kind", ["web_search_call", "file_search_call", "mcp_call", "image_generation_call"])
def test_what_hosted_tools_did_does_not_go_again(kind):
    """Their items are known by their ids alone."""
    assert _again({"type": kind, "id": "x_1", "status": "completed"}, WELL)[1:-1] == [WELL_AGAIN]


@pytest.mark.parametrize(
    ("item", "id"),
    [
        ({"type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "x"}, None),
        ({"type": "shell_call", "call_id": "c1", "action": {"commands": []}}, None),
        ({"type": "apply_patch_call", "call_id": "c1", "status": "completed", "operation": {}}, None),
        ({"type": "compaction", "encrypted_content": "x"}, None),
        ({"type": "x_call", "call_id": "c1"}, None),
        ({"type": "local_shell_call", "call_id": "c1", "status": "completed", "action": {}}, "x_1"),
        ({"type": "computer_call", "call_id": "c1", "status": "completed"}, "x_1"),
        ({"type": "mcp_approval_request", "name": "f", "arguments": "{}", "server_label": "s"}, "x_1"),
    ],
)
def test_calls_that_the_client_answers_go_again(item, id):
    """With their ids where their types want these."""
    again = {**item, "id": id} if id else item

    assert _again({**item, "id": "x_1"})[1:-1] == [again]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("well", "well"),
        ([{"type": "refusal", "refusal": "no"}], "no"),
        ([{"type": "output_text", "text": "half"}], "half"),
        ([], ""),
        (None, ""),
        ([{"type": "output_text"}, {"type": ["x"]}, 5], ""),
    ],
)
def test_what_a_model_said_goes_again_as_one_text(content, text):
    """Every server takes that; what is empty is refused by many."""
    kept = [{"type": "message", "role": "assistant", "content": text}] if text else []

    assert _again({"type": "message", "id": "msg_1", "role": "assistant", "content": content})[1:-1] == kept


@given(chats())
def test_a_history_of_histories_is_a_valid_request(body):
    """As long as it goes on; what was said first stays as it was."""
    first = write(read(body), PLAIN)
    asked = {"input": first["input"]}

    for _ in range(3):
        asked = valid(expanded({"input": "and?"}, items_of(asked), [THOUGHT, CALL]), RESPONSES)

    assert asked["input"][: len(first["input"])] == first["input"]


INPUTS = [
    "hi",
    [{"role": "user", "content": "hi"}, {"role": "developer", "content": "be kind"}],
    [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}, {"type": "input_text", "text": "hi"}]}],
    [{"role": "assistant", "content": "well"}, {k: v for k, v in WELL.items() if k != "id"}],
    [{k: v for k, v in each.items() if k not in {"id", "status"}} for each in (THOUGHT, CALL, RESULT)],
    [{**RESULT_AGAIN, "output": [{"type": "input_image", "image_url": "x", "detail": None}]}],
    [{"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"}],
    [{"type": "custom_tool_call_output", "call_id": "c", "output": "x"}],
]


@pytest.mark.parametrize("given", INPUTS)
def test_an_input_is_listed_as_items_with_ids(given):
    """All of a kind that OpenAI's own type knows."""
    body = {"model": "m", "input": given}

    items = items_of(body)

    for item in items:
        ITEM.validate_python(item)
    assert len({item["id"] for item in items}) == len(items)
    assert items_of(parse(encode(body))) == items


def test_ids_that_clients_give_stay_and_no_two_are_the_same():
    """A list is paged by them."""
    items = items_of({"input": [{**HI, "id": "msg_1"}, {**HI, "id": "msg_1"}, HI, HI, {**HI, "id": ""}]})

    assert items[0]["id"] == "msg_1"
    assert len({item["id"] for item in items}) == 5
    assert all(item["id"].startswith("msg_") for item in items)


def test_a_request_without_input_has_no_items():
    """It went on from elsewhere."""
    assert items_of({"model": "m"}) == []


def test_references_are_named_and_resolved():
    """What is found stands where it was named; what is not stays a reference for the upstream to find."""
    body = {"model": "m", "input": [HI, {"type": "item_reference", "id": "msg_1"}, {"id": "fc_1"}, {"id": "rs_9"}]}

    assert references(body) == ["msg_1", "fc_1", "rs_9"]
    assert resolved(body, {"msg_1": WELL, "fc_1": CALL})["input"] == [HI, WELL_AGAIN, CALL_AGAIN, {"id": "rs_9"}]
    assert references({"input": "hi"}) == []


def test_a_reference_to_reasoning_that_cannot_go_again_is_left_out():
    """It is found, and of no use to an upstream."""
    body = {"input": [{"id": "rs_1"}, {"id": "msg_1"}]}

    assert resolved(body, {"rs_1": {**THOUGHT, "encrypted_content": None}, "msg_1": WELL})["input"] == [WELL_AGAIN]


def test_reasoning_that_others_sealed_does_not_reach_this_dialects_upstream():
    """It would refuse the request; the rest of the body stays as it is."""
    foreign = {**THOUGHT, "encrypted_content": str(Seal(MESSAGES, "sig"))}
    body = {"model": "m", "input": [HI, foreign, THOUGHT, WELL], "x": 1}

    assert unsealed(body) == {"model": "m", "input": [HI, THOUGHT, WELL], "x": 1}


@pytest.mark.parametrize("given", ["hi", [THOUGHT, WELL], [HI, {**THOUGHT, "encrypted_content": 5}], None])
def test_a_body_without_foreign_reasoning_stays_as_it_is(given):
    """Verbatim, to the last byte."""
    body = {"input": given}

    assert unsealed(body) is body


@given(JSON | st.lists(JSON | st.dictionaries(st.sampled_from(["type", "id", "role", "content", "output"]), JSON)))
def test_whatever_is_in_an_input_nothing_breaks(given):
    """Neither a client's nor what an upstream made of it."""
    body = {"model": "m", "input": given}

    items = items_of(body)

    expanded(body, items, items)
    resolved(body, dict.fromkeys(references(body), HI))
    unsealed(body)
