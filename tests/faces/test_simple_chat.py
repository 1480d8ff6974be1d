"""The simple faces, line by line of what is promised to people who write their own page."""

import asyncio
import json

import pytest
from tests.faces.front import MESSAGES, Fake, blocks, frames, front, script

from headrace.errors import UpstreamRefused, UpstreamTruncated
from headrace.model.outcome import Usage
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import End, chunk, finish

USAGE = Usage(input=3, output=2)
SIMPLE = {"model": "fake", "message": "Hello"}
HISTORY = {"model": "fake", "messages": MESSAGES}
ROUTES = ("/chat", "/chat/stream", "/v1/chat/stream", "/infer")
COUNTS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def data_of(block: str):
    return json.loads(next(line for line in block.split("\n") if line.startswith("data: "))[6:])


def events(body: bytes) -> list[str]:
    return [frame.event for frame in frames(body)]


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/chat", SIMPLE, False),
        ("/chat", HISTORY, False),
        ("/chat/stream", SIMPLE, False),
        ("/chat/stream", HISTORY, True),
        ("/v1/chat/stream", SIMPLE, True),
        ("/v1/chat/stream", HISTORY, True),
    ],
)
async def test_which_route_answers_in_which_form(path, body, named):
    async with front(Fake(script("a", "b", usage=USAGE))) as at:
        reply = await at.ask("POST", path, body)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    names = events(reply.body)
    assert names == (["start", "token", "token", "done", "close"] if named else [""] * 4)


async def test_unnamed_events_to_the_letter():
    async with front(Fake(script("a", "ü", usage=USAGE))) as at:
        reply = await at.ask("POST", "/chat", SIMPLE)
    told = [data_of(block) for block in blocks(reply.body)]
    assert told == [
        {"content": "", "done": False},
        {"content": "a", "done": False},
        {"content": "ü", "done": False},
        {"content": "", "done": True, "finish_reason": "stop", "usage": COUNTS},
    ]


async def test_named_events_to_the_letter():
    async with front(Fake(script("a", "ü", usage=USAGE))) as at:
        reply = await at.ask("POST", "/v1/chat/stream", SIMPLE)
    id = reply.headers["headrace-stream-id"]
    told = [(frame.event, json.loads(frame.data)) for frame in frames(reply.body)]
    assert told == [
        ("start", {"id": id, "model": "fake"}),
        ("token", {"token": "a", "t": "a"}),
        ("token", {"token": "ü", "t": "ü"}),
        ("done", {"finish_reason": "stop", "usage": COUNTS, "usage_exact": True, "chars": 2}),
        ("close", {}),
    ]
    for block in blocks(reply.body):
        assert [line.partition(":")[0] for line in block.split("\n")][:3] == ["event", "data", "id"]


async def test_infer_lines_to_the_letter():
    """One id for all lines; the finish reason is null until the last."""
    async with front(Fake(script("a", "b", usage=USAGE))) as at:
        reply = await at.ask("POST", "/infer", SIMPLE)
    assert reply.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in reply.body.decode().splitlines()]
    id = reply.headers["headrace-stream-id"]
    contents = [("a", None), ("b", None), ("", "stop")]
    assert lines == [
        {
            "id": id,
            "created": 1_800_000_000,
            "model": "fake",
            "choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": reason, "index": 0}],
        }
        for content, reason in contents
    ]


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        ("text/plain", True),
        ("text/plain;q=0.9, */*", True),
        ("application/json, text/plain, */*", False),  # axios
        ("*/*", False),
        ("text/event-stream", False),
    ],
)
async def test_bare_text_for_who_asks_for_it(accept, text):
    """The first type that is accepted decides."""
    async with front(Fake(script("a", "ü"))) as at:
        reply = await at.ask("POST", "/chat", SIMPLE, {"accept": accept})
    assert reply.headers["content-type"].startswith("text/plain" if text else "text/event-stream")
    assert (reply.body == "aü".encode()) == text


