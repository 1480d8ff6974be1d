"""Left, rejoined and stopped with each client's own calls, over every provider's dialect."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
import requests
from anthropic.types import RawMessageStreamEvent
from openai.types.chat import ChatCompletionChunk
from tests.e2e import dialect_clients as clients
from tests.e2e.dialect_clients import KEY, SECONDS, STREAMED, Seen
from tests.e2e.dialect_house import SCENARIOS, SPEAKS, House, dialect_house

from headrace.wire.sse import Decoder

pytestmark = pytest.mark.slow

TEXT = SCENARIOS["text"].said.text


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with dialect_house(tmp_path_factory.mktemp("house")) as made:
        yield made


# -- leaving and coming back -----------------------------------------------------------------------------------------


def _chat(url: str, model: str, cut: int) -> list[Any]:
    """The SDK hides the ids of its events, so who rejoins asks for all and leaves out as many as it has seen."""
    client = clients.openai_client(url)
    stream = client.chat.completions.create(model=model, stream=True, **clients.chat_request(""))
    seen = _some(stream, cut)
    again = client.get(
        f"/chat/completions/{stream.response.headers['headrace-stream-id']}",
        cast_to=ChatCompletionChunk,
        stream=True,
        stream_cls=openai.Stream[ChatCompletionChunk],
        options={"params": {"stream": "true"}},
    )
    return _joined(seen, again)


def _responses(url: str, model: str, cut: int) -> list[Any]:
    """``starting_after`` is the number of the last event."""
    client = clients.openai_client(url)
    stream = client.responses.create(model=model, stream=True, **clients.responses_request(""))
    seen = _some(stream, cut)
    rest = client.responses.retrieve(seen[0].response.id, stream=True, starting_after=seen[-1].sequence_number)
    events = [*seen, *rest]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    return events


def _messages(url: str, model: str, cut: int) -> list[Any]:
    client = clients.anthropic_client(url)
    stream = client.messages.create(model=model, stream=True, **clients.messages_request(""))
    seen = _some(stream, cut)
    again = client.get(
        f"/v1/messages/{stream.response.headers['headrace-stream-id']}",
        cast_to=RawMessageStreamEvent,
        stream=True,
        stream_cls=anthropic.Stream[RawMessageStreamEvent],
        options={"params": {"stream": "true"}},
    )
    return _joined(seen, again)


def _some(stream: Any, count: int) -> list[Any]:
    """The first events; then the connection is closed."""
    seen = []
    for event in stream:
        seen.append(event)
        if len(seen) == count:
            break
    stream.response.close()
    return seen


def _joined(seen: list[Any], again: Any) -> list[Any]:
    everything = list(again)
    assert everything[: len(seen)] == seen
    return seen + everything[len(seen) :]


REJOIN: dict[str, tuple[Callable[[str, str, int], list[Any]], Callable[[Seen, Any], None]]] = {
    "chat": (_chat, clients.read_chat),
    "responses": (_responses, clients.read_responses),
    "messages": (_messages, clients.read_messages),
}


@pytest.mark.parametrize("cut", [1, 2, 4, 5, 7])
@pytest.mark.parametrize("upstream", SPEAKS)
@pytest.mark.parametrize("client", REJOIN)
def test_who_left_comes_back_with_its_own_call(house: House, client: str, upstream: str, cut: int) -> None:
    """The text is exact, and the provider was asked once."""
    rejoin, read = REJOIN[client]
    model = f"{upstream}/text-{client}-{cut}"
    seen = Seen()
    read(seen, rejoin(house.server.url, model, cut))
    assert seen.said == TEXT
    assert seen.finish in {"stop", "completed", "end_turn"}
    assert len(house.asked(model)) == 1


@pytest.mark.parametrize("upstream", SPEAKS)
def test_a_page_that_reloads_reads_its_chat_from_the_start(house: House, upstream: str) -> None:
    """Twice in the middle, and once after the end: it is replayed for a while."""
    chat, url = f"chat-{upstream}", house.server.url
    model = f"{upstream}/paced-{chat}"
    body = {"id": chat, "model": model, **clients.ui_request("")}
    first = requests.post(f"{url}/api/chat", json=body, stream=True, timeout=SECONDS)
    id = _first_id(first)
    second = requests.get(f"{url}/api/chat/{chat}/stream", stream=True, timeout=SECONDS)
    assert _first_id(second) == id
    requests.get(f"{house.upstream.url}/release/{chat}", timeout=SECONDS)
    for _ in range(2):
        seen = Seen()
        with requests.get(f"{url}/api/chat/{chat}/stream", stream=True, timeout=SECONDS) as reply:
            clients.read_ui(seen, reply)
        assert (seen.id, seen.said, seen.finish) == (id, TEXT, "stop")
    assert len(house.asked(model)) == 1


def _first_id(reply: requests.Response) -> str:
    """The message's id in the first frame; then the connection is closed."""
    decoder = Decoder()
    for data in reply.iter_content(None):
        for frame in decoder.feed(data):
            reply.close()
            return str(json.loads(frame.data)["messageId"])
    raise AssertionError("nothing came")


