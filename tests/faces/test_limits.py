"""What a key's quota says to requests, in each client's words."""

import asyncio
import json

import pytest
from tests.faces.front import ALICE, BOB, MESSAGES, Fake, front

from headrace.config import Price
from headrace.config.keys import Key
from headrace.model.outcome import Usage
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import End, chunk, finish

AUTHORIZED = {"authorization": f"Bearer {ALICE}"}
CHAT = {"model": "fake", "messages": MESSAGES, "stream": True}


PARTS = [{"type": "text", "text": "Hello"}]


def keys(**limits):
    return {"alice": Key.model_validate({"secret": ALICE, "limits": limits}), "bob": BOB}


def answering(*_: object) -> list[object]:
    return [chunk("Hi"), finish(), End()]


async def test_the_headers_tell_what_is_left_and_the_refusal_when_to_come_back():
    async with front(Fake(answering), keys=keys(requests_per_minute=2, tokens_per_minute=100_000)) as at:
        first, second, third = [await at.ask("POST", "/v1/chat/completions", CHAT, AUTHORIZED) for _ in range(3)]
        assert [reply.status for reply in (first, second, third)] == [200, 200, 429]
        assert [r.headers["x-ratelimit-remaining-requests"] for r in (first, second, third)] == ["1", "0", "0"]
        assert first.headers["x-ratelimit-limit-tokens"] == "100000"
        assert first.headers["x-ratelimit-reset-requests"] == "30.000s"
        assert third.headers["retry-after"] == "30"
        assert third.headers["x-should-retry"] == "true"
        assert json.loads(third.body)["error"]["code"] == "rate_limit"
        other = await at.ask("POST", "/v1/chat/completions", CHAT, {"authorization": f"Bearer {BOB}"})
        assert other.status == 200
        assert not [name for name in other.headers if "ratelimit" in name]


async def test_messages_has_anthropics_headers_and_errors():
    asked = {"model": "fake", "messages": MESSAGES, "max_tokens": 10}
    async with front(Fake(answering), keys=keys(requests_per_minute=1)) as at:
        first, second = [await at.ask("POST", "/v1/messages", asked, {"x-api-key": ALICE}) for _ in range(2)]
        assert first.headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert first.headers["anthropic-ratelimit-requests-reset"].endswith("Z")
        assert (second.status, json.loads(second.body)["error"]["type"]) == (429, "rate_limit_error")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 90_000, "max_output_tokens": 1}),
        ("/v1/responses", {"input": "Hello", "max_output_tokens": 90_000, "max_tokens": 1}),
        ("/v1/messages", {"messages": MESSAGES, "max_tokens": 90_000, "max_completion_tokens": 1}),
        ("/api/chat", {"id": "c", "messages": [{"role": "user", "parts": PARTS}], "maxOutputTokens": 90_000}),
    ],
)
async def test_what_is_reserved_is_what_the_upstream_is_told_that_it_may_use(path, body):
    """Another dialect's name for the limit of an answer takes nothing off it."""
    async with front(Fake(answering), keys=keys(tokens_per_minute=50_000)) as at:
        reply = await at.ask("POST", path, {"model": "fake", "stream": True, **body}, AUTHORIZED)
        assert reply.status == 429


async def test_another_dialects_limit_is_not_counted_however_large_it_is():
    async with front(Fake(answering), keys=keys(tokens_per_minute=50_000)) as at:
        asked = {**CHAT, "max_output_tokens": 10**400}
        assert (await at.ask("POST", "/v1/chat/completions", asked, AUTHORIZED)).status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/responses", {"model": "fake", "input": "Hello", "stream": True}),
        ("/v1/messages", {"model": "fake", "messages": MESSAGES, "max_tokens": 9, "stream": True}),
        (
            "/api/chat",
            {"id": "c", "model": "fake", "messages": [{"role": "user", "parts": [{"type": "text", "text": "x"}]}]},
        ),
        ("/chat", {"model": "fake", "message": "Hello"}),
        ("/infer", {"model": "fake", "message": "Hello"}),
    ],
)
async def test_every_face_that_begins_answers_counts_them(path, body):
    async with front(Fake(answering), keys=keys(requests_per_minute=1)) as at:
        assert (await at.ask("POST", path, body, AUTHORIZED)).status == 200
        assert (await at.ask("POST", path, body, AUTHORIZED)).status == 429


