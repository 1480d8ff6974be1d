"""Any stream: cut anywhere and resumed, listed, looked at, stopped and deleted, in every dialect."""

import asyncio
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.faces.front import MESSAGES, Fake, frames, front, script

from headrace.errors import UpstreamTruncated
from headrace.model.outcome import Usage
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import End, chunk, finish
from headrace.wire.sse import Decoder

RECORDS = 300
WORDS = [f"{n} " for n in range(1, RECORDS)]
SIMPLE = {"model": "fake", "message": "Hello"}
CHAT = {"model": "fake", "stream": True, "messages": MESSAGES}
#: Where a stream of each dialect is started, and with what.
STARTS = {
    "chat": ("/v1/chat/completions", CHAT),
    "named": ("/v1/chat/stream", SIMPLE),
    "unnamed": ("/chat", SIMPLE),
    "ndjson": ("/infer", SIMPLE),
    "plain": ("/chat", SIMPLE),
}
EVENTS = ("chat", "named", "unnamed")
_RETRY = re.compile(rb"retry: \d+\n")


def whole_script():
    return [*(chunk(word) for word in WORDS), [finish()], End("stop", Usage(input=1, output=RECORDS))]


def without_retry(body: bytes) -> bytes:
    """``retry:`` is random, and of the connection rather than of the stream."""
    return _RETRY.sub(b"", body)


def split(body: bytes) -> list[bytes]:
    """A body as the pieces in which a client could be cut: blocks."""
    return [block + b"\n\n" for block in without_retry(body).split(b"\n\n") if block]


def id_of(block: bytes) -> str:
    """The last event id of a client that has read up to this block, by a parser of the standard."""
    decoder = Decoder()
    decoder.feed(block)
    return decoder.last_event_id


async def started(at, dialect: str) -> tuple[str, bytes]:
    """A stream from its start to its end: its id, and what its starter read."""
    path, body = STARTS[dialect]
    headers = {"accept": "text/plain"} if dialect == "plain" else {}
    reply = await at.ask("POST", path, body, headers)
    assert reply.status == 200
    return reply.headers["headrace-stream-id"], reply.body


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("dialect", EVENTS)
@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_client_cut_at_every_frame_resumes_with_the_same_bytes(dialect, store, tmp_path):
    """Of 300 records, after each block: 0 lost, 0 doubled; by id and by ``after``, on the stream's and the own URL."""
    async with front(Fake(lambda _: whole_script()), folder=tmp_path / "d" if store == "sqlite" else None) as at:
        id, body = await started(at, dialect)
        pieces = split(body)
        assert len(pieces) >= RECORDS + 1
        path, request = STARTS[dialect]
        bare = split((await at.ask("GET", f"/v1/streams/{id}")).body)
        assert [block.replace(f"id: {id}:".encode(), b"id: ") for block in pieces] == bare

        for number, block in enumerate(pieces[:-1], 1):
            seen = id_of(block)
            repeated = await at.ask("POST", path, request, {"last-event-id": seen})
            assert repeated.complete
            assert split(repeated.body) == pieces[number:]
            rejoined = await at.ask("GET", f"/v1/streams/{id}?after={seen.partition(':')[2]}")
            assert split(rejoined.body) == bare[number:]
        assert (await at.ask("POST", path, request, {"last-event-id": id_of(pieces[-1])})).status == 204
        assert len((await at.json("GET", "/v1/streams"))["data"]) == 1


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("dialect", EVENTS)
@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_client_cut_after_each_frame_of_a_living_answer_loses_nothing(dialect, store, tmp_path):
    """It reads one block, is cut, comes back with its last id; 300 times, while the answer is being written."""
    turns = [asyncio.Event() for _ in WORDS]
    steps = [step for word, turn in zip(WORDS, turns, strict=True) for step in (turn, chunk(word))]
    upstream = Fake([*steps, [finish()], End("stop", Usage(input=1, output=1))])
    path, request = STARTS[dialect]
    read: list[bytes] = []
    async with front(upstream, folder=tmp_path / "d" if store == "sqlite" else None) as at:
        turns[0].set()
        headers = {"headrace-on-leave": "keep"}
        for number in range(2 * RECORDS):
            for turn in turns[: number + 2]:  # two records ahead of the client
                turn.set()
            async with at.open("POST", path, request, headers) as exchange:
                if (await exchange.head()).status == 204:
                    break
                read.append(split(await exchange.piece())[0])
            headers["last-event-id"] = id_of(read[-1])
        assert len(upstream.calls) == 1
        stream = headers["last-event-id"].partition(":")[0]
        everything = (await at.ask("GET", f"/v1/streams/{stream}")).body
        assert read == split(everything.replace(b"\nid: ", f"\nid: {stream}:".encode()))


