"""Which Messages requests are read, and which are refused with the field's name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import RequestError
from headrace.wire.messages.request import parse_count, parse_request

GOOD = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def body(**fields):
    """A good request with some fields changed; an ellipsis leaves one out."""
    return json.dumps({name: value for name, value in {**GOOD, **fields}.items() if value is not ...}).encode()


def test_a_request_survives_whole():
    """Unknown fields, blocks and nulls pass on as they are."""
    fields = {
        "x": {"y": [1.5, None]},
        "stop_sequences": ["a"],
        "stream": True,
        "temperature": 0,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "thinking": None,
        "max_tokens": 0,
    }

    request = parse_request(body(**fields))

    assert (request.dialect, request.model, request.stream) == ("anthropic.messages", "m", True)
    assert request.body == {**GOOD, **fields}
    assert not parse_request(body()).stream


def test_a_count_needs_no_limit():
    """It makes no answer; everything else must be right."""
    assert parse_count(body(max_tokens=...)).model == "m"
    with pytest.raises(RequestError):
        parse_count(body(messages=...))


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("model", {"model": ...}),
        ("model", {"model": ""}),
        ("model", {"model": 7}),
        ("messages", {"messages": ...}),
        ("messages", {"messages": []}),
        ("messages", {"messages": "hi"}),
        ("messages[0]", {"messages": ["hi"]}),
        ("messages[1].role", {"messages": [*GOOD["messages"], {"content": "x"}]}),
        ("messages[0].role", {"messages": [{"role": "", "content": "x"}]}),
        ("messages[0].content", {"messages": [{"role": "user", "content": 5}]}),
        ("messages[0].content", {"messages": [{"role": "user", "content": None}]}),
        ("max_tokens", {"max_tokens": ...}),
        ("max_tokens", {"max_tokens": None}),
        ("max_tokens", {"max_tokens": "5"}),
        ("max_tokens", {"max_tokens": True}),
        ("max_tokens", {"max_tokens": -1}),
        ("max_tokens", {"max_tokens": 1.5}),
        ("max_tokens", {"max_tokens": 1 << 31}),
        ("stream", {"stream": "yes"}),
        ("stream", {"stream": 1}),
        ("system", {"system": {"text": "s"}}),
        ("tools", {"tools": {}}),
        ("tool_choice", {"tool_choice": "auto"}),
        ("temperature", {"temperature": "hot"}),
        ("temperature", {"temperature": True}),
        ("top_p", {"top_p": []}),
        ("top_k", {"top_k": "5"}),
        ("stop_sequences", {"stop_sequences": "a"}),
        ("stop_sequences", {"stop_sequences": ["a", 5]}),
        ("thinking", {"thinking": True}),
        ("metadata", {"metadata": []}),
    ],
)
def test_a_wrong_field_is_named(param, fields):
    """In the message for people, in ``param`` for programs."""
    with pytest.raises(RequestError) as raised:
        parse_request(body(**fields))

    assert (raised.value.param, raised.value.status) == (param, 400)
    assert f"'{param}'" in raised.value.message


@given(
    st.dictionaries(
        st.sampled_from(["model", "messages", "stream", "max_tokens", "system", "stop_sequences", "x"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.lists(st.text() | st.dictionaries(st.sampled_from(["role", "content"]), st.text() | st.integers()))
        | st.dictionaries(st.text(), st.text()),
    )
)
def test_any_object_is_a_request_or_a_request_error(value):
    """No other exception, whatever the fields hold."""
    try:
        request = parse_request(json.dumps(value).encode())
    except RequestError:
        return
    assert request.model
    assert request.body["messages"]
