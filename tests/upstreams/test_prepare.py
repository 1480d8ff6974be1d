"""A call on its way to an upstream's dialect."""

import pytest

from headrace.core.routing import Call
from headrace.errors import RequestError
from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.upstreams.prepare import prepared
from headrace.wire.seal import Seal

CALL = Call(
    dialect=CHAT,
    body={"model": "m", "messages": [{"role": "user", "content": "hi"}], "x_vendor": 1},
    model="m",
    stream=True,
    headers={"openai-beta": "x"},
    query="beta=true",
)


def test_a_call_in_a_spoken_dialect_is_the_very_same():
    """Unknown fields, headers and query too."""
    assert prepared(CALL, (RESPONSES, CHAT)) is CALL


def test_a_call_in_another_is_converted_to_the_first_that_is_spoken():
    """Its headers and query mean nothing there."""
    call = prepared(CALL, (MESSAGES, RESPONSES))
    assert (call.dialect, call.model, call.stream) == (MESSAGES, "m", True)
    assert (call.headers, call.query) == ({}, "")
    assert "hi" in str(call.body["messages"])


def test_what_cannot_be_carried_is_refused_by_the_clients_own_field():
    """Before anything is sent."""
    call = Call(dialect=CHAT, body={**CALL.body, "n": 2}, model="m", stream=True)
    with pytest.raises(RequestError) as caught:
        prepared(call, (MESSAGES,))
    assert caught.value.param == "n"


def test_thoughts_that_another_provider_sealed_go_only_where_they_are_understood():
    """An upstream of the client's own dialect may still not be the one that thought them."""
    foreign = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": str(Seal(MESSAGES, "c2ln"))}
    own = {**foreign, "encrypted_content": "gAAAA"}
    call = Call(dialect=RESPONSES, body={"input": [foreign, own]}, model="m", stream=True)
    assert prepared(call, (RESPONSES,)).body["input"] == [own]
