"""The AI SDK's chat: one answer at a time, by the id of the chat; the page's own calls resume and stop it."""

import asyncio
import json
from urllib.parse import quote

import pytest
from tests.faces.front import ALICE, BOB, KEYS, Fake, bearer, frames, front, script

from headrace.config import Deadlines, OnLeave
from headrace.errors import UpstreamRefused, UpstreamTruncated
from headrace.faces.ui_chat import REPLAY
from headrace.model.outcome import Usage
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import chunk

USER = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}
SENT = {"id": "c", "messages": [USER], "trigger": "submit-message", "model": "fake"}
#: Longer than anybody waits for a page.
PATIENT = Deadlines(idle=600)
#: What encodeURIComponent leaves as it is, beside letters, digits and _.-~
UNESCAPED = "!'()*"
STREAM, STOP = "/api/chat/c/stream", "/api/chat/c/stop"


def told(body: bytes):
    """The frames; nothing but data may come."""
    found = frames(body)
    assert not any(frame.event for frame in found)
    return [json.loads(frame.data) if frame.data != b"[DONE]" else "[DONE]" for frame in found]


def kinds(body: bytes):
    return [frame if frame == "[DONE]" else frame["type"] for frame in told(body)]


def text(body: bytes):
    return "".join(frame["delta"] for frame in told(body) if frame != "[DONE]" and frame["type"] == "text-delta")


def running(*texts: str):
    """A gate, and an upstream whose answers wait for it after some text."""
    gate = asyncio.Event()
    return gate, Fake(lambda _: [*(chunk(each) for each in texts), gate, *script("end")])


async def begin(at, sent=SENT, **options):
    """Send a message and read the start of its answer."""
    exchange = at.open("POST", "/api/chat", sent, **options)
    await exchange.__aenter__()
    await exchange.read(100)
    return exchange


async def test_an_answer_to_the_letter():
    async with front(Fake(script("a", "ü", usage=Usage(input=3, output=2)))) as at:
        reply = await at.ask("POST", "/api/chat", SENT)
    id = reply.headers["headrace-stream-id"]
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert reply.headers["location"] == STREAM
    assert frames(reply.body)[0].id == f"{id}:0"
    assert told(reply.body) == [
        {"type": "start", "messageId": id, "messageMetadata": {"stream": id, "model": "fake"}},
        {"type": "start-step"},
        {"type": "text-start", "id": "t0"},
        {"type": "text-delta", "id": "t0", "delta": "a"},
        {"type": "text-delta", "id": "t0", "delta": "ü"},
        {"type": "text-end", "id": "t0"},
        {"type": "finish-step"},
        {
            "type": "finish",
            "finishReason": "stop",
            "messageMetadata": {
                "usage": {
                    "inputTokens": 3,
                    "outputTokens": 2,
                    "totalTokens": 5,
                    "inputTokenDetails": {"cacheReadTokens": 0},
                    "outputTokenDetails": {"reasoningTokens": 0},
                }
            },
        },
        "[DONE]",
    ]


async def test_the_reply_begins_before_the_model_says_anything():
    """No gate: even a refusal comes as the message's error, in our words."""
    gate = asyncio.Event()
    async with front(Fake(head=[gate, UpstreamRefused(status=400)])) as at:
        async with at.open("POST", "/api/chat", SENT) as exchange:
            assert kinds(await exchange.read(100)) == ["start"]
            gate.set()
            rest = await exchange.rest()
        assert told(rest) == [{"type": "error", "errorText": "The model provider refused the request."}]


async def test_an_upstream_is_asked_in_the_ui_dialect_with_the_clients_own_body():
    async with front(upstream := Fake(script("a"))) as at:
        await at.ask("POST", "/api/chat", {**SENT, "temperature": 0.5})
    [call] = upstream.calls
    assert (call.dialect, call.model, call.stream) == ("ui", "fake", True)
    assert call.body == {**SENT, "temperature": 0.5}


async def test_without_a_model_the_default_one_answers():
    async with front(upstream := Fake(script("a")), default_model="fake") as at:
        await at.ask("POST", "/api/chat", {name: value for name, value in SENT.items() if name != "model"})
    assert upstream.calls[0].model == "fake"


async def test_an_answer_that_goes_on_after_a_tools_result_keeps_its_message():
    called = {"id": "a1", "role": "assistant", "parts": []}
    async with front(Fake(lambda _: script("a"))) as at:
        reply = await at.ask("POST", "/api/chat", {**SENT, "messages": [USER, called]})
        again = await at.ask("GET", STREAM)
        stopped = await at.ask("POST", STOP, {"messageId": "a1"})
    assert told(reply.body)[0]["messageId"] == "a1"
    assert again.body == reply.body
    assert json.loads(stopped.body)["cancelled"] is False


