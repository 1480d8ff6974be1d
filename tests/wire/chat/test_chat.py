"""Records to canonical events, events to chunks, and both to a whole completion."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.wire.chat.pieces import ANSWER, COMPLETED, USAGE, chunk, frames, outcome, piece, records

from headrace.errors import ErrorDetail
from headrace.model import dialect
from headrace.model.events import Extra, Failed, Finished, Reasoning, Refusal, Started, Text, ToolCall, Used
from headrace.model.outcome import Outcome, State, Usage
from headrace.model.record import Record
from headrace.wire.chat.calls import CallNumbers
from headrace.wire.chat.decoder import Decoder
from headrace.wire.chat.encoder import DONE, Encoder, ending
from headrace.wire.chat.intake import Intake
from headrace.wire.chat.whole import completion

STARTED = Started(id="chatcmpl-1", model="m", created=17)


def decode(*payloads):
    """All events of some payloads."""
    decoder = Decoder()
    return [event for record in records(*payloads) for event in decoder.decode(record)]


def encode(events, **options):
    """All chunks of some events, as JSON."""
    encoder = Encoder(**options)
    return [json.loads(record.data) for event in events for record in encoder.encode(event)]


def whole(*payloads, usage=None):
    """The completion of some chunks, which the SDK must understand."""
    value = json.loads(completion(records(*payloads), usage=usage))
    ChatCompletion.model_validate(value, strict=True)
    return value


def call(number=None, id=None, name=None, arguments=None):
    """A piece of a tool call."""
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    return {k: v for k, v in (("index", number), ("id", id), ("function", function)) if v is not None}


def test_text_becomes_events():
    """Each chunk gives what it says; the first one begins the answer."""
    assert decode(*ANSWER, chunk(usage=USAGE)) == [
        STARTED,
        Text(text="Grüße, "),
        Text(text="世界 🌊"),
        Finished(reason="stop"),
        Used(usage=Usage(input=3, output=2)),
    ]


def test_reasoning_refusal_and_choices():
    """Both spellings of reasoning are read, and every event knows its choice."""
    payload = chunk(piece(0, reasoning_content="a"), piece(1, reasoning="b"), piece(2, "length", refusal="c"))

    assert decode(payload)[1:] == [
        Reasoning(text="a"),
        Reasoning(text="b", choice=1),
        Refusal(text="c", choice=2),
        Finished(reason="length", choice=2),
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        [[call(0, "a", "f", "{")], [call(0, arguments="}")], [call(1, "b", "g", "[")], [call(1, arguments="]")]],
        [[call(0, "a", "f", "{")], [call(1, "b", "g", "[")], [call(0, arguments="}")], [call(1, arguments="]")]],
        [[call(3, "a", "f", "{")], [call(3, "a", "f", "}")], [call(7, "b", "g", "[")], [call(7, arguments="]")]],
        [
            [call(None, "a", "f", "{")],
            [call(None, "a", None, "}")],
            [call(None, "b", "g", "[")],
            [call(None, "b", None, "]")],
        ],
        [
            [call(None, "a", "f", "{")],
            [call(None, None, None, "}")],
            [call(None, "b", "g", "[")],
            [call(None, None, None, "]")],
        ],
        [[call(0, "a", "f", "{}")], [call(0, "b", "g", "[]")]],
        [[call(None, "a", "f", "{}"), call(None, "b", "g", "[]")]],
    ],
    ids=["in turn", "interleaved", "gaps", "no index", "only the first piece named", "all are 0", "whole"],
)
def test_tool_calls_are_told_apart(pieces):
    """Arguments are put together verbatim under the right call, whatever the server says of the index."""
    payloads = [chunk(piece(tool_calls=calls)) for calls in pieces]
    events = [event for event in decode(*payloads) if isinstance(event, ToolCall)]

    arguments = {n: "".join(event.arguments for event in events if event.call == n) for n in (0, 1)}
    named = [(event.call, event.id, event.name) for event in events if event.id or event.name]
    message = whole(*payloads, chunk(piece(finish_reason="tool_calls")))["choices"][0]["message"]

    assert arguments == {0: "{}", 1: "[]"}
    assert named == [(0, "a", "f"), (1, "b", "g")]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "[]"}},
    ]


class Compared(str):
    """An id that counts how often it is compared with another."""

    __slots__ = ()
    count = 0

    def __eq__(self, other):
        Compared.count += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_call_is_found_by_its_id_without_a_look_at_all_others():
    """A frame may hold ten thousands of calls: to compare each with each would hold up everybody for minutes."""
    numbers, ids = CallNumbers(), [Compared(f"call_{n}") for n in range(500)]
    Compared.count = 0

    assert [numbers.number({"id": id}) for id in ids * 2] == [(n, first) for first in (True, False) for n in range(500)]
    assert Compared.count < 10 * len(ids)


def test_arguments_that_are_an_object_are_the_text_of_it():
    """To leave them out would have the tool called with none."""
    given = call(0, "c", "f") | {"function": {"name": "f", "arguments": {"city": "Zürich", "n": 10**30}}}

    found = decode(chunk(piece(tool_calls=[given])))

    number = str(10**30)
    assert found[1:] == [ToolCall(call=0, id="c", name="f", arguments=f'{{"city":"Zürich","n":"{number}"}}')]


def test_what_has_no_event_is_extra():
    """Fields of a chunk are told when they are new, those of a choice always; padding is left out."""
    odd = piece(content="a", audio={"id": "x"}) | {"logprobs": {"content": [1]}}
    same = chunk(piece(content="b"), system_fingerprint="fp", obfuscation="zz")

    events = decode(chunk(odd, system_fingerprint="fp"), same)

    payload = {
        "system_fingerprint": "fp",
        "choices": [{"index": 0, "logprobs": {"content": [1]}, "delta": {"audio": {"id": "x"}}}],
    }
    assert events == [STARTED, Text(text="a"), Extra(dialect="openai.chat", payload=payload), Text(text="b")]
    chunks = encode(events)
    assert chunks[1]["system_fingerprint"] == "fp"
    assert chunks[1]["choices"][0]["logprobs"] == {"content": [1]}


def test_azures_first_chunk_does_not_begin_the_answer():
    """It has neither id nor choices; the answer begins with the next."""
    events = decode(chunk(id="", model="", prompt_filter_results=[1]), *ANSWER[:2])

    assert events == [
        Extra(dialect="openai.chat", payload={"prompt_filter_results": [1]}),
        STARTED,
        Text(text="Grüße, "),
    ]


def test_an_error_record_is_failed():
    """Should one be in a log, it is told as what it is, scrubbed."""
    assert decode(b'{"error":{"message":"see http://x.y/z","code":7}}') == [
        Failed(detail=ErrorDetail(message="see [url]", code="7"))
    ]


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"\xff", b"[" * 5000, b'{"a":' * 500 + b"1" + b"}" * 500])
def test_what_is_no_chunk_has_no_events(payload):
    """A decoder never raises."""
    assert decode(payload) == []
    assert whole(payload)["choices"] == []


def test_halves_of_a_surrogate_pair_meet():
    """A server that cuts an emoji in two between chunks does not break it."""
    cut = [
        b'{"choices":[{"delta":{"content":"a\\ud83c"}}]}',
        b'{"choices":[{"delta":{"content":"\\udf0ab"}}]}',
        b'{"choices":[{"delta":{"content":"\\udf0a"}}]}',
    ]

    texts = [event.text for event in decode(*cut) if isinstance(event, Text)]

    assert "".join(texts) == "a🌊b\ufffd".replace("🌊", "\U0001f30a")
    assert whole(*cut, ANSWER[3])["choices"][0]["message"]["content"] == "a\U0001f30ab\ufffd"


def test_a_whole_completion_is_decoded_as_its_stream():
    """One record of the other format gives the same text, calls, finish and usage."""
    payloads = [*ANSWER[:3], chunk(piece(tool_calls=[call(0, "a", "f", "{}")])), ANSWER[3], chunk(usage=USAGE)]
    body = completion(records(*payloads))

    events = decode(body)

    assert events == [
        STARTED,
        Text(text="Grüße, 世界 🌊"),
        ToolCall(call=0, id="a", name="f", arguments="{}"),
        Finished(reason="stop"),
        Used(usage=Usage(input=3, output=2)),
    ]
    assert completion([Record("", body)], dialect.whole(dialect.CHAT)) == body
    with pytest.raises(ValueError):
        completion([], dialect.whole(dialect.CHAT))


def test_a_whole_completion_has_every_field():
    """Text, refusal, reasoning, log probabilities, usage and unknown fields of the chunks are there."""
    first = piece(role="assistant", content="a", reasoning_content="x", refusal=None)
    second = piece(content="b", reasoning_content="y", refusal="no", annotations=[1])
    payloads = [
        chunk(first | {"logprobs": {"content": [1], "refusal": None}}, system_fingerprint="fp", citations=["c"]),
        chunk(second | {"logprobs": {"content": [2]}, "content_filter_results": {"hate": {"severity": "safe"}}}),
        chunk(piece(1, "length", content="z")),
        chunk(piece(0, "stop") | {"content_filter_results": {"hate": {"severity": "safe"}}}, service_tier="t"),
    ]

    value = json.loads(completion(records(*payloads), usage=Usage(input=1, output=2)))

    assert value == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 17,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "ab",
                    "refusal": "no",
                    "reasoning_content": "xy",
                    "annotations": [1],
                },
                "finish_reason": "stop",
                "logprobs": {"content": [1, 2], "refusal": None},
                "content_filter_results": {"hate": {"severity": "safe"}},
            },
            {
                "index": 1,
                "message": {"role": "assistant", "content": "z", "refusal": None},
                "finish_reason": "length",
                "logprobs": None,
            },
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        "system_fingerprint": "fp",
        "service_tier": "t",
        "citations": ["c"],
    }


def test_a_whole_completion_keeps_a_thought_in_parts_and_the_text_after_it():
    """Mistral's reasoning models think in parts of the content, between an empty text and the answer's texts."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    pieces = [piece(content=content) for content in ("", [thought], "4", "2")]

    value = json.loads(completion(records(*map(chunk, pieces), chunk(piece(finish_reason="stop")))))

    assert value["choices"][0]["message"]["content"] == [thought, {"type": "text", "text": "42"}]


