"""What the AI SDK's client reads; tests/e2e/test_ui_chat.py holds all of it to the SDK's own schema."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.model.dialect import MESSAGES
from headrace.model.events import Extra, Finished, Reasoning, Refusal, Started, Text, ToolCall, Used
from headrace.model.outcome import Outcome, State, Usage
from headrace.wire.seal import Seal
from headrace.wire.ui.encoder import Encoder

USAGE = Usage(input=3, output=2, cached=1, reasoning=1)
COUNTS = {
    "inputTokens": 3,
    "outputTokens": 2,
    "totalTokens": 5,
    "inputTokenDetails": {"cacheReadTokens": 1},
    "outputTokenDetails": {"reasoningTokens": 1},
}


def outcome(state=State.COMPLETED, reason="stop", **fields):
    return Outcome(state=state, reason=reason, ended_at=100.0, **fields)


def frames(records):
    """The frames as the client has them after its parser."""
    assert not any(record.event for record in records)
    return ["[DONE]" if record.data == b"[DONE]" else json.loads(record.data) for record in records]


def said(*events):
    """The frames of some events, between start and end."""
    encoder = Encoder("st_x", "m")
    step, *rest = frames([record for event in events for record in encoder.encode(event)])
    assert step == {"type": "start-step"}
    return rest


def told(state, *events, **fields):
    """The frames of an end."""
    encoder = Encoder("st_x", "m")
    begun = [record for event in events for record in encoder.encode(event)]
    found = frames(encoder.end(outcome(state, **fields)))
    if state is not State.COMPLETED or begun:
        return found
    assert found[0] == {"type": "start-step"}
    return found[1:]


def test_a_message_begins_at_once_under_the_id_of_its_stream():
    assert frames(Encoder("st_x", "m").start()) == [
        {"type": "start", "messageId": "st_x", "messageMetadata": {"stream": "st_x", "model": "m"}},
    ]


def test_a_continued_message_keeps_its_id():
    [start] = frames(Encoder("st_x", "m", message="msg-1").start())
    assert (start["messageId"], start["messageMetadata"]["stream"]) == ("msg-1", "st_x")


def test_text_reasoning_and_a_refusal_are_parts_of_their_own():
    """A seal stands at the end of what it is over."""
    seal = str(Seal(MESSAGES, "sig"))
    assert said(
        Started(id="chatcmpl-1", model="m"),
        Reasoning(text="hm"),
        Reasoning(signature=seal),
        Text(text="a"),
        Text(text="ü"),
        Refusal(text="no"),
        Text(text="other", choice=1),
        Extra(dialect="openai.chat", payload={}),
        Finished(reason="stop"),
    ) == [
        {"type": "reasoning-start", "id": "t0"},
        {"type": "reasoning-delta", "id": "t0", "delta": "hm"},
        {"type": "reasoning-end", "id": "t0", "providerMetadata": {"headrace": {"seal": seal}}},
        {"type": "text-start", "id": "t1"},
        {"type": "text-delta", "id": "t1", "delta": "a"},
        {"type": "text-delta", "id": "t1", "delta": "ü"},
        {"type": "text-end", "id": "t1"},
        {"type": "text-start", "id": "t2"},
        {"type": "text-delta", "id": "t2", "delta": "no"},
        {"type": "text-end", "id": "t2"},
    ]


def test_reasoning_that_nobody_may_see_is_a_part_without_text():
    seal = str(Seal(MESSAGES, "data", hidden=True))
    assert [frame["type"] for frame in said(Reasoning(signature=seal))] == ["reasoning-start", "reasoning-end"]


def test_a_tool_call_grows_and_is_complete():
    """The input is what the model wrote, numbers too big for a float too."""
    encoder = Encoder("st_x", "m")
    call = [
        ToolCall(call=0, id="call_0", name="f", arguments='{"a": "\\ud83d'),
        ToolCall(call=0, arguments='\\udc4b",\r\n"n": 123456789012345678901234567890}'),
        Finished(reason="tool_calls"),
    ]
    records = [record for event in call for record in encoder.encode(event)][1:]
    assert frames(records) == [
        {"type": "tool-input-start", "toolCallId": "call_0", "toolName": "f"},
        {"type": "tool-input-delta", "toolCallId": "call_0", "inputTextDelta": '{"a": "\\ud83d'},
        {
            "type": "tool-input-delta",
            "toolCallId": "call_0",
            "inputTextDelta": '\\udc4b",\r\n"n": 123456789012345678901234567890}',
        },
        {
            "type": "tool-input-available",
            "toolCallId": "call_0",
            "toolName": "f",
            "input": {"a": "👋", "n": 123456789012345678901234567890},
        },
    ]
    assert not any(b"\n" in record.data or b"\r" in record.data for record in records)


@pytest.mark.parametrize(
    "arguments",
    [
        '{"a": ',
        "no",
        "[1]",
        "null",
        '"text"',
        '{"a": NaN}',
        '{"a":' * 100 + "1" + "}" * 100,
        # What the SDK's parser takes for an attack; it would end the whole answer.
        '{"__proto__": {"a": 1}}',
        '{"a": [{"b": {"__proto__": 1}}]}',
        r'{"\u005f_proto__": 1}',
        '{"constructor": {"prototype": {}}}',
    ],
)
def test_arguments_that_the_client_could_not_take_are_shown_as_their_text(arguments):
    *_, last = said(ToolCall(call=0, id="c", name="f", arguments=arguments), Finished(reason="tool_calls"))
    assert (last["type"], last["toolCallId"], last["toolName"]) == ("tool-input-error", "c", "f")
    assert last["input"] == arguments
    assert last["errorText"]


def test_keys_that_only_look_like_an_attack_are_let_through():
    *_, last = said(ToolCall(call=0, id="c", name="f", arguments='{"constructor": "x", "a": "__proto__"}'))
    assert last["type"] == "tool-input-delta"
    *_, last = said(ToolCall(call=0, id="c", name="f", arguments='{"constructor": "x"}'), Finished(reason="stop"))
    assert last["type"] == "tool-input-available"


def test_a_call_without_arguments_has_an_empty_object():
    assert said(ToolCall(call=0, id="c", name="f"), Finished(reason="tool_calls"))[1:] == [
        {"type": "tool-input-delta", "toolCallId": "c", "inputTextDelta": "{}"},
        {"type": "tool-input-available", "toolCallId": "c", "toolName": "f", "input": {}},
    ]


@pytest.mark.parametrize("id", ["", "same"])
def test_calls_have_ids_of_their_own_whatever_the_server_says(id):
    """The client tells them apart by these alone."""
    calls = said(
        ToolCall(call=0, id=id, name="f", arguments="{}"),
        ToolCall(call=1, id=id, name="g", arguments="{}"),
        Finished(reason="tool_calls"),
    )
    ids = [(frame["toolCallId"], frame["toolName"]) for frame in calls if frame["type"] == "tool-input-available"]
    assert [name for _, name in ids] == ["f", "g"]
    assert len({id for id, _ in ids}) == 2
    assert all(id for id, _ in ids)


def test_parallel_calls_come_one_after_the_other():
    """A part that has begun is complete before the next begins, even where the server mixes them."""
    calls = said(
        ToolCall(call=0, id="a", name="f", arguments="{"),
        ToolCall(call=1, id="b", name="g", arguments="{"),
        ToolCall(call=0, arguments="}"),
        ToolCall(call=1, arguments="}"),
        Finished(reason="tool_calls"),
    )
    assert [(frame["type"].removeprefix("tool-input-"), frame["toolCallId"]) for frame in calls] == [
        *(("start", "a"), ("delta", "a"), ("delta", "a"), ("available", "a")),
        *(("start", "b"), ("delta", "b"), ("delta", "b"), ("available", "b")),
    ]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool-calls"),
        ("content_filter", "content-filter"),
        ("refusal", "content-filter"),
        ("pause_turn", "other"),
    ],
)
def test_a_completed_answer_is_finished(reason, shown):
    """The reason is that of the events, else the outcome's; usage is the outcome's, else that of the events."""
    finish = {"type": "finish", "finishReason": shown, "messageMetadata": {"usage": COUNTS}}
    expected = [{"type": "finish-step"}, finish, "[DONE]"]
    assert told(State.COMPLETED, Finished(reason=reason), usage=USAGE) == expected
    assert told(State.COMPLETED, Used(usage=USAGE), reason=reason) == expected


def test_usage_that_nobody_knows_is_not_told_and_an_estimate_says_so():
    assert "messageMetadata" not in told(State.COMPLETED)[1]
    guessed = told(State.COMPLETED, usage=Usage(input=1, output=1, exact=False))[1]
    assert guessed["messageMetadata"]["usage"]["estimated"] is True


def test_what_is_open_at_the_end_of_a_completed_answer_is_closed():
    assert [frame["type"] for frame in told(State.COMPLETED, Text(text="a"))[:-1]] == [
        "text-end",
        "finish-step",
        "finish",
    ]


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        (State.FAILED, "upstream_truncated", {"errorText": "The model provider's answer stopped before its end."}),
        (State.FAILED, "no such", {"errorText": "The answer failed for a reason that is not known."}),
        (State.INTERRUPTED, "x", {"errorText": "The server stopped before the answer was complete."}),
        (State.CANCELLED, "cancelled", {"reason": "The answer was stopped before it was complete."}),
        (State.CANCELLED, "abandoned", {"reason": "The answer was stopped because nobody was reading it any more."}),
    ],
)
def test_any_other_end_is_told_as_what_it_is_and_nothing_is_finished(state, reason, expected):
    kind = "abort" if state is State.CANCELLED else "error"
    assert told(state, Text(text="a"), Finished(reason="stop"), reason=reason) == [{"type": kind, **expected}]


texts = st.text(max_size=5)
events = st.one_of(
    st.builds(Text, text=texts, choice=st.integers(0, 1)),
    st.builds(Reasoning, text=texts, signature=st.sampled_from(["", "hr1:ui:::x"])),
    st.builds(Refusal, text=texts),
    st.builds(
        ToolCall, call=st.integers(0, 2), id=texts, name=texts, arguments=st.sampled_from(["", "{", "}", "{}", '"a":1'])
    ),
    st.builds(Finished, reason=texts, choice=st.integers(0, 1)),
    st.builds(Used, usage=st.just(USAGE)),
)


@given(st.lists(events, max_size=20))
def test_a_part_grows_only_between_its_own_start_and_end(given_events):
    """Whatever order the events come in; the client gives up where that does not hold."""
    encoder = Encoder("st_x", "m")
    records = [*encoder.start(), *(record for event in given_events for record in encoder.encode(event))]
    open_parts, seen, text = set(), set(), ""
    for frame in frames([*records, *encoder.end(outcome())])[:-1]:
        kind, id = frame["type"], frame.get("id") or frame.get("toolCallId")
        if kind == "start-step":
            assert not seen
            seen.add("step")
        elif kind.endswith("-start"):
            assert id not in seen
            open_parts.add(id)
            seen.add(id)
        elif kind.endswith("-delta"):
            assert "step" in seen
            assert id in open_parts
            text += frame["delta"] if kind == "text-delta" else ""
        elif kind.endswith(("-end", "-available", "-error")):
            open_parts.remove(id)
    assert not open_parts
    words = [e for e in given_events if isinstance(e, Text | Refusal) and not e.choice]
    assert sorted(text) == sorted("".join(event.text for event in words))
