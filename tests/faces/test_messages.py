"""Anthropic Messages: verbatim or converted, early errors with their status, rejoin, fetch whole, stop, count."""

import asyncio
import json

import anthropic
import httpx2
import pytest
from anthropic.types import Message
from tests.faces.front import ALICE, BOB, KEYS, MESSAGES, Fake, blocks, frames, front, script
from tests.faces.test_passthrough import Forwarder

from headrace.errors import ErrorDetail, UpstreamFault, UpstreamRefused, UpstreamTruncated, UpstreamUnreachable
from headrace.model import dialect
from headrace.model.outcome import Usage
from headrace.model.record import Record
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import End, chunk
from headrace.testing.spoken import Said, spoken, whole_body
from headrace.upstreams.prepare import prepared
from headrace.wire.sse import Decoder

PATH = "/v1/messages"
ASK = {"model": "fake", "max_tokens": 100, "messages": MESSAGES}
STREAM = {**ASK, "stream": True}
SAID = Said(texts=("Hel", "lo"))
RECORDS = [
    Record(frame.event, frame.data)
    for frame in Decoder().feed(b"".join(spoken(dialect.MESSAGES, SAID)))
    if frame.event != "ping"
]


def native(*steps, **options):
    """An upstream that speaks Messages; by itself it says ``SAID``."""
    played = steps or (RECORDS, End("stop", Usage(input=11, output=7)))
    options = {"format": dialect.MESSAGES, "upstream_id": "msg_spoken", **options}
    return Fake(lambda _: played, **options)


class Chat(Fake):
    """An upstream that speaks OpenAI chat and nothing else."""

    def prepare(self, call):
        return prepared(call, (dialect.CHAT,))


def answered(usage=None):
    """One of these that says ``SAID``."""
    return Chat(lambda _: script("Hel", "lo", usage=usage))


def events(body):
    """The data of a stream's events; each is named as it calls itself."""
    found = [(frame.event, json.loads(frame.data)) for frame in frames(body)]
    assert all(name == value["type"] for name, value in found)
    return [value for _, value in found]


def text_of(body):
    return "".join(value["delta"].get("text", "") for value in events(body) if value["type"] == "content_block_delta")


# -- starting ----------------------------------------------------------------------------------------------------------


async def test_events_pass_verbatim():
    """Order of fields, white space, unknown events and all."""
    odd = [
        Record("message_start", b'{"zebra": [1,  2],"type":"message_start","message":{"id":"msg_spoken"}}'),
        Record("brand_new", b'{"type":"brand_new"}'),
        *RECORDS[-2:],
    ]
    async with front(native(odd, End())) as at:
        reply = await at.ask("POST", PATH, STREAM)
    assert reply.complete
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert [(frame.event, frame.data) for frame in frames(reply.body)] == odd


@pytest.mark.parametrize("stream", [True, False])
async def test_a_request_reaches_an_upstream_of_its_dialect_as_it_is(stream):
    """Body, query string and the headers that mean something there; no credentials."""
    body = {**ASK, "stream": stream, "brand_new": {"deep": [1, None]}}
    headers = {"anthropic-version": "2026-10-21", "anthropic-beta": "a-1,b-2", "x-api-key": "secret", "cookie": "c=1"}
    async with front(upstream := native()) as at:
        await at.ask("POST", f"{PATH}?beta=true&x=%20y", body, headers)
    (call,) = upstream.calls
    assert (call.dialect, call.body, call.stream) == (dialect.MESSAGES, body, stream)
    assert call.headers == {"anthropic-version": "2026-10-21", "anthropic-beta": "a-1,b-2"}
    assert call.query == "beta=true&x=%20y"


async def test_another_upstream_is_asked_in_its_own_words():
    headers = {"anthropic-version": "2023-06-01"}
    async with front(upstream := answered()) as at:
        reply = await at.ask("POST", f"{PATH}?beta=true", {**STREAM, "system": "Be kind."}, headers)
    (call,) = upstream.calls
    assert (call.dialect, call.headers, call.query) == (dialect.CHAT, {}, "")
    assert [message["role"] for message in call.body["messages"]] == ["system", "user"]
    kinds = [value["type"] for value in events(reply.body)]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert text_of(reply.body) == "Hello"


