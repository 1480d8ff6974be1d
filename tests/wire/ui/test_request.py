"""What a page sends: the chat, the model, and which message goes on."""

import json

import pytest

from headrace.errors import RequestError
from headrace.wire.ui.request import parse_request, parse_stop

USER = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
MODEL = {"id": "a1", "role": "assistant", "parts": []}
SENT = {"id": "chat-1", "messages": [USER], "trigger": "submit-message"}


def parse(**fields):
    return parse_request(json.dumps({**SENT, **fields}).encode())


def test_a_request_as_the_sdk_sends_it():
    asked = parse()
    assert (asked.chat, asked.model, asked.continues) == ("chat-1", "", "")
    assert asked.body == SENT
    assert parse(model="m").model == "m"


@pytest.mark.parametrize(
    ("fields", "continues"),
    [
        ({"messages": [USER]}, ""),
        ({"messages": [USER, MODEL]}, "a1"),
        ({"messages": [USER, MODEL], "messageId": "a1"}, "a1"),
        ({"messages": [USER, MODEL, USER]}, ""),
        ({"messages": [USER, MODEL], "trigger": "regenerate-message"}, ""),
        ({"messages": [USER, {**MODEL, "id": None}]}, ""),
        ({"messages": [USER, "?"]}, ""),
    ],
)
def test_an_answer_goes_on_with_the_models_own_last_message(fields, continues):
    assert parse(**fields).continues == continues


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"id": "x" * 256}, "id"),
        ({"model": 7}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": [USER, {**MODEL, "id": 7}]}, "messages[1].id"),
        ({"messages": [{**MODEL, "id": "x" * 256}]}, "messages[0].id"),
    ],
)
def test_what_is_wrong_is_named(fields, param):
    with pytest.raises(RequestError) as caught:
        parse(**fields)
    assert (caught.value.param, caught.value.status) == (param, 400)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", ""),
        (b" \n", ""),
        (b"{}", ""),
        (b'{"stream": "st_1"}', "st_1"),
        (b'{"messageId": "a1"}', "a1"),
        (b'{"stream": "st_1", "messageId": "a1"}', "st_1"),
        (b'{"stream": null, "messageId": "a1"}', "a1"),
    ],
)
def test_which_answer_is_to_be_stopped(body, named):
    assert parse_stop(body) == named


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"stream": 1}', b'{"messageId": []}'])
def test_a_stop_that_cannot_be_understood_is_refused(body):
    with pytest.raises(RequestError):
        parse_stop(body)