@pytest.mark.slow
@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("dialect", ["ndjson", "plain"])
async def test_faces_without_ids_resume_by_record(dialect, store, tmp_path):
    """What comes after n records is what is left of the whole, for every n up to the end."""
    async with front(Fake(lambda _: whole_script()), folder=tmp_path / "d" if store == "sqlite" else None) as at:
        id, body = await started(at, dialect)
        assert (await at.ask("GET", f"/v1/streams/{id}")).body == body
        rests = []
        for after in range(RECORDS + 1):
            reply = await at.ask("GET", f"/v1/streams/{id}?after={after}")
            assert reply.complete
            assert body.endswith(reply.body)
            rests.append(len(reply.body))
        assert rests[0] == len(body)
        assert rests == sorted(rests, reverse=True)
        pieces = [WORDS[n].encode() for n in range(RECORDS - 1)]
        if dialect == "plain":
            assert [rests[n] - rests[n + 1] for n in range(RECORDS - 1)] == [len(piece) for piece in pieces]
        else:
            assert len(set(rests)) == RECORDS
        assert (await at.ask("GET", f"/v1/streams/{id}?after={RECORDS + 1}")).status == 204


@pytest.mark.parametrize("dialect", EVENTS)
@pytest.mark.parametrize("ending", ["completed", "failed", "cancelled"])
async def test_a_client_cut_before_the_end_frame_still_learns_how_it_ended(dialect, ending):
    """The end has a place of its own; past it is 204, beyond it 410."""
    stuck = asyncio.Event()
    ends = {"completed": script()[-2:], "failed": [UpstreamTruncated()], "cancelled": [stuck]}
    tail = 2 + (ending == "completed")
    async with front(Fake([chunk("a"), chunk("b"), *ends[ending]])) as at:
        path, request = STARTS[dialect]
        async with at.open("POST", path, request, {"headrace-on-leave": "keep"}) as exchange:
            id = (await exchange.head()).headers["headrace-stream-id"]
            await settle()
            if ending == "cancelled":
                assert (await at.json("POST", f"/v1/streams/{id}/cancel"))["cancelled"] is True
            everything = await exchange.rest()
        reply = await at.ask("GET", f"/v1/streams/{id}", headers={"last-event-id": str(tail)})
        assert reply.status == 200
        told = reply.body.decode()
        assert without_retry(everything).endswith(without_retry(reply.body).replace(b"id: ", f"id: {id}:".encode()))
        assert ("[DONE]" in told or '"done":true' in told or "event: done" in told) == (ending == "completed")
        code = {"completed": "", "failed": "truncated", "cancelled": "cancelled"}[ending]
        assert code in told
        assert f"id: {tail + 1}\n" in told
        for at_end in (
            f"/v1/streams/{id}?after={tail + 1}",
            f"/v1/chat/completions/{id}?stream=true&starting_after={tail + 1}",
        ):
            reply = await at.ask("GET", at_end)
            assert (reply.status, reply.body) == (204, b"")
        beyond = await at.ask("GET", f"/v1/streams/{id}?after={tail + 2}")
        assert (beyond.status, json.loads(beyond.body)["error"]["code"]) == (410, "offset_ahead")


@st.composite
def answers(draw):
    """Texts of an answer, and how it ends."""
    texts = draw(st.lists(st.text(max_size=8), max_size=12))
    return texts, draw(st.sampled_from(["stop", "fail"]))


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=answers(), started_in=st.sampled_from(sorted(STARTS)), shown_as=st.sampled_from(EVENTS))
def test_the_frames_after_a_cursor_are_what_a_client_that_shows_it_is_sent(answer, started_in, shown_as):
    """Any answer, started in any dialect and shown in any that has ids: frames after k == resume(k)."""
    asyncio.run(frames_after_a_cursor(*answer, started_in, shown_as))