def test_the_responses_helper_rejoins_by_id(house: House) -> None:
    """It wants the whole replay, and leaves out by itself what came before."""
    client = clients.openai_client(house.server.url)
    with client.responses.stream(model="chat/text-helper", **clients.responses_request("")) as stream:
        events = list(stream)
    id = events[0].response.id
    with client.responses.stream(response_id=id, starting_after=4) as again:
        rest = list(again)
        final = again.get_final_response()
    assert [event.sequence_number for event in rest] == [event.sequence_number for event in events[5:]]
    assert final.output_text == TEXT


# -- stopping --------------------------------------------------------------------------------------------------------


def _cancel_chat(url: str, seen: Seen, _: str) -> None:
    clients.openai_client(url).post(f"/chat/completions/{seen.id}/cancel", cast_to=object)


def _cancel_response(url: str, seen: Seen, _: str) -> None:
    assert clients.openai_client(url).responses.cancel(seen.id).status == "cancelled"


def _cancel_message(url: str, seen: Seen, _: str) -> None:
    clients.anthropic_client(url).post(f"/v1/messages/{seen.id}/cancel", cast_to=object)


def _cancel_ui(url: str, seen: Seen, model: str) -> None:
    reply = requests.post(f"{url}/api/chat/chat-{model}/stop", json={"messageId": seen.id}, timeout=SECONDS)
    assert reply.json()["cancelled"] is True


CANCEL = {
    "chat": _cancel_chat,
    "responses": _cancel_response,
    "messages": _cancel_message,
    "ui": _cancel_ui,
}
#: How a watcher in each dialect sees a stop.
SAYS_STOPPED = {
    "chat": '"code":"cancelled"',
    "responses": '"status":"cancelled"',
    "messages": '"code":"cancelled"',
    "ui": '"type":"abort"',
}


@pytest.mark.parametrize("upstream", SPEAKS)
@pytest.mark.parametrize("client", CANCEL)
def test_a_stop_from_elsewhere_ends_the_call_and_everybody_sees_it(house: House, client: str, upstream: str) -> None:
    """In its dialect's own way: the one who asked, and a watcher of each dialect."""
    url, model = house.server.url, f"{upstream}/stalls-{client}"
    seen: list[Seen] = []
    asking = threading.Thread(target=lambda: seen.append(STREAMED[client](url, model)))
    asking.start()
    (request,) = _until(lambda: house.asked(model))
    (stream,) = [one for one in _streams(url) if one["model"] == model]
    watchers = {name: _watch(url, stream["id"], name) for name in SAYS_STOPPED}
    CANCEL[client](url, Seen(id=_own_id(url, stream["id"], client)), model)
    asking.join(SECONDS)
    assert seen[0].error == "cancelled"
    connection = house.upstream.server.connections[request.connection]
    assert _until(connection.closed.is_set)
    for name, watcher in watchers.items():
        assert SAYS_STOPPED[name] in watcher.text.replace(": ", ":"), name
        assert "[DONE]" not in watcher.text


def _streams(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = requests.get(f"{url}/v1/streams", timeout=SECONDS).json()["data"]
    return found


def _watch(url: str, id: str, name: str) -> requests.Response:
    return requests.get(f"{url}/v1/streams/{id}?as={name}", stream=True, timeout=SECONDS, headers={"x-api-key": KEY})


def _own_id(url: str, stream: str, client: str) -> str:
    """The id that the client itself has been told, in the first frames of its dialect."""
    with _watch(url, stream, client) as reply:
        decoder = Decoder()
        for data in reply.iter_content(None):
            for frame in decoder.feed(data):
                value = json.loads(frame.data)
                return str((value.get("response") or value.get("message") or value).get("id") or value["messageId"])
    raise AssertionError("nothing came")


def _until(found: Callable[[], Any]) -> Any:
    """What a condition gives, once it gives something."""
    deadline = time.monotonic() + SECONDS
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return value
