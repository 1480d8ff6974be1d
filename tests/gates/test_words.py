"""What the gates count in what their upstreams were asked."""

from msgspec.json import encode

from headrace.gates.words import chat, second_calls
from headrace.testing.scripted_upstream import Received


def asked(*texts: str) -> list[Received]:
    return [Received("POST", "/v1/chat/completions", {}, encode(chat(text)), 0) for text in texts]


def test_each_call_beyond_the_first_of_an_answer_counts():
    assert second_calls(asked("a", "b", "a", "c", "a")) == 2


def test_an_answer_that_was_never_asked_for_hides_none():
    """Three answers were wanted, and three calls came."""
    assert second_calls(asked("a", "b", "b")) == 1


def test_one_call_for_each_is_none_too_many():
    assert second_calls(asked("a", "b")) == second_calls([]) == 0
