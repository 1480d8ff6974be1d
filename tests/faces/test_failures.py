"""Failures in each client's own shape, with the headers that tell it whether to try again."""

import json

import pytest

from headrace import errors
from headrace.errors import ErrorDetail, HeadraceError, UpstreamRefused
from headrace.faces.failures import MESSAGES, OPENAI, SIMPLE, UI, family_of, of_error, of_outcome, render
from headrace.model.outcome import Outcome, State

VERSION = [(b"anthropic-version", b"2023-06-01")]


def every(kind: type[HeadraceError]):
    yield kind
    for each in kind.__subclasses__():
        yield from every(each)


EVERY = [each for each in every(HeadraceError) if each.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/streams/x", "/chat", "/infer"])
def test_every_error_has_a_status_a_code_and_a_shape(kind, path):
    error = kind("Our words.")
    status, headers, body = render({"path": path}, error)
    value = json.loads(body)
    told = value["error"]
    assert status == error.status
    assert 400 <= status < 600
    assert (told["code"], told["message"]) == (error.code, "Our words.")
    assert ("retry" in told) == (path in ("/chat", "/infer"))
    assert (value.get("type") == "error") == (path == "/v1/messages")
    assert headers["content-type"] == "application/json"
    assert headers["x-should-retry"] == ("true" if error.retryable else "false")
    assert ("www-authenticate" in headers) == (status == 401)
    assert "headrace-error" not in headers


@pytest.mark.parametrize("kind", EVERY)
def test_a_chat_of_the_ai_sdk_is_told_in_plain_words(kind):
    """The page shows them as they are; programs find the code in a header."""
    status, headers, body = render({"path": "/api/chat"}, kind("Our wörds."))
    assert (status, body.decode()) == (kind.status, "Our wörds.")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["headrace-error"] == kind.code
    assert headers["x-should-retry"] == ("true" if kind.retryable else "false")


def test_an_outcome_in_plain_words_is_in_ours():
    """A page's user is not told what a provider says to programmers."""
    outcome = Outcome(
        state=State.FAILED, reason="rate_limit", ended_at=1.0, status=429, retryable=True, detail=ErrorDetail(code="x")
    )
    reply = of_outcome(outcome, UI, headers={"headrace-stream-id": "st_1"})
    assert (reply.status_code, reply.headers["headrace-error"]) == (429, "rate_limit")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.headers["headrace-stream-id"] == "st_1"
    assert reply.body == b"The model provider takes no more requests now; try again later."


@pytest.mark.parametrize(
    ("path", "headers", "family"),
    [
        ("/v1/messages", [], MESSAGES),
        ("/v1/messages/count_tokens", [], MESSAGES),
        ("/v1/messages/batches", [], MESSAGES),
        ("/v1/messagesque", [], OPENAI),
        ("/v1/models", [], OPENAI),
        ("/v1/models", VERSION, MESSAGES),
        ("/v1/files", VERSION, MESSAGES),
        ("/v1/chat/completions", VERSION, OPENAI),
        ("/chat/completions", VERSION, OPENAI),
        ("/v1/responses/resp_1", VERSION, OPENAI),
        ("/v1/chat/stream", VERSION, SIMPLE),
        ("/chat", VERSION, SIMPLE),
        ("/chat/stream", [], SIMPLE),
        ("/api/chat", [], UI),
        ("/api/chat/c1/stop", VERSION, UI),
    ],
)
def test_a_client_is_known_by_its_path_or_its_header(path, headers, family):
    assert family_of({"path": path, "headers": headers}) is family
    assert family_of({"path": f"/below{path}", "root_path": "/below", "headers": headers}) is family


def test_an_upstreams_own_words_reach_each_sdk():
    """What an agent must read, such as a context that is too long; a type of another dialect is not passed off."""
    detail = ErrorDetail(message="Too long.", type="context_error", code="context_length_exceeded", param="messages")
    error = UpstreamRefused(status=400, accepted=False, detail=detail)
    openai = json.loads(render({"path": "/v1/chat/completions"}, error)[2])["error"]
    anthropic = json.loads(render({"path": "/v1/messages"}, error)[2])["error"]
    assert openai["message"] == anthropic["message"] == "Too long."
    assert (openai["type"], anthropic["type"]) == ("context_error", "invalid_request_error")


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
