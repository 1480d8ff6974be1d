"""Which Responses requests are read, and which are refused with the field's name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.asked import JSON

from headrace.errors import RequestError
from headrace.wire.responses.envelope import Envelope
from headrace.wire.responses.request import echo_of, parse_request

GOOD = {"model": "m", "input": "hi"}


def parse(**fields):
    """A good request with some fields changed; ``...`` leaves one out."""
    return parse_request(json.dumps({k: v for k, v in {**GOOD, **fields}.items() if v is not ...}).encode())


def test_a_request_survives_whole():
    """Unknown fields, tools, items and nulls pass on as they are."""
    fields = {
        "x": {"y": [1.5, None]},
        "input": [{"type": "x_call"}, {"role": "user", "content": "hi"}],
        "tools": [{"type": "x"}],
        "instructions": None,
        "stream": True,
        "temperature": 0,
    }

    request = parse(**fields)

    assert (request.dialect, request.model, request.stream) == ("openai.responses", "m", True)
    assert request.body == {**GOOD, **fields}
    assert not parse().stream


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt"])
def test_what_goes_on_from_elsewhere_needs_no_input(name):
    """The input is in there."""
    value = {"id": "pmpt_1"} if name == "prompt" else "x_1"

    assert parse(input=..., **{name: value}).body == {"model": "m", name: value}


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("model", {"model": ...}),
        ("model", {"model": 7}),
        ("input", {"input": ...}),
        ("input", {"input": None}),
        ("input", {"input": 5}),
        ("input", {"input": {}}),
        ("input[1]", {"input": [{"role": "user", "content": "hi"}, "hi"]}),
        ("stream", {"stream": "yes"}),
        ("background", {"background": 1}),
        ("store", {"store": "no"}),
        ("previous_response_id", {"previous_response_id": 5}),
        ("previous_response_id", {"previous_response_id": "resp_1", "conversation": "conv_1"}),
        ("instructions", {"instructions": ["be kind"]}),
        ("include", {"include": "reasoning.encrypted_content"}),
        ("include", {"include": [1]}),
        ("tools", {"tools": {}}),
        ("tool_choice", {"tool_choice": 5}),
        ("parallel_tool_calls", {"parallel_tool_calls": "no"}),
        ("text", {"text": "json"}),
        ("reasoning", {"reasoning": "high"}),
        ("max_output_tokens", {"max_output_tokens": 0}),
        ("temperature", {"temperature": True}),
        ("top_p", {"top_p": "1"}),
        ("metadata", {"metadata": []}),
        ("user", {"user": 5}),
    ],
)
def test_a_wrong_field_is_named(param, fields):
    """In the message for people, in ``param`` for programs."""
    with pytest.raises(RequestError) as raised:
        parse(**fields)

    assert (raised.value.param, raised.value.status) == (param, 400)
    assert f"'{param}'" in raised.value.message


def test_a_response_says_again_what_its_request_said():
    """Not the input, nor what a client left open, nor what nobody knows."""
    asked = {"instructions": "be kind", "tools": [], "temperature": 0, "store": False, "include": ["a"], "top_p": None}

    assert echo_of({**GOOD, **asked, "x": 1, "stream": True}) == {k: v for k, v in asked.items() if v is not None}


@pytest.mark.parametrize(
    "name", ["metadata", "reasoning", "text", "truncation", "user", "service_tier", "top_logprobs"]
)
def test_an_echo_holds_what_the_response_object_says(name):
    """The two know the same fields."""
    said = object()

    assert Envelope("resp_1", echo=echo_of({name: said})).response([])[name] is said


@given(st.dictionaries(st.sampled_from(["model", "input", "stream", "tools", "include", "prompt", "x"]), JSON))
def test_any_object_is_a_request_or_a_request_error(value):
    """No other exception, whatever the fields hold."""
    try:
        request = parse_request(json.dumps(value).encode())
    except RequestError:
        return
    assert request.model