def test_a_whole_completion_keeps_a_text_before_parts():
    """Whatever comes in parts, no text is lost that came before them."""
    part = {"type": "text", "text": "c"}

    value = json.loads(completion(records(*(chunk(piece(content=content)) for content in ("a", "b", [part], [part])))))

    assert value["choices"][0]["message"]["content"] == [{"type": "text", "text": "ab"}, part, part]


@pytest.mark.parametrize("message", [{"role": "assistant", "content": "Hello, so far"}, "Hello", ["Hello"]])
def test_a_whole_completion_is_made_of_deltas_where_each_chunk_has_a_message_too(message):
    """Perplexity tells with each delta the whole message so far."""
    pieces = [piece(content=content) | {"message": message} for content in ("Hello", ", ", "world")]

    value = whole(
        *map(chunk, pieces), chunk(piece(finish_reason="stop") | {"message": message, "delta": {"role": "assistant"}})
    )

    assert value["choices"][0]["message"]["content"] == "Hello, world"


def test_chunks_are_what_the_sdk_expects():
    """The role comes first in each choice, then text, finish, usage and [DONE]."""
    encoder = Encoder("c", "m", 17, include_usage=True)
    events = [
        Text(text="a"),
        Text(text="b", choice=1),
        Text(text="c"),
        Finished(reason="stop"),
        Finished(reason="refusal", choice=1),
    ]
    made = [record for event in events for record in encoder.encode(event)] + encoder.end(COMPLETED)

    *chunks, done = [record.data for record in made]
    values = [json.loads(each) for each in chunks]

    assert done == DONE
    for value in values:
        ChatCompletionChunk.model_validate(value, strict=True)
    assert [value["choices"] for value in values] == [
        [{"index": 0, "delta": {"role": "assistant", "content": "a"}, "finish_reason": None}],
        [{"index": 1, "delta": {"role": "assistant", "content": "b"}, "finish_reason": None}],
        [{"index": 0, "delta": {"content": "c"}, "finish_reason": None}],
        [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        [{"index": 1, "delta": {}, "finish_reason": "content_filter"}],
        [],
    ]
    assert [value["usage"] for value in values] == [*[None] * 5, USAGE]


def test_usage_is_told_only_where_it_is_wanted_and_known():
    """Without include_usage, or without usage, [DONE] comes alone."""
    assert Encoder().end(COMPLETED) == records(DONE)
    assert Encoder(include_usage=True).end(outcome()) == records(DONE)


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (outcome(State.CANCELLED, "cancelled"), "cancelled"),
        (outcome(State.CANCELLED, "abandoned"), "cancelled"),
        (outcome(State.INTERRUPTED, "worker_died"), "interrupted"),
        (outcome(State.FAILED, "upstream_truncated", status=502), "upstream_truncated"),
        (outcome(State.FAILED, "no such reason"), "internal"),
    ],
)
def test_no_done_on_anything_but_completed(ended, code):
    """An answer that did not complete ends in an error object."""
    encoder = Encoder("c", "m", 1, include_usage=True)
    encoder.encode(Used(usage=Usage(input=1, output=1)))

    (last,) = encoder.end(ended)

    assert json.loads(last.data)["error"]["code"] == code
    assert ending(ended) == [last]


