"""Our errors in the dialect, as the stock client reads them."""

import json
from typing import get_args

import anthropic
import pytest
from anthropic.types import ErrorResponse
from anthropic.types.shared import error_type as sdk
from tests.wire.messages.pieces import ANSWER, outcome, read_by_sdk, records

from headrace.errors import ErrorDetail, RequestError, Unauthorized, UpstreamRefused
from headrace.model.outcome import State
from headrace.wire.messages.errors import body_of_error, body_of_outcome, error_record, error_type
from headrace.wire.messages.verbatim import Verbatim


def told(body):
    """The error in a body, which has the dialect's shape."""
    value = json.loads(body)
    assert set(value) == {"type", "error"}
    assert value["type"] == "error"
    ErrorResponse.model_validate(value)
    return value["error"]


@pytest.mark.parametrize(
    ("status", "type"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (408, "timeout_error"),
        (409, "conflict_error"),
        (410, "invalid_request_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (507, "api_error"),
        (529, "overloaded_error"),
        (0, "api_error"),
    ],
)
def test_types_go_by_status(status, type):
    """Each is one that the dialect has."""
    assert error_type(status) == type
    assert type in {*get_args(sdk.ErrorType), "request_too_large"}


def test_our_errors_have_the_dialects_shape():
    """Our code and the field that is wrong stand beside the type."""
    assert told(body_of_error(RequestError("'n' must be a number.", param="n"))) == {
        "type": "invalid_request_error",
        "message": "'n' must be a number.",
        "code": "invalid_request",
        "param": "n",
    }
    assert told(body_of_error(Unauthorized())) == {
        "type": "authentication_error",
        "message": "A valid API key is needed.",
        "code": "invalid_api_key",
    }


@pytest.mark.parametrize(
    ("detail", "error"),
    [
        (
            ErrorDetail(message="busy", type="overloaded_error"),
            {"type": "overloaded_error", "message": "busy", "code": "upstream_refused"},
        ),
        (
            ErrorDetail(message="no", type="insufficient_quota", code="context_length_exceeded", param="messages"),
            {"type": "rate_limit_error", "message": "no", "code": "context_length_exceeded", "param": "messages"},
        ),
        (
            ErrorDetail(),
            {
                "type": "rate_limit_error",
                "message": "The model provider refused the request.",
                "code": "upstream_refused",
            },
        ),
    ],
    ids=["its own type", "another dialect's", "nothing"],
)
def test_an_upstreams_words_are_used(detail, error):
    """A type only where it is one of this dialect."""
    assert told(body_of_error(UpstreamRefused(status=429, detail=detail))) == error


@pytest.mark.parametrize(
    ("ended", "type", "code"),
    [
        (outcome(State.CANCELLED, "cancelled"), "api_error", "cancelled"),
        (outcome(State.CANCELLED, "abandoned"), "api_error", "cancelled"),
        (outcome(State.INTERRUPTED, "worker_died"), "api_error", "interrupted"),
        (outcome(State.FAILED, "upstream_truncated", status=502), "api_error", "upstream_truncated"),
        (outcome(State.FAILED, "overloaded", status=503), "overloaded_error", "overloaded"),
        (outcome(State.FAILED, "upstream_stalled", status=504), "timeout_error", "upstream_stalled"),
    ],
)
def test_an_unfinished_answer_ends_in_an_error(ended, type, code):
    """The stock client raises it after the text that came before, with its type and our code."""
    error = told(body_of_outcome(ended))
    assert (error["type"], error["code"]) == (type, code)
    assert error_record(ended) == ("error", body_of_outcome(ended))

    with pytest.raises(anthropic.APIStatusError) as raised:
        read_by_sdk([*records(*ANSWER[:4]), *Verbatim().end(ended)])

    assert raised.value.type == type
    assert raised.value.body["error"]["code"] == code


def test_a_verbatim_answer_is_itself():
    """Its last record has told the end already."""
    verbatim = Verbatim()

    assert [shown for record in records(*ANSWER) for shown in verbatim.record(record)] == records(*ANSWER)
    assert verbatim.end(outcome()) == []
    assert verbatim.stateless