# -- resume ------------------------------------------------------------------------------------------------------------


async def test_a_running_answer_is_replayed_from_its_start_and_followed():
    """Twice, byte for byte; the model is asked once."""
    gate, upstream = running("one ", "two ")
    async with front(upstream) as at:
        first = await begin(at)
        first.disconnect()
        async with at.open("GET", STREAM) as second, at.open("GET", STREAM) as third:
            head = await second.head()
            assert (head.status, head.headers["x-vercel-ai-ui-message-stream"]) == (200, "v1")
            await third.read(100)
            await settle()
            gate.set()
            bodies = [await second.rest(), await third.rest()]
        assert text(bodies[0]) == "one two end"
        whole = await at.ask("GET", STREAM)
        assert whole.body == bodies[0]
        await first.__aexit__(None, None, None)
    assert len(upstream.calls) == 1


async def test_an_answer_that_has_ended_is_replayed_for_a_while():
    async with front(Fake(script("a"))) as at:
        await at.ask("POST", "/api/chat", SENT)
        await at.clock.advance(REPLAY - 1)
        assert kinds((await at.ask("GET", STREAM)).body)[-1] == "[DONE]"
        await at.clock.advance(2)
        reply = await at.ask("GET", STREAM)
    assert (reply.status, reply.body) == (204, b"")


@pytest.mark.parametrize("chat", ["new", "st_aaaaaaaaaaaaaaaaaaaaaaaaaa", "x" * 300, "a/b", "%2e", "%ff%00"])
async def test_a_chat_without_an_answer_is_nothing_to_resume(chat):
    async with front(Fake(script("a"))) as at:
        assert (await at.ask("GET", f"/api/chat/{chat}/stream")).status == 204
        assert await at.json("POST", f"/api/chat/{chat}/stop") == {"cancelled": False}


@pytest.mark.parametrize("chat", ["a/b", "a/stream", "/", "ü ?#%", "st_x", "a" * 255, "..."])
async def test_ids_of_chats_may_be_anything(chat):
    """A client writes them with encodeURIComponent; the URL to rejoin does, too."""
    async with front(Fake(lambda _: script("a"))) as at:
        reply = await at.ask("POST", "/api/chat", {**SENT, "id": chat})
        where = f"/api/chat/{quote(chat, safe=UNESCAPED)}/stream"
        assert (await at.ask("GET", where)).body == reply.body
        assert (await at.ask("GET", reply.headers["location"])).body == reply.body


async def test_a_repeated_request_with_an_event_id_goes_on_and_starts_nothing():
    """TanStack repeats the POST; an EventSource would repeat the GET."""
    async with front(upstream := Fake(script("a", "b"))) as at:
        reply = await at.ask("POST", "/api/chat", SENT)
        found = frames(reply.body)
        for method, path in (("POST", "/api/chat"), ("GET", STREAM)):
            for number, frame in enumerate(found[:-1]):
                again = await at.ask(method, path, SENT, {"last-event-id": frame.id})
                assert [(f.data, f.id) for f in frames(again.body)] == [(f.data, f.id) for f in found[number + 1 :]]
            assert (await at.ask(method, path, SENT, {"last-event-id": found[-1].id})).status == 204
    assert len(upstream.calls) == 1


# -- one at a time -----------------------------------------------------------------------------------------------------


async def test_a_chat_that_is_being_answered_is_a_conflict_that_names_the_answer():
    gate, upstream = running("one")
    async with front(upstream) as at:
        async with at.open("POST", "/api/chat", SENT) as first:
            id = (await first.head()).headers["headrace-stream-id"]
            refused = await at.ask("POST", "/api/chat", SENT)
            assert (refused.status, refused.headers["headrace-stream-id"]) == (409, id)
            assert refused.headers["x-should-retry"] == "false"
            assert b"This chat is being answered" in refused.body
            async with at.open("POST", "/api/chat", {**SENT, "id": "other"}) as other:
                assert (await other.head()).status == 200
                gate.set()
                assert text(await other.rest()) == "oneend"
            assert text(await first.rest()) == "oneend"
        assert (await at.ask("POST", "/api/chat", SENT)).status == 200
    assert len(upstream.calls) == 3


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("headers", [({}, {}), ({"idempotency-key": "a"}, {"idempotency-key": "b"})])
async def test_of_two_at_once_one_starts(before, headers, tmp_path):
    """With keys of their own and other bodies, too; on SQLite."""
    gate = asyncio.Event()
    upstream = Fake(lambda call: script("x") if call.body.get("before") else [chunk("one"), gate, *script("end")])
    async with front(upstream, folder=tmp_path) as at:
        for _ in range(before):
            await at.ask("POST", "/api/chat", {**SENT, "before": True})
        bodies = ({**SENT, "n": 1}, {**SENT, "n": 2})
        both = [at.open("POST", "/api/chat", body, own) for body, own in zip(bodies, headers, strict=True)]
        for exchange in both:
            await exchange.__aenter__()
        heads = await asyncio.gather(*(exchange.head() for exchange in both))
        assert sorted(head.status for head in heads) == [200, 409]
        assert len({head.headers["headrace-stream-id"] for head in heads}) == 1
        gate.set()
        for exchange in both:
            await exchange.rest()
            await exchange.__aexit__(None, None, None)
    assert len(upstream.calls) == before + 1