async def test_a_converted_stream_counts_its_prompt_by_estimate_until_it_knows():
    async with front(answered(Usage(input=321, output=2))) as at:
        told = events((await at.ask("POST", PATH, STREAM)).body)
    start, delta = told[0]["message"], told[-2]
    assert (start["model"], start["role"], start["usage"]["input_tokens"]) == ("fake", "assistant", 2)
    assert start["id"].startswith("msg_")
    assert (delta["usage"]["input_tokens"], delta["usage"]["output_tokens"]) == (321, 2)
    assert delta["delta"]["stop_reason"] == "end_turn"


async def test_what_another_upstream_cannot_be_asked_is_refused_by_name():
    body = {**STREAM, "messages": [{"role": "user", "content": [{"type": "brand_new"}]}]}
    async with front(upstream := answered()) as at:
        told = await at.json("POST", PATH, body, status=400)
    assert (told["type"], told["error"]["type"]) == ("error", "invalid_request_error")
    assert told["error"]["param"].startswith("messages[0].content[0]")
    assert upstream.calls == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({**ASK, "model": 1}, "model"),
        ({**ASK, "messages": []}, "messages"),
        ({"model": "fake"}, "messages"),
        ({**ASK, "messages": [{"content": "x"}]}, "messages[0].role"),
        ({**ASK, "stream": "yes"}, "stream"),
        ({**ASK, "max_tokens": "many"}, "max_tokens"),
        ({**ASK, "max_tokens": -1}, "max_tokens"),
        ({**ASK, "system": 1}, "system"),
        ({**ASK, "tools": {}}, "tools"),
        ({**ASK, "stop_sequences": [1]}, "stop_sequences"),
        ({**ASK, "model": "nobody's/model"}, "model"),
    ],
)
async def test_a_wrong_field_is_named(body, param):
    async with front(native(), Fake(name="second")) as at:
        for path in (PATH, f"{PATH}/count_tokens"):
            reply = await at.ask("POST", path, body)
            assert (reply.status, json.loads(reply.body)["error"]["param"]) == (
                404 if "/" in param else reply.status,
                param,
            )
            assert reply.status in (400, 404)


async def test_only_an_answer_needs_a_limit():
    body = {"model": "fake", "messages": MESSAGES}
    async with front(native()) as at:
        assert (await at.json("POST", PATH, body, status=400))["error"]["param"] == "max_tokens"
        assert (await at.ask("POST", f"{PATH}/count_tokens", body)).status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b"null"])
async def test_what_is_no_object_is_refused(body):
    async with front(native()) as at:
        for path in (PATH, f"{PATH}/count_tokens"):
            assert (await at.json("POST", path, body, status=400))["error"]["type"] == "invalid_request_error"


async def test_replies_carry_what_anthropics_sdks_look_for():
    """The request's id, on errors too; where to rejoin; and keep-alives' and proxies' headers."""
    async with front(native()) as at:
        for body in (ASK, STREAM, {}):
            reply = await at.ask("POST", PATH, body, {"x-request-id": "r1"})
            assert (reply.headers["request-id"], reply.headers["x-request-id"]) == ("r1", "r1")
        reply = await at.ask("POST", PATH, STREAM)
        id = reply.headers["headrace-stream-id"]
        assert reply.headers["location"] == f"{PATH}/{id}?stream=true"
        assert (await at.ask("GET", reply.headers["location"])).body.count(b"event: ") == len(RECORDS)


async def test_keep_alives_are_pings():
    go = asyncio.Event()
    async with front(native(RECORDS[:2], go, RECORDS[2:], End())) as at:
        async with at.open("POST", PATH, STREAM) as exchange:
            await exchange.piece()
            await at.clock.advance(16)
            assert await exchange.piece() == b'event: ping\ndata: {"type": "ping"}\n\n'
            go.set()
            assert text_of(await exchange.rest()) == "Hello"


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("error", "type", "again"),
    [
        (UpstreamRefused(status=400, detail=ErrorDetail(message="Too long.")), "invalid_request_error", "false"),
        (UpstreamRefused(status=429, code="rate_limit", retry_after=7), "rate_limit_error", "true"),
        (UpstreamRefused(status=503, code="overloaded"), "overloaded_error", "true"),
        (UpstreamUnreachable(), "api_error", "true"),
    ],
)
async def test_an_early_error_keeps_its_status(stream, error, type, again):
    error.retryable = again == "true"
    async with front(native(head=[error])) as at:
        reply = await at.ask("POST", PATH, {**ASK, "stream": stream})
    told = json.loads(reply.body)
    assert (reply.status, told["type"], told["error"]["type"]) == (error.status, "error", type)
    assert reply.headers["x-should-retry"] == again
    assert reply.headers.get("retry-after") == ("7" if error.retry_after else None)


