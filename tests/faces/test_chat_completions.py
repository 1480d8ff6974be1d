"""OpenAI chat completions: verbatim both ways, early errors with their status, rejoin, fetch whole, stop."""

import asyncio
import json

import pytest
from tests.faces.front import MESSAGES, Fake, frames, front, script, token_text

from headrace.errors import ErrorDetail, UpstreamFault, UpstreamRefused, UpstreamTruncated
from headrace.model.outcome import Usage
from headrace.model.record import Record
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import End, chunk

CHAT = {"model": "fake", "stream": True, "messages": MESSAGES}
PATH = "/v1/chat/completions"


async def test_chunks_pass_verbatim():
    """Order of fields, white space, unknown fields and all."""
    odd = Record("", b'{"zebra": [1,  2],"choices":[{"delta":{"content":"\\u00fc","new":null},"index":0}],"id":"c1"}')
    async with front(Fake([odd, End("stop")])) as at:
        reply = await at.ask("POST", PATH, CHAT)
    assert [frame.data for frame in frames(reply.body)] == [odd.data, b"[DONE]"]


async def test_unknown_fields_of_a_request_reach_the_upstream():
    async with front(upstream := Fake(script("a"))) as at:
        body = {**CHAT, "logit_bias": {"1": -100}, "brand_new": {"deep": [1, None]}}
        await at.ask("POST", PATH, body)
    assert upstream.calls[0].body == body


async def test_nothing_but_blocks_with_data():
    """No id-only and no retry-only block, no comment before a blank line: they break openai-python."""
    async with front(Fake(script("a", "b"))) as at:
        body = (await at.ask("POST", PATH, CHAT)).body.decode()
    for block in body.removesuffix("\n\n").split("\n\n"):
        assert block.startswith("data: ")
        assert "\nid: st_" in block


@pytest.mark.parametrize("stream", [True, False])
async def test_an_early_error_keeps_its_status_and_the_providers_words(stream):
    detail = ErrorDetail(
        message="Too long.", type="invalid_request_error", code="context_length_exceeded", param="messages"
    )
    async with front(Fake(head=[UpstreamRefused(status=400, accepted=False, detail=detail)])) as at:
        reply = await at.ask("POST", PATH, {**CHAT, "stream": stream})
    assert reply.status == 400
    assert json.loads(reply.body)["error"] == {
        "message": "Too long.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }


async def test_a_late_error_is_a_frame_and_no_done():
    fault = UpstreamFault(code="overloaded", status=503, detail=ErrorDetail(message="Busy.", code="overloaded"))
    async with front(Fake([chunk("a"), fault])) as at:
        reply = await at.ask("POST", PATH, CHAT)
    assert reply.status == 200
    last = json.loads(frames(reply.body)[-1].data)
    assert last["error"]["message"] == "Busy."
    assert b"[DONE]" not in reply.body


async def test_a_whole_completion_is_what_the_upstream_sent():
    message = b'{"role":"assistant","content":"Hi"}'
    body = b'{"id":"chatcmpl-1", "choices":[{"index":0,"message":%b,"finish_reason":"stop"}]}' % message
    async with front(
        Fake([Record("", body), End("stop")], format="openai.chat.object", upstream_id="chatcmpl-1")
    ) as at:
        reply = await at.ask("POST", PATH, {**CHAT, "stream": False})
        assert reply.body == body
        again = await at.ask("GET", f"{PATH}/chatcmpl-1")
        assert json.loads(again.body)["choices"] == json.loads(body)["choices"]
        streamed = await at.ask("GET", f"{PATH}/chatcmpl-1?stream=true")
        assert token_text(frames(streamed.body)) == "Hi"
        assert frames(streamed.body)[-1].data == b"[DONE]"


async def test_a_finished_stream_is_fetched_whole():
    async with front(Fake(script("a", "b", usage=Usage(input=1, output=2)))) as at:
        id = (await at.ask("POST", PATH, CHAT)).headers["headrace-stream-id"]
        whole = await at.json("GET", f"{PATH}/{id}")
    assert (whole["object"], whole["id"]) == ("chat.completion", "chatcmpl-fake")
    assert whole["choices"][0]["message"]["content"] == "ab"
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"]["total_tokens"] == 3


async def test_a_growing_answer_is_not_fetched_whole_and_a_failed_one_is_its_error():
    go = asyncio.Event()
    async with front(Fake([chunk("a"), go, UpstreamTruncated()])) as at:
        async with at.open("POST", PATH, CHAT) as exchange:
            id = (await exchange.head()).headers["headrace-stream-id"]
            assert (await at.json("GET", f"{PATH}/{id}", status=409))["error"]["code"] == "stream_open"
            go.set()
            await exchange.rest()
        assert (await at.json("GET", f"{PATH}/{id}", status=502))["error"]["code"] == "upstream_truncated"


async def test_a_retry_attaches_to_the_running_stream():
    """One upstream call; the second client has it from its start."""
    go = asyncio.Event()
    async with front(upstream := Fake([chunk("a"), go, *script("b")])) as at:
        headers = {"idempotency-key": "k1"}
        async with at.open("POST", PATH, CHAT, headers) as one, at.open("POST", PATH, CHAT, headers) as two:
            await settle()
            go.set()
            assert await one.rest() == await two.rest()
        assert len(upstream.calls) == 1


async def test_a_refused_request_frees_its_key():
    """429 before anything was accepted: the retry starts anew."""
    refusals = [UpstreamRefused(code="rate_limit", status=429, accepted=False)]
    async with front(upstream := Fake(lambda _: script("a"), head=refusals)) as at:
        headers = {"idempotency-key": "k1"}
        assert (await at.ask("POST", PATH, CHAT, headers)).status == 429
        refusals.clear()
        assert (await at.ask("POST", PATH, CHAT, headers)).status == 200
        assert len(upstream.calls) == 2


@pytest.mark.parametrize("stream", [True, False])
async def test_leaving_under_policy_cancel_closes_the_upstream(stream):
    async with front(upstream := Fake([chunk("a"), asyncio.Event()])) as at:
        async with at.open("POST", PATH, {**CHAT, "stream": stream}, {"headrace-on-leave": "cancel"}):
            await settle()
            assert not upstream.answers[0].closed
        await settle()
        assert upstream.answers[0].closed
        listed = (await at.json("GET", "/v1/streams"))["data"][0]
        assert (listed["state"], listed["reason"]) == ("cancelled", "abandoned")


async def test_coming_back_in_time_loses_nothing_and_too_late_is_abandoned():
    for seconds, state in ((4, "completed"), (6, "cancelled")):
        go = asyncio.Event()
        async with front(Fake([chunk("a"), go, *script("b")])) as at:
            async with at.open("POST", PATH, CHAT) as exchange:
                seen = frames(await exchange.piece())
            await at.clock.advance(seconds)
            async with at.open("POST", PATH, CHAT, {"last-event-id": seen[-1].id}) as back:
                await settle()
                go.set()
                rest = frames(await back.rest())
            head = await at.ask("HEAD", f"/v1/streams/{seen[0].id.partition(':')[0]}")
            assert head.headers["headrace-state"] == state
            assert (token_text(seen) + token_text(rest) == "ab") == (state == "completed")