@pytest.mark.parametrize("path", ROUTES)
async def test_json_on_every_route_where_it_is_not_to_stream(path):
    whole = chunk("")._replace(
        data=json.dumps(
            {
                "id": "chatcmpl-fake",
                "object": "chat.completion",
                "model": "fake",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "aü"}, "finish_reason": "length"}],
                "usage": COUNTS,
            }
        ).encode()
    )
    async with front(Fake([whole, End("length", USAGE)], format="openai.chat.object")) as at:
        reply = await at.ask("POST", path, {**SIMPLE, "stream": False})
    assert reply.headers["content-type"] == "application/json"
    assert json.loads(reply.body) == {
        "id": reply.headers["headrace-stream-id"],
        "model": "fake",
        "content": "aü",
        "finish_reason": "length",
        "usage": COUNTS,
    }


async def test_what_reaches_the_upstream_is_what_was_asked_and_no_invented_default():
    async with front(upstream := Fake(lambda _: script("a"))) as at:
        await at.ask("POST", "/chat", SIMPLE)
        asked = {**SIMPLE, "max_tokens": 7, "temperature": 0.5, "stop": ["x"], "system": "Be brief.", "unknown": 1}
        await at.ask("POST", "/chat", asked)
        await at.ask("GET", "/chat/stream?message=Hello&model=fake&max_tokens=7&temperature=0.5")
    plain, full, query = (call.body for call in upstream.calls)
    assert plain == {"messages": MESSAGES, "model": "fake", "stream": True}
    system = {"role": "system", "content": "Be brief."}
    settings = {"max_tokens": 7, "temperature": 0.5}
    assert full == {**plain, **settings, "messages": [system, *MESSAGES], "stop": ["x"]}
    assert query == {**plain, **settings}


async def test_without_a_model_the_default_answers():
    """The first real upstream's here, before the demo."""
    async with front(upstream := Fake(lambda _: script("a"))) as at:
        await at.ask("POST", "/chat", {"message": "x"})
        assert upstream.calls[0].model == "fake"
    async with front() as at:
        reply = await at.ask("POST", "/v1/chat/stream", {"message": "x", "max_tokens": 3})
        assert data_of(blocks(reply.body)[0])["model"] == "demo"
    async with front(default_model="demo/echo") as at:
        reply = await at.ask("POST", "/chat", {"message": "a b"}, {"accept": "text/plain"})
        assert reply.body == b"a b"


async def test_another_name_for_a_demo_model_says_whose_answer_it_is():
    async with front(models={"gpt-4o": ("demo/echo",)}) as at:
        reply = await at.ask("POST", "/v1/chat/stream", {"message": "x", "model": "gpt-4o"})
        assert data_of(blocks(reply.body)[0])["model"] == "demo/echo"


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "", None])
async def test_json_is_read_whatever_the_content_type_says(content_type):
    """A bare ``fetch(url, {body})`` says text/plain."""
    headers = {} if content_type is None else {"content-type": content_type}
    async with front(Fake(script("a"))) as at:
        assert (await at.ask("POST", "/chat", SIMPLE, headers)).status == 200


@pytest.mark.parametrize("path", ["/chat/stream", "/chat/completions"])
async def test_event_source_starts_by_get_and_continues_by_its_last_id(path):
    """The same URL with ``Last-Event-ID`` is the same stream; past the end 204 stops the browser."""
    async with front(upstream := Fake(lambda _: script("a", "b"))) as at:
        reply = await at.ask("GET", f"{path}?message=x&model=fake")
        read = frames(reply.body)
        assert [json.loads(frame.data)["done"] for frame in read] == [False, False, False, True]
        again = await at.ask("GET", f"{path}?message=x&model=fake", headers={"last-event-id": read[1].id})
        assert frames(again.body) == read[2:]
        last = await at.ask("GET", f"{path}?message=x&model=fake", headers={"last-event-id": read[-1].id})
        assert last.status == 204
        only_the_id = await at.ask("GET", path, headers={"last-event-id": read[0].id})
        assert frames(only_the_id.body) == read[1:]
        assert len(upstream.calls) == 1


