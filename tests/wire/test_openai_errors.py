"""Errors of upstreams made fit for clients, and ours in the dialect."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.chat.pieces import outcome

from headrace.errors import ErrorDetail, LimitExceeded, ModelNotFound, RequestError, Unauthorized, UpstreamRefused
from headrace.model.outcome import State
from headrace.wire.openai_errors import body_of_error, body_of_outcome, error_body, fault, scrub
from headrace.wire.scrub import scrubbed

INNER = {"message": "too long", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}
DETAIL = ErrorDetail(**INNER)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"error": INNER}, DETAIL),
        ([{"error": INNER}], DETAIL),
        ({"object": "error", **INNER}, DETAIL),
        ({"type": "error", "error": INNER}, DETAIL),
        ({"error": {**INNER, "param": None, "innererror": {"x": "secret"}}}, ErrorDetail(**{**INNER, "param": ""})),
        ({"error": {"message": "m", "code": 400}}, ErrorDetail(message="m", code="400")),
        ({"error": "text"}, ErrorDetail(message="text")),
        ({"detail": "trace"}, ErrorDetail()),
        ({"detail": [{"msg": "x"}]}, ErrorDetail()),
        ({"message": "x"}, ErrorDetail()),
        ({"error": None}, ErrorDetail()),
        ({"error": {"message": {"a": 1}, "code": True, "type": []}}, ErrorDetail()),
        ([], ErrorDetail()),
        (None, ErrorDetail()),
    ],
)
def test_shapes(body, detail):
    """Error objects are read in the shapes that providers use; nothing of any other is passed on."""
    assert scrub(json.dumps(body).encode()) == detail


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 9000, b'{"error":"' + b"x" * 9])
def test_what_is_no_json_has_no_detail(body):
    """HTML, garbage and cut bodies say nothing."""
    assert scrub(body) == ErrorDetail()


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdEFGH1234ijkl",
        "sk-abc***********1234",
        "Bearer abcdefgh.ijkl-mnop",
        "authorization: Bearer zzzzzz1234",
        "api_key=abcd1234efgh",
        "API key provided: 0123456789",
        "password: hunter2hunter2",
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AIzaSyA-1234567890abcdefg",
        "ghp_abcdefghij0123456789",
        "hf_abcdefghij0123456789",
        "0123456789abcdef0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def",
        "https://user:pass@10.0.0.1:8080/v1?key=1",
        "redis://cache:6379/0",
        "my-resource.openai.azure.com/openai",
        "ops@example.com",
        "10.1.2.3:8000",
        "localhost:11434",
        "sk-\u200bproj\u202e-abcdEFGH1234ijkl",
        "-----BEGIN PRIVATE KEY----- abc",
        "arn:aws:iam::123456789012:role/x",
    ],
)
def test_credentials_and_addresses_are_removed(secret):
    """No word of them is left, wherever it stands."""
    for text in (secret, f"before {secret} after", f'("{secret}")'):
        told = scrubbed(text, 500)
        visible = secret.replace("\u200b", "").replace("\u202e", "")

        assert visible not in told
        assert not {word for word in visible.replace("=", " ").split() if any(c.isdigit() for c in word)} & set(
            told.split()
        )
    assert scrubbed(f"before {secret}", 500).startswith("before ")


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
        "The model `claude-sonnet-4-5-20250929` does not exist or you do not have access to it.",
        "Unsupported parameter: 'max_tokens: 5000'. Use 'max_completion_tokens' instead.",
        "Invalid value for messages[3].content: 模型不存在 🌊",
        "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8 is overloaded",
        "Rate limit reached for gpt-4o in organization on tokens per min (TPM): Limit 30000, Used 29000.",
    ],
)
def test_what_agents_must_read_is_kept(text):
    """Ordinary messages pass unchanged."""
    assert scrubbed(text, 500) == text


def test_control_characters_go():
    """No terminal codes, no bidi overrides, one line."""
    assert scrubbed("a\x1b[31mb\r\nc\td\0e\u202ef\u2028g\u200bh\ud800", 500) == "a[31mb c def gh"


def test_messages_are_capped():
    """At the limit, and never within a credential."""
    assert scrubbed("a " * 5000, 500) == "a " * 249 + "a…"
    assert "sk-" not in scrubbed("a" * 3990 + " sk-abcdef1234567890", 5000)
    assert scrubbed("a" * 9000, 500) == ""


@pytest.mark.parametrize(
    "piece", ["a.", "a-", "sk-", "1.", "A1", "api key ", "x://", "eyJ", "a@", "key: ", "\u202e", "Bearer "]
)
def test_scrubbing_is_fast_whatever_the_text(piece):
    """No pattern takes more than linear time."""
    began = time.process_time()
    scrubbed(piece * 1_000_000, 500)
    assert time.process_time() - began < 0.5


@given(st.text(st.characters()), st.integers(1, 600))
def test_scrubbed_text_is_printable(text, limit):
    """Whatever comes in can be shown, logged and encoded."""
    told = scrubbed(text, limit)

    told.encode()
    assert len(told) <= limit
    assert told.isprintable()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            RequestError("'n' must be a number.", param="n"),
            {
                "message": "'n' must be a number.",
                "type": "invalid_request_error",
                "param": "n",
                "code": "invalid_request",
            },
        ),
        (
            ModelNotFound("No."),
            {"message": "No.", "type": "invalid_request_error", "param": None, "code": "model_not_found"},
        ),
        (
            Unauthorized(),
            {
                "message": "A valid API key is needed.",
                "type": "authentication_error",
                "param": None,
                "code": "invalid_api_key",
            },
        ),
        (
            LimitExceeded(),
            {
                "message": "The answer grew over a limit of this server.",
                "type": "server_error",
                "param": None,
                "code": "limit",
            },
        ),
        (UpstreamRefused(status=400, detail=DETAIL), INNER),
        (
            UpstreamRefused(status=429),
            {"message": "The model provider refused the request.", "type": "rate_limit_error", "param": None}
            | {"code": "upstream_refused"},
        ),
    ],
)
def test_our_errors_have_the_dialects_shape(error, expected):
    """Type by status, our code, and an upstream's own words where it gave some."""
    assert json.loads(body_of_error(error)) == {"error": expected}