@pytest.mark.parametrize("make", [native, Chat])
async def test_a_late_error_is_an_event_and_no_normal_end(make):
    steps = RECORDS[:4] if make is native else chunk("Hel")
    fault = UpstreamFault(code="overloaded", status=503, detail=ErrorDetail(message="Busy.", type="overloaded_error"))
    async with front(make(steps, fault) if make is native else make([steps, fault])) as at:
        reply = await at.ask("POST", PATH, STREAM)
    told = events(reply.body)
    assert reply.status == 200
    assert told[-1]["error"]["type"] == "overloaded_error"
    assert told[-1]["error"]["message"] == "Busy."
    assert not {"message_delta", "message_stop"} & {value["type"] for value in told}


async def test_a_whole_message_that_fails_is_its_error():
    async with front(native(RECORDS[:4], UpstreamTruncated())) as at:
        told = await at.json("POST", PATH, ASK, status=502)
    assert (told["error"]["type"], told["error"]["code"]) == ("api_error", "upstream_truncated")


# -- whole -------------------------------------------------------------------------------------------------------------


async def test_a_whole_message_is_what_the_upstream_sent():
    body = whole_body(dialect.MESSAGES, SAID)
    async with front(native(Record("", body), End(), format="anthropic.messages.object")) as at:
        reply = await at.ask("POST", PATH, ASK)
        assert (reply.body, reply.headers["content-type"]) == (body, "application/json")
        assert (await at.ask("GET", f"{PATH}/msg_spoken")).body == body
        assert text_of((await at.ask("GET", f"{PATH}/msg_spoken?stream=true")).body) == "Hello"


@pytest.mark.parametrize("make", [native, answered])
async def test_a_whole_message_is_made_of_a_stream(make):
    """Of another dialect, or of an upstream that streams whatever it was asked."""
    async with front(make()) as at:
        reply = await at.ask("POST", PATH, ASK)
        started = await at.ask("POST", PATH, STREAM)
        again = await at.json("GET", f"{PATH}/{started.headers['headrace-stream-id']}")
    told = json.loads(reply.body)
    message = Message.model_validate(told)
    assert message.content[0].text == "Hello"
    assert (message.type, message.role, message.stop_reason) == ("message", "assistant", "end_turn")
    assert again | {"id": ""} == told | {"id": ""}


async def test_the_id_that_a_client_saw_finds_its_stream():
    """The upstream's where it has one of this kind, else ours."""
    for upstream in (native(), answered()):
        async with front(upstream) as at:
            reply = await at.ask("POST", PATH, STREAM)
            id = events(reply.body)[0]["message"]["id"]
            whole = await at.json("GET", f"{PATH}/{id}")
            assert (whole["id"], whole["content"][0]["text"]) == (id, "Hello")


async def test_a_growing_message_is_not_fetched_whole_and_a_failed_one_is_its_error():
    go = asyncio.Event()
    async with front(native(RECORDS[:3], go, UpstreamTruncated())) as at:
        async with at.open("POST", PATH, STREAM) as exchange:
            id = (await exchange.head()).headers["headrace-stream-id"]
            told = await at.json("GET", f"{PATH}/{id}", status=409)
            assert (told["error"]["type"], told["error"]["code"]) == ("conflict_error", "stream_open")
            go.set()
            await exchange.rest()
        assert (await at.json("GET", f"{PATH}/{id}", status=502))["error"]["code"] == "upstream_truncated"


# -- rejoining ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [native, answered])
async def test_every_cursor_gets_what_is_missing(make):
    """By header and by query, and by repeating the request; at the end there is nothing left."""
    async with front(upstream := make()) as at:
        reply = await at.ask("POST", PATH, STREAM)
        all_of_it, id = frames(reply.body), reply.headers["headrace-stream-id"]
        for place, frame in enumerate(all_of_it):
            cursor = frame.id.rpartition(":")[2]
            rest = [(each.event, each.data) for each in all_of_it[place + 1 :]]
            asked = [
                at.ask("GET", f"{PATH}/{id}?stream=true", headers={"last-event-id": cursor}),
                at.ask("GET", f"{PATH}/{id}?stream=true&starting_after={cursor}"),
                at.ask("GET", f"{PATH}/{id}?stream=true&after={cursor}"),
                at.ask("POST", PATH, STREAM, {"last-event-id": frame.id}),
            ]
            for found in await asyncio.gather(*asked):
                assert [(each.event, each.data) for each in frames(found.body)] == rest
                assert found.status == (200 if rest else 204)
        assert (await at.ask("GET", f"{PATH}/{id}?stream=true&after=99")).status == 410
        assert len(upstream.calls) == 1


