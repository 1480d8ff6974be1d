"""The stock Python SDK against a real server: what people do with it, as its pages show it."""

import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from tests.e2e.sdk_house import CALLS, TEXT, TOKENS, House, sdk_house

pytestmark = pytest.mark.slow

MESSAGES: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with sdk_house(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{house.server.url}/v1", api_key="sk-client", max_retries=0, timeout=8) as made:
        yield made


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def rejoin(client: openai.OpenAI, id: str, after: int) -> openai.Stream[ChatCompletionChunk]:
    """The SDK has no method for it, but its generic one is enough."""
    return client.get(
        f"/chat/completions/{id}",
        cast_to=ChatCompletionChunk,
        stream=True,
        stream_cls=openai.Stream[ChatCompletionChunk],
        options={"params": {"stream": "true", "starting_after": after}},
    )


def test_a_stream_has_its_text_its_id_and_the_url_to_rejoin(client: openai.OpenAI) -> None:
    """Fields that nobody knows survive in both directions."""
    stream = client.chat.completions.create(model="up/p-good", messages=MESSAGES, stream=True)
    chunks = list(stream)
    headers = stream.response.headers
    assert (text_of(chunks), chunks[-1].choices[0].finish_reason) == (TEXT, "stop")
    assert headers["location"] == f"/v1/chat/completions/{headers['headrace-stream-id']}?stream=true"
    assert chunks[0].model_extra == {"x_vendor": {"deep": [1]}}
    assert not any(chunk.usage for chunk in chunks)


def test_unknown_fields_of_a_request_go_on(house: House, client: openai.OpenAI) -> None:
    extra = {"x_thing": {"deep": [1, None]}}
    list(client.chat.completions.create(model="up/p-extra", messages=MESSAGES, stream=True, extra_body=extra))
    (asked,) = house.upstream.asked_for("p-extra")
    sent: Any = asked.json()
    assert sent["x_thing"] == extra["x_thing"]
    assert asked.headers["authorization"] == "Bearer sk-upstream-secret-0123456789"


def test_usage_comes_last_where_it_is_asked_for(client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model="up/p-usage", messages=MESSAGES, stream=True, stream_options=options)
    )
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [7]
    assert chunks[-1].choices == []


def test_an_answer_that_is_not_streamed(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="up/p-whole", messages=MESSAGES)
    reply = raw.parse()
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == (TEXT, "stop")
    assert reply.usage is not None
    assert reply.usage.total_tokens == 7
    again = client.chat.completions.retrieve(raw.headers["headrace-stream-id"])
    assert again.choices[0].message.content == TEXT
    assert text_of(list(rejoin(client, raw.headers["headrace-stream-id"], 0))) == TEXT


async def test_the_async_client_streams_too(house: House) -> None:
    async with openai.AsyncOpenAI(base_url=f"{house.server.url}/v1", api_key="sk-client") as client:
        stream = await client.chat.completions.create(model="up/p-async", messages=MESSAGES, stream=True)
        assert text_of([chunk async for chunk in stream]) == TEXT


def test_the_helper_takes_text_and_tool_calls(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="up/p-helper", messages=MESSAGES) as events:
        final = events.get_final_completion()
    assert final.choices[0].message.content == TEXT
    with client.chat.completions.stream(model="up/tools", messages=MESSAGES) as events:
        calls = events.get_final_completion().choices[0].message.tool_calls or []
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == CALLS