@pytest.mark.parametrize(
    ("type", "shown"),
    [
        ("overloaded_error", "server_error"),
        ("api_error", "server_error"),
        ("timeout_error", "server_error"),
        ("not_found_error", "server_error"),
        ("request_too_large", "server_error"),
        ("billing_error", "server_error"),
        ("conflict_error", "server_error"),
        ("rate_limit_error", "rate_limit_error"),
        ("invalid_request_error", "invalid_request_error"),
        ("insufficient_quota", "insufficient_quota"),
    ],
)
def test_types_of_another_dialect_are_not_shown(type, shown):
    """What only Anthropic has is told by the status; the words stay."""
    error = UpstreamRefused(status=503, detail=ErrorDetail(message="m", type=type))
    ended = outcome(State.FAILED, "upstream_refused", status=503, detail=error.detail)

    for body in (body_of_error(error), body_of_outcome(ended)):
        told = json.loads(body)["error"]
        assert (told["type"], told["message"], told["code"]) == (shown, "m", "upstream_refused")


@pytest.mark.parametrize(
    ("detail", "code", "status"),
    [
        (ErrorDetail(type="rate_limit_error"), "rate_limit", 429),
        (ErrorDetail(code="429"), "rate_limit", 429),
        (ErrorDetail(type="overloaded_error"), "overloaded", 503),
        (ErrorDetail(type="timeout_error"), "upstream_timeout", 504),
        (ErrorDetail(code="504"), "upstream_timeout", 504),
        (ErrorDetail(type="api_error"), "upstream_error", 502),
        (ErrorDetail(), "upstream_error", 502),
    ],
)
def test_a_fault_is_what_the_error_says(detail, code, status):
    """In whatever dialect's words it says it."""
    error = fault(detail)

    assert (error.code, error.status, error.detail) == (code, status, detail)


@pytest.mark.parametrize(
    ("detail", "status"),
    [
        (ErrorDetail(type="invalid_request_error", code="context_length_exceeded"), 400),
        (ErrorDetail(type="invalid_request_error"), 400),
        (ErrorDetail(code="invalid_prompt"), 400),
        (ErrorDetail(type="invalid_request_error", code="model_not_found"), 404),
        (ErrorDetail(type="request_too_large"), 413),
        (ErrorDetail(type="UnprocessableEntityError", code="422"), 422),
        (ErrorDetail(code="400"), 400),
        (ErrorDetail(type="None", code="400"), 400),
        (ErrorDetail(type="BadRequestError", code="context_length_exceeded"), 400),
    ],
)
def test_a_fault_of_the_request_is_not_to_be_tried_again(detail, status):
    """Neither by another upstream nor by the client: it would fail as it would with a 4xx."""
    error = fault(detail)

    assert (error.retryable, error.code, error.status, error.detail) == (False, "upstream_refused", status, detail)


@pytest.mark.parametrize(
    "detail",
    [
        ErrorDetail(),
        ErrorDetail(code="server_error"),
        ErrorDetail(type="BadRequestError", code="400"),
        ErrorDetail(type="invalid_request_error", code="500"),
        ErrorDetail(type="authentication_error", code="500"),
        ErrorDetail(type="invalid_request_error", code="rate_limit_exceeded"),
        ErrorDetail(type="overloaded_error"),
    ],
)
def test_a_fault_that_need_not_be_the_requests_may_be_tried_again(detail):
    """VLLM calls whatever fails in the middle a bad request."""
    assert fault(detail).retryable


@pytest.mark.parametrize(
    "detail",
    [
        ErrorDetail(type="authentication_error", message="invalid x-api-key"),
        ErrorDetail(type="permission_error"),
        ErrorDetail(type="invalid_request_error", code="invalid_api_key"),
        ErrorDetail(code="401"),
        ErrorDetail(type="None", code="403"),
    ],
)
def test_a_fault_of_our_credential_is_what_a_401_is(detail):
    """Not to be tried again, and nothing that its words could tell the client: the key is not the client's."""
    error = fault(detail)

    assert (error.retryable, error.code, error.status, error.detail) == (False, "upstream_error", 502, None)


def test_outcomes_have_the_dialects_shape():
    """A failure shows the upstream's scrubbed error, a stop is told as what it is."""
    failed = outcome(State.FAILED, "upstream_refused", status=400, detail=DETAIL)
    stopped = outcome(State.CANCELLED, "abandoned")

    assert json.loads(body_of_outcome(failed))["error"] == INNER
    assert json.loads(body_of_outcome(stopped))["error"]["code"] == "cancelled"
    assert error_body("c", "m") == b'{"error":{"message":"m","type":"server_error","param":null,"code":"c"}}'