async def frames_after_a_cursor(texts, ending, started_in, shown_as):
    steps = [chunk(text) for text in texts]
    end = [[finish()], End("stop")] if ending == "stop" else [UpstreamTruncated()]
    async with front(Fake([*steps, *end])) as at:
        path, request = STARTS[started_in]
        reply = await at.ask("POST", path, request, {"accept": "text/plain"} if started_in == "plain" else {})
        id = reply.headers.get("headrace-stream-id") or (await at.json("GET", "/v1/streams"))["data"][0]["id"]
        seen = frames((await at.ask("GET", f"/v1/streams/{id}?as={shown_as}")).body)
        for number, frame in enumerate(seen, 1):
            rest = await at.ask("GET", f"/v1/streams/{id}?as={shown_as}", headers={"last-event-id": frame.id})
            assert rest.status == (204 if number == len(seen) else 200)
            assert frames(rest.body) == seen[number:]


async def test_a_finished_stream_is_replayed_whole_without_a_cursor():
    """And ``0`` is the whole of it too, but for what comes before the first record."""
    async with front(Fake(script("a", "b"))) as at:
        id, body = await started(at, "named")
        bare = without_retry(body).replace(f"id: {id}:".encode(), b"id: ")
        assert without_retry((await at.ask("GET", f"/v1/streams/{id}")).body) == bare
        assert without_retry((await at.ask("GET", f"/v1/streams/{id}?after=0")).body) == b"".join(split(bare)[1:])
        chat = (await at.ask("GET", f"/v1/streams/{id}?as=chat")).body
        assert (await at.ask("GET", f"/v1/chat/completions/{id}?stream=true&starting_after=0")).body == without_retry(
            chat
        )


async def test_both_forms_of_an_event_id_are_understood_everywhere():
    """The cursor alone, and ``<stream>:<cursor>``; in the header, in ``after`` and in ``starting_after``."""
    async with front(Fake(script("a", "b"))) as at:
        id, _ = await started(at, "chat")
        found = set()
        for form in ("1", f"{id}:1"):
            for target in (
                f"/v1/streams/{id}?after={form}",
                f"/v1/chat/completions/{id}?stream=true&starting_after={form}",
            ):
                found.add(without_retry((await at.ask("GET", target)).body))
            reply = await at.ask("GET", f"/v1/streams/{id}?after=0", headers={"last-event-id": form})
            found.add(without_retry(reply.body))
        assert len(found) == 1


@pytest.mark.parametrize(
    ("show", "type", "has"),
    [
        ("chat", "text/event-stream", b"chat.completion.chunk"),
        ("named", "text/event-stream", b"event: token"),
        ("unnamed", "text/event-stream", b'"done":true'),
        ("ndjson", "application/x-ndjson", b'"choices"'),
        ("plain", "text/plain", b"ab"),
    ],
)
async def test_a_stream_is_shown_as_another_dialect(show, type, has):
    async with front(Fake(script("a", "b"))) as at:
        id, _ = await started(at, "unnamed")
        reply = await at.ask("GET", f"/v1/streams/{id}?as={show}")
        assert reply.headers["content-type"].startswith(type)
        assert has in reply.body
        assert reply.complete


async def test_a_stream_is_found_by_all_its_names():
    """Its id, what the client saw as ``chatcmpl-…``, and its idempotency key."""
    async with front(Fake(script("a"))) as at:
        reply = await at.ask("POST", "/v1/chat/completions", CHAT, {"idempotency-key": "order 66"})
        id = reply.headers["headrace-stream-id"]
        for name in (id, "chatcmpl-fake", "order%2066"):
            head = await at.ask("HEAD", f"/v1/streams/{name}")
            assert head.headers["headrace-stream-id"] == id
            assert (head.headers["headrace-state"], head.headers["headrace-tail"]) == ("completed", "2")


async def test_several_readers_see_the_same():
    """At once, from different places, while it is written."""
    go = asyncio.Event()
    async with front(Fake([chunk("a"), chunk("b"), go, *script("c")])) as at:
        async with at.open("POST", "/v1/chat/completions", CHAT) as starter:
            id = (await starter.head()).headers["headrace-stream-id"]
            await settle()
            targets = [f"/v1/streams/{id}", f"/v1/streams/{id}?after=1", f"/v1/streams/{id}?as=plain"]
            async with (
                at.open("GET", targets[0]) as one,
                at.open("GET", targets[1]) as two,
                at.open("GET", targets[2]) as three,
            ):
                await settle()
                go.set()
                bodies = [await each.rest() for each in (one, two, three)]
        assert split(bodies[1]) == split(bodies[0])[1:]
        assert bodies[2] == b"abc"


