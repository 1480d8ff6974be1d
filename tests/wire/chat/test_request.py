"""Which chat requests are read, and which are refused with the field's name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import RequestError
from headrace.wire.chat.request import parse_request

GOOD = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def parse(**fields):
    """A good request with some fields changed; None leaves one out."""
    return parse_request(json.dumps({k: v for k, v in {**GOOD, **fields}.items() if v is not ...}).encode())


def test_a_request_survives_whole():
    """Unknown fields, parts and nulls pass on as they are."""
    fields = {"x": {"y": [1.5, None]}, "stop": None, "n": 2, "stream": True, "temperature": 0, "seed": -1}

    request = parse(**fields)

    assert (request.dialect, request.model, request.stream) == ("openai.chat", "m", True)
    assert request.body == {**GOOD, **fields}
    assert not parse().stream


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
        ("messages[0].content", {"messages": [{"role": "user", "content": 5}]}),
        ("stream", {"stream": "yes"}),
        ("stream", {"stream": 1}),
        ("stream_options", {"stream_options": True}),
        ("stream_options.include_usage", {"stream_options": {"include_usage": "yes"}}),
        ("n", {"n": 0}),
        ("n", {"n": True}),
        ("max_tokens", {"max_tokens": "5"}),
        ("max_tokens", {"max_tokens": 1.5}),
        ("max_completion_tokens", {"max_completion_tokens": -1}),
        ("temperature", {"temperature": "hot"}),
        ("temperature", {"temperature": True}),
        ("top_p", {"top_p": []}),
        ("stop", {"stop": 5}),
        ("stop", {"stop": ["a", 5]}),
        ("tools", {"tools": {}}),
        ("metadata", {"metadata": []}),
    ],
)
def test_a_wrong_field_is_named(param, fields):
    """In the message for people, in ``param`` for programs."""
    with pytest.raises(RequestError) as raised:
        parse(**fields)

    assert (raised.value.param, raised.value.status) == (param, 400)
    assert f"'{param}'" in raised.value.message


@given(
    st.dictionaries(
        st.sampled_from(["model", "messages", "stream", "stream_options", "n", "stop", "x"]),
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
