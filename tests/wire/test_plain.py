"""The simple faces, to the letter of their page."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.chat.pieces import COMPLETED, USAGE, outcome

from headrace.model.events import Extra, Finished, Reasoning, Refusal, Started, Text, ToolCall, Used
from headrace.model.outcome import State, Usage
from headrace.model.record import Record
from headrace.wire import estimate, plain

EVENTS = [
    Started(id="x", model="other"),
    Reasoning(text="hm"),
    Text(text="Grüße"),
    Text(text="no", choice=1),
    ToolCall(call=0, name="f"),
    Extra(dialect="openai.chat", payload={}),
    Refusal(text=" 世界"),
    Finished(reason="length"),
    Finished(reason="stop", choice=1),
]
CANCELLED = outcome(State.CANCELLED, "abandoned")
FAILED = outcome(State.FAILED, "upstream_truncated", status=502, retryable=True)
INTERRUPTED = outcome(State.INTERRUPTED, "worker_died", retryable=True)


def run(face, ended):
    """All records of an answer, as names and JSON."""
    fold = face("gen-1", "demo", 17)
    made = [*fold.start(), *(record for event in EVENTS for record in fold.encode(event)), *fold.end(ended)]
    return [(record.event, json.loads(record.data)) for record in made]


def error(code, message, retry=True):
    """The error object."""
    return {"code": code, "message": message, "retry": retry}


TRUNCATED = error("truncated", "The model provider's answer stopped before its end.")
STOPPED = error("interrupted", "The server stopped before the answer was complete.")
ABANDONED = error("cancelled", "The answer was stopped because nobody was reading it any more.", retry=False)


@pytest.mark.parametrize(
    ("ended", "last"),
    [
        (COMPLETED, ("done", {"finish_reason": "length", "usage": USAGE, "usage_exact": True, "chars": 8})),
        (FAILED, ("error", TRUNCATED)),
        (INTERRUPTED, ("error", STOPPED)),
        (CANCELLED, ("cancelled", {"reason": "abandoned"})),
    ],
    ids=["completed", "failed", "interrupted", "cancelled"],
)
def test_named(ended, last):
    """Start, tokens under both keys, how it ended, and always close."""
    assert run(plain.Named, ended) == [
        ("start", {"id": "gen-1", "model": "demo"}),
        ("token", {"token": "Grüße", "t": "Grüße"}),
        ("token", {"token": " 世界", "t": " 世界"}),
        last,
        ("close", {}),
    ]


@pytest.mark.parametrize(
    ("ended", "last"),
    [
        (COMPLETED, ("", {"content": "", "done": True, "finish_reason": "length", "usage": USAGE})),
        (FAILED, ("error", TRUNCATED)),
        (INTERRUPTED, ("error", STOPPED)),
        (CANCELLED, ("error", ABANDONED)),
    ],
    ids=["completed", "failed", "interrupted", "cancelled"],
)
def test_unnamed(ended, last):
    """Content is always a text; done is true only for what completed."""
    assert run(plain.Unnamed, ended) == [
        ("", {"content": "", "done": False}),
        ("", {"content": "Grüße", "done": False}),
        ("", {"content": " 世界", "done": False}),
        last,
    ]


def line(content, finish_reason=None):
    """A line of /infer."""
    message = {"role": "assistant", "content": content}
    choice = {"message": message, "finish_reason": finish_reason, "index": 0}
    return ("", {"id": "gen-1", "created": 17, "model": "demo", "choices": [choice]})


def test_infer():
    """One id for all lines; the last one finishes, and nothing does where the answer did not complete."""
    assert run(plain.Infer, COMPLETED) == [line("Grüße"), line(" 世界"), line("", "length")]
    for ended in (FAILED, INTERRUPTED, CANCELLED):
        assert run(plain.Infer, ended) == [line("Grüße"), line(" 世界")]


@pytest.mark.parametrize("ended", [COMPLETED, FAILED, CANCELLED])
def test_text(ended):
    """Nothing but the text; the end is the reply's to tell."""
    fold = plain.Text("gen-1", "demo")
    made = [*fold.start(), *(record for event in EVENTS for record in fold.encode(event)), *fold.end(ended)]

    assert made == [Record("", "Grüße".encode()), Record("", " 世界".encode())]