async def test_post_on_the_alias_is_the_openai_face():
    async with front(Fake(script("a"))) as at:
        reply = await at.ask("POST", "/chat/completions", {**HISTORY, "stream": True})
    assert b'"object":"chat.completion.chunk"' in reply.body
    assert frames(reply.body)[-1].data == b"[DONE]"


@pytest.mark.parametrize(
    ("error", "code", "retry"),
    [
        (UpstreamTruncated(), "truncated", True),
        (UpstreamRefused(code="rate_limit", status=429), "rate_limit", True),
        (UpstreamRefused(status=503), "overloaded", True),
    ],
)
async def test_a_failure_in_the_middle_is_told_and_done_never_follows(error, code, retry):
    """The code of the table, words of ours, and whether trying again makes sense."""
    async with front(Fake(lambda _: [chunk("a"), error])) as at:
        unnamed = frames((await at.ask("POST", "/chat", SIMPLE)).body)
        named = frames((await at.ask("POST", "/v1/chat/stream", SIMPLE)).body)
    assert [frame.event for frame in unnamed] == ["", "", "error"]
    assert [frame.event for frame in named] == ["start", "token", "error", "close"]
    for told in (json.loads(unnamed[-1].data), json.loads(named[-2].data)):
        assert (told["code"], told["retry"]) == (code, retry)
        assert set(told) == {"code", "message", "retry"}


async def test_an_early_failure_has_a_status_where_there_is_no_event_for_it():
    """On /infer and for bare text; with our words."""
    refusal = UpstreamRefused(code="rate_limit", status=429, accepted=False, retry_after=7)
    async with front(Fake(head=[refusal])) as at:
        for path, accept in (("/infer", "*/*"), ("/chat", "text/plain")):
            reply = await at.ask("POST", path, SIMPLE, {"accept": accept})
            assert (reply.status, reply.complete) == (429, True)
            assert json.loads(reply.body)["error"]["code"] == "rate_limit"
            assert reply.headers["retry-after"] == "7"
        for path in ROUTES:
            reply = await at.ask("POST", path, {**SIMPLE, "stream": False})
            assert reply.status == 429
            assert json.loads(reply.body)["error"]["code"] == "rate_limit"


async def test_a_length_stop_is_done_and_no_error():
    async with front(Fake([chunk("a"), [finish("length")], End("length")])) as at:
        reply = await at.ask("POST", "/v1/chat/stream", SIMPLE)
    assert events(reply.body) == ["start", "token", "done", "close"]
    assert b'"finish_reason":"length"' in reply.body


async def test_usage_that_nobody_gives_is_estimated_and_says_so():
    """Four characters a token for Latin scripts, one for CJK."""
    async with front(Fake(lambda _: script("abcdefgh", "日本語"))) as at:
        reply = await at.ask("POST", "/v1/chat/stream", {**SIMPLE, "message": "12345678日本"})
    done = json.loads(frames(reply.body)[-2].data)
    assert done["usage"] == {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}
    assert done["usage_exact"] is False
    assert done["chars"] == 11


async def test_a_stop_is_told_on_named_and_unnamed_streams():
    for path, last in (("/v1/chat/stream", ["cancelled", "close"]), ("/chat", ["error"])):
        async with front(Fake([chunk("a"), asyncio.Event()])) as at:
            async with at.open("POST", path, SIMPLE) as exchange:
                id = (await exchange.head()).headers["headrace-stream-id"]
                await settle()
                await at.ask("POST", f"/v1/streams/{id}/cancel")
                body = await exchange.rest()
        assert events(body)[-len(last) :] == last
        assert b'"done":true' not in body


async def test_a_conversation_is_a_name_of_its_latest_stream():
    async with front(Fake(lambda _: script("a"))) as at:
        for _ in range(2):
            reply = await at.ask("POST", "/chat", {**SIMPLE, "conversation": "c1"})
        head = await at.ask("HEAD", "/v1/streams/c1")
        assert head.headers["headrace-stream-id"] == reply.headers["headrace-stream-id"]
        refused = await at.ask("POST", "/chat", {**SIMPLE, "conversation": "c" * 300})
        assert refused.status == 400