async def test_ids_name_their_stream_only_where_the_url_does_not():
    async with front(native()) as at:
        reply = await at.ask("POST", PATH, STREAM)
        id = reply.headers["headrace-stream-id"]
        again = await at.ask("GET", f"{PATH}/{id}?stream=true")
    assert all(f"\nid: {id}:" in block for block in blocks(reply.body))
    assert not any(f"id: {id}" in block for block in blocks(again.body))


@pytest.mark.parametrize("stream", [True, False])
async def test_a_retry_attaches_to_the_running_stream(stream):
    go = asyncio.Event()
    async with front(upstream := native(RECORDS[:3], go, RECORDS[3:], End())) as at:
        headers, body = {"idempotency-key": "k1"}, {**ASK, "stream": stream}
        async with at.open("POST", PATH, body, headers) as one, at.open("POST", PATH, body, headers) as two:
            await settle()
            go.set()
            assert await one.rest() == await two.rest() != b""
        assert len(upstream.calls) == 1
        assert (await at.json("POST", PATH, {**body, "max_tokens": 1}, headers, status=422))["type"] == "error"


async def test_leaving_under_policy_cancel_closes_the_upstream():
    async with front(upstream := native(RECORDS[:3], asyncio.Event())) as at:
        async with at.open("POST", PATH, STREAM, {"headrace-on-leave": "cancel"}):
            await settle()
            assert not upstream.answers[0].closed
        await settle()
        assert upstream.answers[0].closed


# -- stopping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [native, Chat])
async def test_a_stop_is_told_to_everybody_who_reads(make):
    """As an error with a code of its own, never as a normal end; to stop again changes nothing."""
    wait = asyncio.Event()
    upstream = native(RECORDS[:3], wait) if make is native else Chat([chunk("Hel"), wait])
    async with front(upstream) as at:
        async with at.open("POST", PATH, STREAM) as exchange:
            id = (await exchange.head()).headers["headrace-stream-id"]
            stopped = await at.json("POST", f"{PATH}/{id}/cancel")
            assert stopped == {"id": id, "type": "message", "cancelled": True, "status": "cancelled"}
            last = events(await exchange.rest())[-1]
        assert (last["type"], last["error"]["code"]) == ("error", "cancelled")
        assert upstream.answers[0].closed
        assert (await at.json("POST", f"{PATH}/{id}/cancel"))["cancelled"] is False
        assert (await at.json("GET", f"{PATH}/{id}", status=409))["error"]["code"] == "cancelled"


async def test_a_message_is_stopped_before_its_first_token_by_its_idempotency_key():
    async with front(upstream := native(head=[asyncio.Event()])) as at:
        async with at.open("POST", PATH, ASK, {"idempotency-key": "k1"}) as exchange:
            await settle()
            assert (await at.json("POST", f"{PATH}/k1/cancel"))["cancelled"] is True
            assert (await exchange.head()).status == 409
    assert upstream.answers == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "", 405), ("DELETE", "/x", 405), ("PUT", "/x", 405), ("POST", "/x", 405), ("GET", "/x/y/z", 404)],
)
async def test_a_route_that_is_not_there_is_told_in_anthropics_shape(method, path, status):
    async with front(upstream := Forwarder()) as at:
        told = await at.json(method, PATH + path, status=status)
    assert (told["type"], upstream.forwarded) == ("error", [])


async def test_nobody_elses_message_exists():
    async with front(native(), keys=KEYS) as at:
        assert (await at.json("POST", PATH, ASK, status=401))["error"]["type"] == "authentication_error"
        reply = await at.ask("POST", PATH, STREAM, {"x-api-key": ALICE})
        id = reply.headers["headrace-stream-id"]
        for method, path in (
            ("GET", id),
            ("GET", f"{id}?stream=true"),
            ("POST", f"{id}/cancel"),
            ("GET", "msg_spoken"),
        ):
            told = await at.json(method, f"{PATH}/{path}", headers={"x-api-key": BOB}, status=404)
            assert told["error"]["type"] == "not_found_error"
        assert (await at.ask("GET", f"{PATH}/msg_spoken", headers={"x-api-key": ALICE})).status == 200


