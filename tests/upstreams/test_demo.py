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
from headrace.upstreams.demo import MODELS, Demo
from headrace.upstreams.demo_words import tokens


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
    assert "".join(tokens(text)) == text


def tool(name: str, parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


CITY = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
TOOLS = [tool("weather", CITY), tool("time", CITY), tool("third", {})]


def calls_in(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls of a streamed answer, as a client puts them together."""
    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for piece in chunk["choices"][0]["delta"].get("tool_calls", ()):
            call = calls.setdefault(piece["index"], {"name": "", "arguments": "", "id": ""})
            call["id"] += piece.get("id", "")
            call["name"] += piece["function"].get("name", "")
            call["arguments"] += piece["function"]["arguments"]
    return [calls[number] for number in sorted(calls)]


async def test_tools_calls_two_of_them_at_once():
    """Arguments come in pieces and fit the schema; the finish says that tools were called."""
    answer = await fast().open(ask("demo/tools", text="Rome, Italy", tools=TOOLS))
    chunks = await drain(answer)
    calls = calls_in(chunks)
    assert [(call["name"], json.loads(call["arguments"])) for call in calls] == [
        ("weather", {"city": "Rome, Italy"}),
        ("time", {"city": "Rome, Italy"}),
    ]
    assert len({call["id"] for call in calls}) == 2
    assert len(chunks) > 10
    assert answer.finish_reason == chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_tools_not_streamed_says_the_same_calls():
    [body] = await drain(await fast().open(ask("demo/tools", stream=False, tools=TOOLS)))
    [choice] = body["choices"]
    streamed = calls_in(await drain(await fast().open(ask("demo/tools", tools=TOOLS))))
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert [{**call["function"], "id": call["id"]} for call in choice["message"]["tool_calls"]] == streamed


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"tools": TOOLS[:1]}, ["weather"]),
        ({"tools": TOOLS, "parallel_tool_calls": False}, ["weather"]),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "third"}}}, ["third"]),
        ({"tools": TOOLS, "tool_choice": "none"}, []),
        ({"tools": []}, []),
        ({"tools": [3, {"function": None}, {"function": {"name": 4}}]}, []),
        ({}, []),
    ],
)
async def test_tools_calls_what_the_request_allows(fields: dict[str, Any], names: list[str]):
    """Where it may call none, it says so in text."""
    chunks = await drain(await fast().open(ask("demo/tools", **fields)))
    assert [call["name"] for call in calls_in(chunks)] == names
    assert bool(text_of(chunks)) is not bool(names)


async def test_tools_answers_in_text_once_a_tool_has():
    """Or an agent would call it for ever."""
    messages = [{"role": "user", "content": "Rome"}, {"role": "tool", "tool_call_id": "x", "content": "21 °C"}]
    answer = await fast().open(ask("demo/tools", tools=TOOLS, messages=messages))
    assert text_of(await drain(answer)) == "Your tools have answered: 21 °C"
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "Hello there"),
        ({"type": "number"}, 1),
        ({"type": ["null", "string"]}, None),
        ({"type": "boolean"}, True),
        ({"enum": ["C", "F"]}, "C"),
        ({"const": 7}, 7),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array"}, []),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"$ref": "#/$defs/unit"}, "K"),
        ({"$ref": "#/$defs/nowhere"}, "Hello there"),
        (CITY, {"city": "Hello there"}),
        (None, "Hello there"),
    ],
)
async def test_an_argument_fits_its_schema(schema: Any, value: Any):
    parameters = {"properties": {"x": schema}, "required": ["x", 3], "$defs": {"unit": {"enum": ["K"]}}}
    [call] = calls_in(await drain(await fast().open(ask("demo/tools", tools=[tool("f", parameters)]))))
    assert json.loads(call["arguments"]) == {"x": value}


async def test_a_schema_that_leads_to_itself_ends():
    """Wide and deep, and with references in a circle: so many values are made and no more."""
    names = [f"p{n}" for n in range(50)]
    again = {"properties": {name: {"$ref": "#/$defs/again"} for name in names}, "required": names}
    schema = {**again, "$defs": {"again": again}}
    answer = await fast().open(ask("demo/tools", tools=[tool("f", schema)]))
    [call] = calls_in(await drain(answer))
    assert len(call["arguments"]) < 100_000


async def test_reasoning_thinks_before_it_answers():
    """Its reasoning comes first, under the name that most servers give it, and is counted."""
    answer = await fast().open(ask("demo/reasoning", text="two words", stream_options={"include_usage": True}))
    chunks = await drain(answer)
    kinds = [kind for chunk in chunks for choice in chunk["choices"] for kind in choice["delta"] if kind != "role"]
    thought = kinds.count("reasoning_content")
    assert kinds == ["content"] + ["reasoning_content"] * thought + ["content"] * (len(kinds) - thought - 1)
    assert text_of(chunks) == "I have thought about it. You said: two words"
    assert answer.usage is not None
    assert answer.usage.reasoning == thought > 5
    assert chunks[-1]["usage"]["completion_tokens_details"] == {"reasoning_tokens": thought}


async def test_reasoning_not_streamed_keeps_its_two_texts_apart():
    [body] = await drain(await fast().open(ask("demo/reasoning", stream=False)))
    message = body["choices"][0]["message"]
    assert message["content"].startswith("I have thought")
    assert message["reasoning_content"].startswith("The user said: Hello there")


@pytest.mark.parametrize("model", ["demo/tools", "demo/reasoning"])
async def test_a_limit_cuts_calls_and_reasoning_too(model: str):
    answer = await fast().open(ask(model, tools=TOOLS, max_tokens=5))
    await drain(answer)
    assert answer.finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.output == 5


async def test_tools_are_called_for_clients_of_other_dialects():
    """Anthropic's way to name tools, converted on its way in."""
    tools = [{"name": "weather", "input_schema": CITY}]
    body = {"messages": [{"role": "user", "content": "Rome"}], "max_tokens": 99, "tools": tools}
    demo = fast()
    call = demo.prepare(Call(dialect="anthropic.messages", body=body, model="demo/tools", stream=True))
    assert [call["name"] for call in calls_in(await drain(await demo.open(call)))] == ["weather"]
