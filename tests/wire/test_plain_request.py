"""What the simple faces accept, as JSON and as a query."""

import json

import pytest

from headrace.errors import RequestError
from headrace.wire.plain_request import SimpleRequest, parse_query, parse_simple

USER = {"role": "user", "content": "hi"}


def parse(**fields):
    """A JSON body's request."""
    return parse_simple(json.dumps(fields).encode())


def test_a_message_is_enough():
    """Nothing is invented for the model."""
    assert parse(message="hi") == SimpleRequest(body={"messages": [USER]})
    assert parse_query({"message": "hi"}) == SimpleRequest(body={"messages": [USER]})


def test_every_field():
    """Known fields go where they belong, others are left out."""
    request = parse(
        messages=[USER],
        model="m",
        stream=False,
        max_tokens=5,
        temperature=0.5,
        stop=["x"],
        system="s",
        conversation="c",
        y=1,
    )

    messages = [{"role": "system", "content": "s"}, USER]
    assert request == SimpleRequest(
        body={"messages": messages, "max_tokens": 5, "temperature": 0.5, "stop": ["x"]},
        model="m",
        stream=False,
        conversation="c",
        history=True,
    )
    assert parse(message="hi", messages=None, stop=None, model=None).body == {"messages": [USER]}


def test_every_field_of_a_query():
    """The same, read from text; what is empty is absent."""
    query = {"message": "hi", "model": "m", "stream": "0", "max_tokens": "5", "temperature": "0.5", "stop": "x"}

    assert parse_query({**query, "system": "s", "conversation": "", "cache": "1"}) == SimpleRequest(
        body={"messages": [{"role": "system", "content": "s"}, USER], "max_tokens": 5, "temperature": 0.5, "stop": "x"},
        model="m",
        stream=False,
    )
    assert parse_query({"messages": json.dumps([USER])}) == SimpleRequest(body={"messages": [USER]}, history=True)


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("message", {}),
        ("message", {"message": ""}),
        ("message", {"message": " \n"}),
        ("message", {"message": 5}),
        ("message", {"message": "hi", "messages": [USER]}),
        ("messages", {"messages": []}),
        ("messages", {"messages": "hi"}),
        ("messages[0]", {"messages": [5]}),
        ("messages[0].role", {"messages": [{"content": "hi"}]}),
        ("model", {"message": "hi", "model": 5}),
        ("system", {"message": "hi", "system": 5}),
        ("conversation", {"message": "hi", "conversation": []}),
        ("stream", {"message": "hi", "stream": "no"}),
        ("max_tokens", {"message": "hi", "max_tokens": "5"}),
        ("temperature", {"message": "hi", "temperature": "hot"}),
        ("stop", {"message": "hi", "stop": 5}),
    ],
)
def test_a_wrong_field_is_named(param, fields):
    """A 400 that says which."""
    with pytest.raises(RequestError) as raised:
        parse(**fields)

    assert (raised.value.param, raised.value.status) == (param, 400)
    assert f"'{param}'" in raised.value.message


@pytest.mark.parametrize(
    ("param", "query"),
    [
        ("message", {}),
        ("message", {"message": ""}),
        ("max_tokens", {"message": "hi", "max_tokens": "-1"}),
        ("max_tokens", {"message": "hi", "max_tokens": "٣"}),
        ("max_tokens", {"message": "hi", "max_tokens": "9" * 5000}),
        ("max_tokens", {"message": "hi", "max_tokens": "0"}),
        ("temperature", {"message": "hi", "temperature": "nan"}),
        ("stream", {"message": "hi", "stream": "maybe"}),
        ("messages", {"messages": "["}),
        ("messages", {"messages": "\ud800"}),
    ],
)
def test_a_wrong_parameter_is_named(param, query):
    """The same for a query."""
    with pytest.raises(RequestError) as raised:
        parse_query(query)

    assert raised.value.param == param


def test_a_message_that_is_no_unicode_is_refused():
    """Half a surrogate pair in JSON is a 400, not a crash."""
    with pytest.raises(RequestError):
        parse_simple(b'{"message":"\\ud800"}')
