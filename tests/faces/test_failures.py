"""Failures in each client's own shape, with the headers that tell it whether to try again."""

import json

import pytest

from headrace import errors
from headrace.errors import HeadraceError
from headrace.faces.failures import OPENAI, of_error, of_outcome, render
from headrace.model.outcome import Outcome, State


def every(kind: type[HeadraceError]):
    yield kind
    for each in kind.__subclasses__():
        yield from every(each)


@pytest.mark.parametrize("kind", [each for each in every(HeadraceError) if each.__module__ == errors.__name__])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions", "/v1/streams/x", "/chat", "/infer"])
def test_every_error_has_a_status_a_code_and_a_shape(kind, path):
    error = kind("Our words.")
    status, headers, body = render({"path": path}, error)
    told = json.loads(body)["error"]
    assert status == error.status
    assert 400 <= status < 600
    assert (told["code"], told["message"]) == (error.code, "Our words.")
    assert ("retry" in told) == (path in ("/chat", "/infer"))
    assert headers["content-type"] == "application/json"
    assert headers["x-should-retry"] == ("true" if error.retryable else "false")
    assert ("www-authenticate" in headers) == (status == 401)


def test_retry_after_is_a_whole_number_of_seconds():
    error = errors.UpstreamRefused(code="rate_limit", status=429, retry_after=1.2)
    assert of_error(error, {"path": "/v1"}).headers["retry-after"] == "2"
    outcome = Outcome(
        state=State.FAILED, reason="rate_limit", ended_at=1.0, status=429, retryable=True, retry_after=0.1
    )
    assert of_outcome(outcome, OPENAI).headers["retry-after"] == "1"


@pytest.mark.parametrize(("state", "status"), [(State.CANCELLED, 409), (State.INTERRUPTED, 502), (State.FAILED, 502)])
def test_an_outcome_without_a_status_gets_one(state, status):
    reply = of_outcome(Outcome(state=state, reason="cancelled", ended_at=1.0), OPENAI)
    assert reply.status_code == status
    assert reply.headers["x-should-retry"] == "false"