def test_a_character_cut_in_two_halves_passes(client: openai.OpenAI) -> None:
    """Both halves of a surrogate pair, escaped, each in a chunk of its own (U11)."""
    chunks = list(client.chat.completions.create(model="up/halves", messages=MESSAGES, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text.encode("utf-16", "surrogatepass").decode("utf-16") == "👋"


@pytest.mark.parametrize("after", [0, 1, 5, 20, 21, 22])
def test_a_client_that_left_rejoins_after_its_last_event(house: House, client: openai.OpenAI, after: int) -> None:
    """Nothing is lost or doubled, and the model is asked once. The first chunk has the role and no text."""
    model = f"up/p-rejoin-{after}"
    with client.chat.completions.create(model=model, messages=MESSAGES, stream=True) as stream:
        before = [next(stream) for _ in range(after)]
        id = stream.response.headers["headrace-stream-id"]
    rest = list(rejoin(client, id, after))
    assert text_of(before) == "".join(TOKENS[: max(0, after - 1)])
    assert text_of(before + rest) == TEXT
    assert len(before + rest) == 22
    assert len(house.upstream.asked_for(f"p-rejoin-{after}")) == 1


def test_the_chunks_own_id_finds_the_stream(client: openai.OpenAI) -> None:
    """``chatcmpl-…`` is all that a client may have kept."""
    first, *_ = client.chat.completions.create(model="up/p-named", messages=MESSAGES, stream=True)
    assert text_of(list(rejoin(client, first.id, 0))) == TEXT


def test_past_the_end_there_is_nothing(client: openai.OpenAI) -> None:
    """A cursor at the end gets 204, one beyond what there is 410, without a retry."""
    stream = client.chat.completions.create(model="up/p-end", messages=MESSAGES, stream=True)
    assert len(list(stream)) == 22
    id = stream.response.headers["headrace-stream-id"]
    assert list(rejoin(client, id, 23)) == []
    with pytest.raises(openai.APIStatusError) as caught:
        rejoin(client, id, 24)
    assert (caught.value.status_code, caught.value.code) == (410, "offset_ahead")


def test_cancel_is_an_error_to_the_reader_and_idempotent(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="up/stalls-p", messages=MESSAGES, stream=True)
    assert next(stream).choices[0].delta.role == "assistant"
    path = f"/chat/completions/{stream.response.headers['headrace-stream-id']}/cancel"
    replies: list[Any] = [client.post(path, cast_to=object) for _ in range(2)]
    assert [(reply["cancelled"], reply["status"]) for reply in replies] == [(True, "cancelled"), (False, "cancelled")]
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert caught.value.code == "cancelled"


def test_an_idempotency_key_attaches(house: House, client: openai.OpenAI) -> None:
    """Two at once are one stream and one call; another body under the key is refused."""
    key = {"Idempotency-Key": "key-p"}
    found: list[tuple[str, str]] = []

    def ask() -> None:
        stream = client.chat.completions.create(model="up/p-attach", messages=MESSAGES, stream=True, extra_headers=key)
        found.append((stream.response.headers["headrace-stream-id"], text_of(list(stream))))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [text for _, text in found] == [TEXT] * 3
    assert len({id for id, _ in found}) == 1
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.chat.completions.create(model="up/p-other", messages=MESSAGES, stream=True, extra_headers=key)
    assert caught.value.code == "idempotency_mismatch"
    assert len(house.upstream.asked_for("p-attach")) == 1
    assert house.upstream.asked_for("p-other") == []


def test_errors_are_of_the_right_class(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="nobody/knows", messages=MESSAGES, stream=True)
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="demo", messages=[], stream=True)
    assert bad.value.param == "messages"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve("st_unknown")


def test_models_are_listed(client: openai.OpenAI) -> None:
    listed = {model.id: model.owned_by for model in client.models.list()}
    assert (listed["m"], listed["demo"]) == ("up", "headrace")


@pytest.mark.parametrize("key", [None, "key-busy"])
def test_the_sdks_own_retries_find_the_answer(house: House, client: openai.OpenAI, key: str | None) -> None:
    """429 with ``retry-after: 0``, twice; then it streams. A refused start frees its idempotency key."""
    model = f"busy-{key}"
    stream = client.with_options(max_retries=2).chat.completions.create(
        model=f"up/{model}",
        messages=MESSAGES,
        stream=True,
        extra_headers={"Idempotency-Key": key} if key else {},
    )
    assert text_of(list(stream)) == TEXT
    assert len(house.upstream.asked_for(model)) == 3


def test_what_cannot_succeed_is_not_retried(house: House, client: openai.OpenAI) -> None:
    """The SDK retries every 5xx unless told otherwise; a key that the provider refuses is not worth it."""
    with pytest.raises(openai.InternalServerError) as caught:
        client.with_options(max_retries=2).chat.completions.create(model="up/locked", messages=MESSAGES)
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_error")
    assert len(house.upstream.asked_for("locked")) == 1