async def test_answers_at_once_are_counted_until_they_end():
    gate = asyncio.Event()
    async with front(Fake([chunk("Hi"), gate, finish(), End()]), keys=keys(concurrent_streams=1)) as at:
        async with at.open("POST", "/v1/chat/completions", CHAT, AUTHORIZED) as one:
            await one.head()
            assert (await at.ask("POST", "/v1/chat/completions", CHAT, AUTHORIZED)).status == 429
            gate.set()
            await one.response()
        await settle()
        assert (await at.ask("POST", "/v1/chat/completions", CHAT, AUTHORIZED)).status == 200


async def test_rejoining_retrying_and_stopping_are_never_counted():
    """Whoever has begun an answer may always come back to it."""
    keyed = {**AUTHORIZED, "idempotency-key": "once"}
    async with front(upstream := Fake(answering), keys=keys(requests_per_minute=1)) as at:
        first = await at.ask("POST", "/v1/chat/completions", CHAT, keyed)
        again = await at.ask("POST", "/v1/chat/completions", CHAT, keyed)
        id = first.headers["headrace-stream-id"]
        read = await at.ask("GET", f"/v1/streams/{id}", headers=AUTHORIZED)
        stopped = await at.ask("POST", f"/v1/streams/{id}/cancel", headers=AUTHORIZED)
        assert [reply.status for reply in (first, again, read, stopped)] == [200] * 4
        assert len(upstream.calls) == 1


async def test_tokens_are_reserved_from_what_the_request_allows():
    async with front(Fake(answering), keys=keys(tokens_per_minute=1000)) as at:
        refused = await at.ask("POST", "/v1/chat/completions", {**CHAT, "max_tokens": 2000}, AUTHORIZED)
        assert (refused.status, refused.headers["x-should-retry"]) == (429, "false")
        assert json.loads(refused.body)["error"]["code"] == "insufficient_quota"
        assert (await at.ask("POST", "/v1/chat/completions", {**CHAT, "max_tokens": 900}, AUTHORIZED)).status == 200


async def test_a_request_that_is_wrong_uses_nothing():
    async with front(Fake(answering), keys=keys(requests_per_minute=1)) as at:
        for wrong in ({**CHAT, "messages": 3}, {**CHAT, "model": "nope"}):
            assert (await at.ask("POST", "/v1/chat/completions", wrong, AUTHORIZED)).status in (400, 404)
        assert (await at.ask("POST", "/v1/chat/completions", CHAT, AUTHORIZED)).status == 200


async def test_readers_of_a_stream_are_limited_by_the_key_that_began_it():
    gate = asyncio.Event()
    async with front(Fake([chunk("Hi"), gate, finish(), End()]), keys=keys(readers_per_stream=2)) as at:
        async with at.open("POST", "/v1/chat/completions", CHAT, AUTHORIZED) as starter:
            url = f"/v1/streams/{(await starter.head()).headers['headrace-stream-id']}"
            async with at.open("GET", f"{url}?as=plain", headers=AUTHORIZED) as second:
                assert (await second.head()).status == 200
                assert (await at.ask("GET", url, headers=AUTHORIZED)).status == 429
            await settle()
            async with at.open("GET", url, headers=AUTHORIZED) as third:
                assert (await third.head()).status == 200
            gate.set()
            await starter.response()


@pytest.mark.parametrize("path", ["/v1/streams", "/v1/responses"])
async def test_deleting_an_answer_gives_nothing_of_the_budget_back(path):
    """Not even at once, before anybody has come to record it."""
    usage = Usage(input=1_000_000, output=0)
    prices = {"fake": Price(input=10, output=0)}
    spending = Fake(lambda *_: [chunk("Hi"), finish(), End("stop", usage)])
    async with front(spending, keys=keys(budget=10), prices=prices) as at:
        first = await at.ask("POST", "/v1/chat/completions", CHAT, AUTHORIZED)
        assert first.status == 200
        gone = await at.ask("DELETE", f"{path}/{first.headers['headrace-stream-id']}", headers=AUTHORIZED)
        assert gone.status == 200
        await at.clock.advance(6)
        second = await at.ask("POST", "/v1/chat/completions", CHAT, AUTHORIZED)
        assert (second.status, json.loads(second.body)["error"]["code"]) == (429, "insufficient_quota")


async def test_what_is_stored_and_spent_is_limited():
    async with front(Fake(answering), keys=keys(stored_bytes=1, budget=100)) as at:
        first = await at.ask("POST", "/v1/chat/completions", CHAT, AUTHORIZED)
        await at.clock.advance(6)
        second = await at.ask("POST", "/v1/chat/completions", CHAT, AUTHORIZED)
        assert (first.status, second.status) == (200, 429)
        assert "stored bytes" in json.loads(second.body)["error"]["message"]