async def test_the_list_shows_ones_own_newest_first_in_pages():
    async with front(Fake(lambda _: script("a"))) as at:
        ids = []
        for _ in range(5):
            ids.insert(0, (await started(at, "chat"))[0])
            at.clock.step_wall(1)
        page = await at.json("GET", "/v1/streams?limit=2")
        assert ([each["id"] for each in page["data"]], page["has_more"]) == (ids[:2], True)
        rest = await at.json("GET", f"/v1/streams?limit=10&before={ids[1]}")
        assert ([each["id"] for each in rest["data"]], rest["has_more"]) == (ids[2:], False)
        one = page["data"][0]
        assert (one["state"], one["reason"], one["records"], one["dialect"]) == ("completed", "stop", 2, "openai.chat")


async def test_cancel_is_idempotent_and_says_whether_it_ran():
    stuck = asyncio.Event()
    upstream = Fake([chunk("a"), stuck])
    async with front(upstream) as at:
        async with at.open("POST", "/v1/chat/stream", SIMPLE) as exchange:
            id = (await exchange.head()).headers["headrace-stream-id"]
            await settle()
            assert await at.json("POST", f"/v1/streams/{id}/cancel") == {"cancelled": True, "state": "cancelled"}
            assert upstream.answers[0].closed
            events = [frame.event for frame in frames(await exchange.rest())]
            assert events == ["start", "token", "cancelled", "close"]
            assert exchange.complete
        again = await at.json("POST", f"/v1/streams/{id}/cancel")
        assert (again["cancelled"], again["reason"]) == (False, "already cancelled")
    async with front(Fake(script("a"))) as at:
        id, _ = await started(at, "chat")
        again = await at.json("POST", f"/v1/streams/{id}/cancel")
        assert (again["cancelled"], again["reason"]) == (False, "already completed")


async def test_cancel_by_idempotency_key_before_the_first_byte():
    """The upstream has not even answered."""
    stuck = asyncio.Event()
    async with front(Fake(head=[stuck])) as at:
        async with at.open("POST", "/v1/chat/completions", CHAT, {"idempotency-key": "k1"}) as exchange:
            await settle()
            assert (await at.json("POST", "/v1/chat/completions/k1/cancel"))["cancelled"] is True
            reply = await exchange.response()
        assert reply.status == 409
        assert json.loads(reply.body)["error"]["code"] == "cancelled"


async def test_a_deleted_stream_is_gone_and_its_readers_are_told():
    """410 for its owner by id; stopped first where it ran."""
    stuck = asyncio.Event()
    async with front(Fake([chunk("a"), stuck])) as at:
        async with at.open("POST", "/v1/chat/completions", CHAT, {"headrace-on-leave": "keep"}) as exchange:
            id = (await exchange.head()).headers["headrace-stream-id"]
            await exchange.piece()
            assert await at.json("DELETE", f"/v1/streams/{id}") == {"id": id, "deleted": True}
            rest = await exchange.rest()
            assert b"error" in rest
            assert b"[DONE]" not in rest
        for method, path in (("GET", ""), ("HEAD", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "?after=1")):
            assert (await at.ask(method, f"/v1/streams/{id}{path}")).status == 410
        assert (await at.json("GET", "/v1/streams"))["data"] == []
        assert (await at.ask("GET", "/v1/streams/chatcmpl-fake")).status == 404


async def test_observers_keep_nothing_alive_unless_they_ask():
    """After the last participant has left, the policy decides, whoever watches."""
    for query, state in (("", "cancelled"), ("?participate=true", "open")):
        stuck = asyncio.Event()
        async with front(Fake([chunk("a"), stuck])) as at:
            async with at.open("POST", "/v1/chat/completions", CHAT, {"headrace-on-leave": "linger=5"}) as starter:
                id = (await starter.head()).headers["headrace-stream-id"]
                watcher = at.open("GET", f"/v1/streams/{id}{query}")
                await watcher.__aenter__()
                await watcher.piece()
            await at.clock.advance(6)
            assert (await at.ask("HEAD", f"/v1/streams/{id}")).headers["headrace-state"] == state
            await at.json("POST", f"/v1/streams/{id}/cancel")
            watcher.disconnect()
            await watcher.returned()