async def test_an_idempotency_key_attaches_even_while_the_chat_is_busy():
    gate, upstream = running("one")
    key = {"idempotency-key": "k"}
    async with front(upstream) as at:
        async with at.open("POST", "/api/chat", SENT, key) as first, at.open("POST", "/api/chat", SENT, key) as again:
            ids = [(await each.head()).headers["headrace-stream-id"] for each in (first, again)]
            other = await at.ask("POST", "/api/chat", {**SENT, "n": 1}, key)
            gate.set()
            texts = [text(await each.rest()) for each in (first, again)]
        assert (await at.ask("POST", "/api/chat", SENT, key)).headers["headrace-stream-id"] == ids[0]
    assert other.status == 422
    assert ids[0] == ids[1]
    assert texts == ["oneend", "oneend"]
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("key", [{}, {"idempotency-key": "k"}])
async def test_a_chat_goes_on_after_its_latest_answer_was_deleted_or_refused(key):
    """The names by which one of two starts are those of streams that are still there."""
    answers = iter([script("1"), script("2"), script("3"), script("4")])
    async with front(upstream := Fake(lambda _: next(answers))) as at:
        await at.ask("POST", "/api/chat", SENT)
        await at.ask("POST", "/api/chat", SENT)
        third = await at.ask("POST", "/api/chat", SENT)
        await at.ask("DELETE", f"/v1/streams/{third.headers['headrace-stream-id']}")
        assert (await at.ask("GET", STREAM)).status == 204
        reply = await at.ask("POST", "/api/chat", {**SENT, "n": 1}, key)
        assert (reply.status, text(reply.body)) == (200, "4")
    assert len(upstream.calls) == 4


async def test_a_refusal_before_anything_was_accepted_leaves_the_chat_free():
    async with front(upstream := Fake(head=[UpstreamRefused(status=503, accepted=False)])) as at:
        for _ in range(2):
            assert kinds((await at.ask("POST", "/api/chat", SENT)).body)[-1] == "error"
    assert len(upstream.calls) == 2


# -- stop --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["", "stream", "messageId"])
async def test_stop_ends_the_upstreams_call_and_every_watcher_sees_it(named):
    _, upstream = running("one")
    async with front(upstream) as at:
        async with at.open("POST", "/api/chat", SENT) as page:
            id = (await page.head()).headers["headrace-stream-id"]
            async with at.open("GET", STREAM) as watcher:
                await watcher.head()
                await settle()
                body = {named: id} if named else b""
                assert await at.json("POST", STOP, body) == {"cancelled": True, "state": "cancelled"}
                assert upstream.answers[0].closed
                for exchange in (page, watcher):
                    abort = told(await exchange.rest())[-1]
                    assert abort == {"type": "abort", "reason": "The answer was stopped before it was complete."}
        assert await at.json("POST", STOP, body) == {
            "cancelled": False,
            "state": "cancelled",
            "reason": "already cancelled",
        }


async def test_a_late_stop_does_not_hit_the_next_answer():
    gate, upstream = running("one")
    async with front(upstream) as at:
        gate.set()
        old = (await at.ask("POST", "/api/chat", SENT)).headers["headrace-stream-id"]
        gate.clear()
        async with at.open("POST", "/api/chat", SENT) as page:
            new = (await page.head()).headers["headrace-stream-id"]
            for body in ({"stream": old}, {"messageId": old}, {"stream": "st_none"}):
                refused = await at.ask("POST", STOP, body)
                assert (refused.status, refused.headers["headrace-stream-id"]) == (409, new)
            assert not upstream.answers[1].closed
            gate.set()
            assert kinds(await page.rest())[-1] == "[DONE]"