def test_whole():
    """What stream: false answers."""
    assert json.loads(plain.whole("gen-1", "demo", EVENTS, COMPLETED)) == {
        "id": "gen-1",
        "model": "demo",
        "content": "Grüße 世界",
        "finish_reason": "length",
        "usage": USAGE,
    }


@pytest.mark.parametrize(
    ("ended", "events", "usage", "exact"),
    [
        (outcome(), [], (7, 4), False),
        (outcome(usage=Usage(input=1, output=2, exact=False)), [], (1, 2), False),
        (outcome(), [Used(usage=Usage(input=1, output=2))], (1, 2), True),
    ],
)
def test_usage_is_marked_where_it_is_an_estimate(ended, events, usage, exact):
    """The outcome's first, then the upstream's, then a guess."""
    fold = plain.Named("gen-1", "demo", prompt_tokens=7)
    for event in [*EVENTS, *events]:
        fold.encode(event)

    done = json.loads(fold.end(ended)[0].data)

    assert (done["usage"]["prompt_tokens"], done["usage"]["completion_tokens"]) == usage
    assert done["usage_exact"] is exact


@pytest.mark.parametrize(
    ("reason", "status", "code"),
    [
        ("rate_limit", 429, "rate_limit"),
        ("upstream_refused", 429, "rate_limit"),
        ("upstream_refused", 503, "overloaded"),
        ("upstream_refused", 504, "timeout"),
        ("upstream_refused", 400, "upstream"),
        ("overloaded", 503, "overloaded"),
        ("upstream_timeout", 504, "timeout"),
        ("upstream_stalled", 504, "timeout"),
        ("upstream_unreachable", 502, "upstream"),
        ("upstream_error", 502, "upstream"),
        ("upstream_protocol", 502, "upstream"),
        ("upstream_truncated", 502, "truncated"),
        ("limit", 507, "limit"),
        ("storage", 503, "storage"),
        ("draining", 503, "interrupted"),
        ("internal", 500, "unknown"),
        ("what nobody knows", 0, "unknown"),
    ],
)
def test_error_codes(reason, status, code):
    """Every reason has one of the simple codes, and a sentence of ours."""
    told = plain.error_object(outcome(State.FAILED, reason, status=status))

    assert told["code"] == code
    assert told["message"].endswith(".")


@given(st.lists(st.text(min_size=1), max_size=8), st.integers(0, 8))
def test_the_fold_is_pure(texts, at):
    """After any prefix, the rest of a second fold is what the first one gave: a reader may resume anywhere."""
    events = [*(Text(text=text) for text in texts), Finished(reason="stop")]
    for face in (plain.Named, plain.Unnamed, plain.Infer, plain.Text):
        first, second = face("a", "m"), face("a", "m")
        whole = [first.encode(event) for event in events]
        for event in events[:at]:
            second.encode(event)
        assert [second.encode(event) for event in events[at:]] == whole[at:]
        assert second.end(COMPLETED) == first.end(COMPLETED)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("abcd", 1),
        ("abcde", 2),
        ("世界", 2),
        ("こんにちは", 5),
        ("한국어", 3),
        ("世界abcd", 3),
        ("é" * 8, 2),
    ],
)
def test_estimates(text, tokens):
    """Four characters a token, one of a dense script."""
    assert estimate.tokens(text) == tokens


def test_a_prompts_estimate_counts_its_text():
    """Texts and text parts of all messages; pictures say nothing."""
    parts = [{"type": "text", "text": "abcd"}, {"type": "image_url", "image_url": {"url": "data:" + "x" * 999}}]

    assert estimate.prompt_tokens([{"content": "世界"}, {"content": parts}, {"content": None}, {}]) == 3