# -- counting ----------------------------------------------------------------------------------------------------------


class Counter(Forwarder):
    """An upstream that counts, or refuses to."""

    def __init__(self, spoken=dialect.MESSAGES, refusal=None, **options):
        super().__init__([b'{"input_tokens"', b":42}"], **options)
        self._spoken = spoken
        self._refusal = refusal

    def prepare(self, call):
        return prepared(call, (self._spoken,))

    async def forward(self, *args):
        answer = await super().forward(*args)
        if self._refusal is not None:
            raise self._refusal
        return answer


def refused(status):
    """A refusal that is final, as upstreams make it of most statuses."""
    error = UpstreamRefused(status=status)
    error.retryable = False
    return error


async def test_the_models_upstream_counts():
    """It is asked as it would be by the client, under its own name for the model."""
    second = Counter(name="second")
    second.configured = ("other",)
    async with front(first := Counter(), second, models={"alias": ("second/real",)}) as at:
        body = b'{"model": "other",  "messages": [{"role": "user", "content": "x"}]}'
        reply = await at.ask("POST", f"{PATH}/count_tokens?beta=true", body, {"anthropic-beta": "a"})
        await at.ask("POST", f"{PATH}/count_tokens", body.replace(b"other", b"alias"))
    assert (reply.body, "headrace-estimated" in reply.headers) == (b'{"input_tokens":42}', False)
    method, path, query, headers, sent = second.forwarded[0]
    assert (method, path, query, sent) == ("POST", "/messages/count_tokens", "beta=true", body)
    assert headers["anthropic-beta"] == "a"
    assert json.loads(second.forwarded[1][4]) == {**json.loads(body), "model": "real"}
    assert first.forwarded == []


@pytest.mark.parametrize(
    "upstream",
    [
        Chat(),
        Counter(dialect.CHAT),
        *(Counter(refusal=refused(status)) for status in (404, 405, 502)),
    ],
)
async def test_who_does_not_count_leaves_an_estimate_that_says_so(upstream):
    async with front(upstream) as at:
        reply = await at.ask("POST", f"{PATH}/count_tokens", {**ASK, "system": "x" * 40, "tools": [{"name": "f"}]})
    assert json.loads(reply.body) == {"input_tokens": 16, "estimated": True}
    assert reply.headers["headrace-estimated"] == "true"


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (UpstreamRefused(status=400, detail=ErrorDetail(message="No.")), 400),
        (UpstreamRefused(status=429, code="rate_limit"), 429),
        (UpstreamUnreachable(), 502),
    ],
)
async def test_who_counts_may_refuse(refusal, status):
    async with front(Counter(refusal=refusal)) as at:
        assert (await at.json("POST", f"{PATH}/count_tokens", ASK, status=status))["type"] == "error"


async def test_a_key_is_needed_to_count():
    async with front(upstream := Counter(), keys=KEYS) as at:
        await at.json("POST", f"{PATH}/count_tokens", ASK, status=401)
        assert upstream.forwarded == []
        assert (await at.ask("POST", f"{PATH}/count_tokens", ASK, {"x-api-key": BOB})).status == 201


# -- the SDK -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [native, answered])
async def test_the_stock_sdk(make):
    """Whole, streamed, counted and listed; and an error is one of its own kinds."""
    async with front(make()) as at:
        transport = httpx2.ASGITransport(at.driver._app)
        http = httpx2.AsyncClient(transport=transport)
        async with anthropic.AsyncAnthropic(api_key="k", base_url="http://localhost:8003", http_client=http) as sdk:
            message = await sdk.messages.create(**ASK)
            assert (message.content[0].text, message._request_id[:4]) == ("Hello", "req_")
            async with sdk.messages.stream(**ASK) as stream:
                final = await stream.get_final_message()
            assert (final.content[0].text, final.stop_reason) == ("Hello", "end_turn")
            assert (await sdk.messages.count_tokens(model="fake", messages=MESSAGES)).input_tokens == 2
            assert "fake" in [model.id async for model in sdk.models.list(limit=3)]
            with pytest.raises(anthropic.NotFoundError) as caught:
                await sdk.models.retrieve("none")
            assert caught.value.request_id.startswith("req_")
            with pytest.raises(anthropic.BadRequestError):
                await sdk.messages.create(**{**ASK, "messages": []})