EVENTS = st.lists(
    st.one_of(
        st.builds(Text, text=st.text(min_size=1), choice=st.integers(0, 2)),
        st.builds(Reasoning, text=st.text(min_size=1), choice=st.integers(0, 2)),
        st.builds(Refusal, text=st.text(min_size=1), choice=st.integers(0, 2)),
    ),
    min_size=1,
    max_size=10,
)


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.INTERRUPTED])
def test_an_answer_that_fails_after_its_last_word_has_no_finish(state):
    """Another dialect says why it finishes before it has ended; nobody is told until it has."""
    encoder = Encoder("c", "m", 17)
    events = [Text(text="a"), Finished(reason="stop"), Used(usage=Usage(input=3, output=2))]

    made = [record for event in events for record in encoder.encode(event)]
    made += encoder.end(Outcome(state=state, reason="upstream_truncated", ended_at=1.0))

    assert b'"finish_reason":"stop"' not in b"".join(record.data for record in made)
    assert "error" in json.loads(made[-1].data)


@given(EVENTS)
def test_events_survive_the_dialect(events):
    """Encoded and decoded they are the same, in the log's format and through the intake."""
    finished = [Finished(reason="stop", choice=choice) for choice in sorted({event.choice for event in events})]
    all_events = [STARTED, *events, *finished]
    encoder = Encoder()
    made = [record for event in all_events for record in encoder.encode(event)] + encoder.finish()

    intake = Intake(usage_wanted=False)
    logged = intake.take(frames(*[record.data for record in made], DONE))

    assert logged == made
    assert intake.ended
    assert decode(*[record.data for record in made]) == all_events
    again = Encoder()
    assert [record for event in all_events for record in again.encode(event)] + again.finish() == made


KEYS = [
    *[
        "id",
        "created",
        "model",
        "choices",
        "delta",
        "message",
        "index",
        "content",
        "tool_calls",
        "function",
        "name",
        "arguments",
    ],
    *["usage", "finish_reason", "logprobs", "x", "error", "prompt_tokens", "completion_tokens"],
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


@given(st.lists(JSON, max_size=5))
def test_nothing_an_upstream_says_breaks_the_folds(values):
    """Any JSON at all decodes, encodes and collects without an exception."""
    payloads = [json.dumps(value).encode() for value in values]
    events = decode(*payloads)
    encode(events)
    json.loads(completion(records(*payloads)))


@given(JSON, st.integers(-5, 5))
@example("\ud800", 0)
@example("half \udc00 a pair", 0)
def test_nothing_in_a_choice_breaks_the_folds(value, index):
    """The same where the frame is right and a delta is not."""
    payloads = [
        chunk({"index": index, "delta": value}),
        chunk({"index": index, "delta": {"content": "a"}, "message": value}),
        chunk({"index": index, "delta": {"tool_calls": [value], "content": value}}),
    ]
    encode(decode(*payloads))
    json.loads(completion(records(*payloads)))