# -- who, and what when they leave -------------------------------------------------------------------------------------


async def test_a_chat_belongs_to_its_owner():
    """The same id is another chat for somebody else."""
    gate, upstream = running("one")
    async with front(upstream, keys=KEYS) as at:
        async with at.open("POST", "/api/chat", SENT, bearer(ALICE)) as page:
            await page.head()
            assert (await at.ask("GET", STREAM, headers=bearer(BOB))).status == 204
            assert await at.json("POST", STOP, headers=bearer(BOB)) == {"cancelled": False}
            assert (await at.ask("GET", STREAM)).status == 401
            assert not upstream.answers[0].closed
            gate.set()
            assert (await at.ask("POST", "/api/chat", SENT, bearer(BOB))).status == 200
            await page.rest()
    assert len(upstream.calls) == 2


@pytest.mark.parametrize(
    ("headers", "settings", "seconds"),
    [
        ({}, {}, 60),
        ({"headrace-on-leave": "linger=3"}, {}, 3),
        ({}, {"on_leave": OnLeave(api_chat="linger=20")}, 20),
    ],
)
async def test_an_answer_that_everybody_has_left_waits_for_its_page(headers, settings, seconds):
    _, upstream = running("one")
    async with front(upstream, deadlines=PATIENT, **settings) as at:
        page = await begin(at, headers=headers)
        page.disconnect()
        await page.returned()
        await at.clock.advance(seconds - 1)
        assert not upstream.answers[0].closed
        await at.clock.advance(2)
        await settle()
        assert upstream.answers[0].closed
        abort = told((await at.ask("GET", STREAM)).body)[-1]
        assert abort["type"] == "abort"
        await page.__aexit__(None, None, None)


async def test_whoever_resumes_keeps_it_going():
    _, upstream = running("one")
    async with front(upstream, deadlines=PATIENT) as at:
        page = await begin(at)
        page.disconnect()
        await page.returned()
        async with at.open("GET", STREAM) as watcher:
            await watcher.read(100)
            await at.clock.advance(120)
            assert not upstream.answers[0].closed
        await page.__aexit__(None, None, None)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


async def test_a_failure_in_the_middle_is_the_messages_error():
    async with front(Fake([chunk("one"), UpstreamTruncated()])) as at:
        reply = await at.ask("POST", "/api/chat", SENT)
    assert told(reply.body)[-1] == {
        "type": "error",
        "errorText": "The model provider's answer stopped before its end.",
    }
    assert "[DONE]" not in kinds(reply.body)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({**SENT, "id": ""}, 400, "'id'"),
        ({**SENT, "messages": []}, 400, "'messages'"),
        ({**SENT, "model": "none"}, 404, "none"),
        (b"{", 400, "JSON"),
    ],
)
async def test_what_is_wrong_is_said(body, status, words):
    async with front(upstream := Fake()) as at:
        reply = await at.ask("POST", "/api/chat", body)
    assert (reply.status, words in reply.body.decode()) == (status, True)
    assert not upstream.calls


async def test_keep_alives_are_comments_in_the_next_block():
    gate, upstream = running("one")
    async with front(upstream) as at, at.open("POST", "/api/chat", SENT) as page:
        await page.read(100)
        await settle()
        await at.clock.advance(16)
        await at.clock.advance(16)
        gate.set()
        body = await page.rest()
    assert b"\n: ping\n" in body or body.startswith(b": ping\n")
    assert b": ping\n\n" not in body


# -- several workers ---------------------------------------------------------------------------------------------------


async def test_of_two_workers_that_are_asked_at_once_one_starts(tmp_path):
    """They share a store, and nothing else; the other one follows the answer, and stops it."""
    (_, ours), (_, theirs) = running("one"), running("one")
    async with front(ours, folder=tmp_path) as here, front(theirs, folder=tmp_path) as there:
        async with here.open("POST", "/api/chat", SENT) as first, there.open("POST", "/api/chat", SENT) as second:
            heads = await asyncio.gather(first.head(), second.head())
            assert sorted(head.status for head in heads) == [200, 409]
            assert len({head.headers["headrace-stream-id"] for head in heads}) == 1
            other, page = (there, first) if heads[0].status == 200 else (here, second)
            async with other.open("GET", STREAM) as watcher:
                assert kinds(await watcher.read(100))[0] == "start"
                stopping = asyncio.create_task(other.json("POST", STOP))
                assert kinds(await page.rest())[-1] == "abort"
                assert (await stopping)["cancelled"] is True
                assert kinds(await watcher.rest())[-1] == "abort"
    assert len(ours.calls) + len(theirs.calls) == 1
