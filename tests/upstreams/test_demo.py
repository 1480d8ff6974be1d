"""The demo models behave as a provider's would, on a clock that does not tick by itself."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.routing import Answer, Call
from headrace.errors import UpstreamFault, UpstreamRefused, UpstreamTruncated
from headrace.model.record import Record
from headrace.testing.clock import FakeClock, settle
from headrace.upstreams.demo import MODELS, Demo, _tokens


def ask(model: str = "demo", *, stream: bool = True, text: str = "Hello there", **fields: Any) -> Call:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream, **fields}
    return Call(dialect="openai.chat", body=body, model=model, stream=stream)


def fast() -> Demo:
    return Demo(clock=FakeClock(), tokens_per_second=0, new_id=lambda: "00")


async def drain(answer: Answer) -> list[dict[str, Any]]:
    records: list[Record] = []
    while not answer.ended:
        records += await answer.read()
    return [json.loads(record.data) for record in records]


def text_of(chunks: list[dict[str, Any]], choice: int = 0) -> str:
    return "".join(
        part["delta"].get("content", "") for chunk in chunks for part in chunk["choices"] if part["index"] == choice
    )


async def test_demo_answers_in_markdown_with_what_was_said():
    """The answer quotes the question and shows a list, a code block and a table."""
    answer = await fast().open(ask(text="Is {this}\n\nit?"))
    chunks = await drain(answer)
    text = text_of(chunks)

    assert text.startswith("You said: Is {this} it?\n")
    assert "```python" in text
    assert "\n- " in text
    assert "|---|" in text
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-1]["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "stop"}
    assert {chunk["id"] for chunk in chunks} == {"chatcmpl-demo00"} == {answer.upstream_id}
    assert {chunk["model"] for chunk in chunks} == {"demo"}


async def test_the_same_request_gets_the_same_answer():
    assert await drain(await fast().open(ask())) == await drain(await fast().open(ask()))


async def test_ids_are_random():
    one, two = await Demo().open(ask()), await Demo().open(ask())
    assert one.upstream_id != two.upstream_id
    assert len(one.upstream_id) == len("chatcmpl-demo") + 32


async def test_counter_counts_to_its_default():
    chunks = await drain(await fast().open(ask("demo/counter")))
    assert text_of(chunks) == " ".join(map(str, range(1, 301)))
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("count", [1, 7, 64, 65, 1000])
async def test_max_tokens_governs_the_counter(field: str, count: int):
    """The counter emits exactly as many numbers as were allowed, says why it stopped, and counts them."""
    answer = await fast().open(ask("demo/counter", **{field: count}))
    assert text_of(await drain(answer)) == " ".join(map(str, range(1, count + 1)))
    assert answer.finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.output == count


@pytest.mark.parametrize("stop", ["3", ["9", "3"], [" 3"]])
async def test_stop_ends_the_text_before_it(stop: Any):
    answer = await fast().open(ask("demo/counter", stop=stop))
    assert text_of(await drain(answer)).rstrip() == "1 2"
    assert answer.finish_reason == "stop"


async def test_a_text_that_just_fits_is_not_cut_by_length():
    answer = await fast().open(ask("demo/echo", text="one two three", max_tokens=3))
    assert text_of(await drain(answer)) == "one two three"
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize("asked", [False, True])
async def test_usage_is_a_record_only_where_the_client_asked(asked: bool):
    """Usage is always exact in the answer; its chunk comes with include_usage alone."""
    answer = await fast().open(ask("demo/echo", text="one two", stream_options={"include_usage": asked}))
    chunks = await drain(answer)
    assert answer.usage is not None
    assert (answer.usage.input, answer.usage.output, answer.usage.exact) == (2, 2, True)
    assert all(("usage" in chunk) is asked for chunk in chunks)
    assert (chunks[-1]["choices"] == []) is asked
    if asked:
        assert chunks[-1]["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}


async def test_alternatives_say_the_same():
    chunks = await drain(await fast().open(ask("demo/echo", n=3)))
    assert [text_of(chunks, choice) for choice in range(4)] == ["Hello there"] * 3 + [""]


async def test_not_streamed_is_one_record():
    answer = await fast().open(ask("demo/echo", stream=False, temperature=0.3))
    [body] = await drain(answer)
    assert answer.format == "openai.chat.object"
    assert body["object"] == "chat.completion"
    assert body["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "Hello there"}, "finish_reason": "stop"}
    ]
    assert body["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}


@pytest.mark.parametrize(
    "fields", [{"max_tokens": 0}, {"max_tokens": "many"}, {"n": True}, {"n": 9}, {"stop": 3}, {"stop": [""]}]
)
async def test_a_bad_parameter_is_refused_by_name(fields: dict[str, Any]):
    with pytest.raises(UpstreamRefused) as caught:
        await fast().open(ask(**fields))
    assert (caught.value.status, caught.value.accepted) == (400, False)
    assert caught.value.detail is not None
    assert caught.value.detail.param in fields


async def test_content_in_parts_and_odd_messages_are_read():
    """Text parts are joined; what has no text is passed over."""
    messages = ["?", {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}, {"text": "b"}]}]
    answer = await fast().open(ask("demo/echo", messages=[*messages, {"role": "assistant", "content": None}]))
    assert text_of(await drain(answer)) == "ab"


async def test_rate_limit_refuses_with_a_time_to_wait():
    with pytest.raises(UpstreamRefused) as caught:
        await fast().open(ask("demo/rate-limit"))
    error = caught.value
    assert (error.status, error.code, error.accepted, error.retry_after) == (429, "rate_limit", False, 2.0)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "error"), [("demo/truncate", UpstreamTruncated), ("demo/error-midstream", UpstreamFault)]
)
async def test_faults_come_after_some_tokens(model: str, error: type[Exception], stream: bool):
    """What came before the fault has been read by then, and the answer never ended."""
    answer = await fast().open(ask(model, stream=stream))
    if stream:
        assert len(await answer.read()) == 13
    with pytest.raises(error):
        await answer.read()
    assert not answer.ended


async def test_tokens_come_at_their_rate():
    """Each read returns what is due; there is one alarm while it waits and none after."""
    clock = FakeClock()
    answer = await Demo(clock=clock, tokens_per_second=10).open(ask("demo/counter"))
    first = asyncio.ensure_future(answer.read())
    await settle()
    assert clock.pending() == 1
    await clock.advance(0.09)
    assert not first.done()
    await clock.advance(0.02)
    assert len(await first) == 2
    assert clock.pending() == 0

    await clock.advance(1.0)
    assert len(await answer.read()) == 10


async def test_slow_start_keeps_the_client_waiting():
    clock = FakeClock()
    answer = await Demo(clock=clock).open(ask("demo/slow-start"))
    first = asyncio.ensure_future(answer.read())
    await clock.advance(5.0)
    assert not first.done()
    await clock.advance(0.1)
    assert first.done()
    await first


@pytest.mark.parametrize("model", ["demo/stall", "demo/slow-start"])
async def test_closing_wakes_a_waiting_read(model: str):
    """Whoever closes the answer is not left waiting, and no alarm is left behind."""
    clock = FakeClock()
    answer = await Demo(clock=clock, tokens_per_second=1000).open(ask(model))
    if model == "demo/stall":
        await clock.advance(1.0)
        await answer.read()
    reading = asyncio.ensure_future(answer.read())
    await settle()
    await clock.advance(3600.0 if model == "demo/stall" else 1.0)
    assert not reading.done()

    answer.close()
    answer.close()
    with pytest.raises(UpstreamTruncated):
        await reading
    assert clock.pending() == 0


async def test_all_models_are_listed_and_no_other_is_known():
    demo = fast()
    assert [card.id for card in await demo.models()] == list(MODELS)
    with pytest.raises(UpstreamRefused):
        await demo.open(ask("gpt-4o"))
    await demo.close()


@given(st.text(max_size=200))
def test_tokens_join_to_the_text(text: str):
    """No character is lost or doubled by cutting a text into tokens."""
    assert "".join(_tokens(text)) == text
