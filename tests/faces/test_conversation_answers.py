"""Answers in conversations: asked once, followed, taken over when they end, and safe wherever a start dies."""

import asyncio
import json

import pytest
from sqlalchemy import update
from tests.faces.front import ALICE, BOB, KEYS, Fake, bearer, frames, front, script

from headrace.errors import UpstreamRefused
from headrace.faces.access.tickets import Right
from headrace.faces.conversations.requests import asked_in
from headrace.model.outcome import Usage
from headrace.records.tables import messages
from headrace.records.taking import STARTING
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import chunk
from headrace.wire.place import Place

PNG = "data:image/png;base64,iVBORw0KGgo="


def asked(answer="a1", parent=None, text="Hello", id="u1", **more):
    """A request for an answer to a new message."""
    return {"id": answer, "parent": parent, "message": {"id": id, "text": text}, "model": "fake", **more}


async def begin(at, id="c1", headers=()):
    await at.json("POST", "/api/conversations", {"id": id}, headers, status=201)
    return f"/api/conversations/{id}"


async def ended(at, where, headers=(), rounds=500):
    """The conversation, once nothing in it is open. What is taken over waits for threads, and not for the clock."""
    for _ in range(rounds):
        found = await at.json("GET", where, headers=headers)
        if all(message["state"] for message in found["messages"] if message["role"] == "assistant"):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("it stays open")


async def test_an_answer_is_followed_and_then_kept():
    """With its usage; the conversation goes on from it, on any device."""
    upstream = Fake(script("Hi ", "there", usage=Usage(input=3, output=2)))
    async with front(upstream) as at:
        where = await begin(at)
        reply = await at.json("POST", f"{where}/answers", asked(settings={"temperature": 0.5}), status=201)
        assert (reply["message"]["id"], reply["answer"]["id"], reply["answer"]["state"]) == ("u1", "a1", None)
        body = (await at.ask("GET", f"/v1/streams/{reply['stream']}?as=ui&participate=1")).body
        parts = [json.loads(frame.data) for frame in frames(body) if frame.data != b"[DONE]"]
        assert parts[0]["type"] == "start"
        assert parts[0]["messageId"] == "a1"
        assert "".join(part.get("delta", "") for part in parts) == "Hi there"
        found = await ended(at, where)
        answer = found["messages"][1]
        assert (answer["text"], answer["state"], answer["parent"], answer["reason"]) == (
            "Hi there",
            "completed",
            "u1",
            "stop",
        )
        assert answer["usage"] == {"input": 3, "output": 2, "exact": True}
        assert (found["title"], found["leaf"]) == ("Hello", "a1")
        assert found["settings"] == {"temperature": 0.5, "model": "fake"}


async def test_an_upstream_is_asked_with_the_branch_above():
    """The system prompt, the turns from the root on, and the sampling; nothing of other branches, nothing empty."""
    upstream = Fake(lambda call: script("first") if len(call.body["messages"]) == 2 else [chunk("x"), *script()])
    async with front(upstream) as at:
        where = await begin(at)
        settings = {"system": "Be brief.", "temperature": 0, "max_tokens": 9}
        await at.json("POST", f"{where}/answers", asked(settings=settings), status=201)
        await ended(at, where)
        again = {"id": "a2", "parent": "u1", "model": "fake"}
        await at.json("POST", f"{where}/answers", again, status=201)
        await ended(at, where)
        picture = {"id": "u2", "text": "See", "parts": [{"type": "image", "data_url": PNG}]}
        await at.json("POST", f"{where}/answers", asked("a3", "a1") | {"message": picture}, status=201)
        await ended(at, where)
    assert upstream.calls[1].body == upstream.calls[0].body
    body = upstream.calls[2].body
    assert (body["temperature"], body["max_tokens"], body["stream"]) == (0, 9, True)
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "first"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": PNG}}],
        },
    ]


async def test_a_cut_answer_is_gone_on_from():
    """What was said is the assistant's last turn, with a request to go on; the new answer stands below it."""
    upstream = Fake(lambda call: [chunk("Once upon")] if len(call.body["messages"]) == 1 else script(" a time"))
    async with front(upstream) as at:
        where = await begin(at)
        await at.json("POST", f"{where}/answers", asked(), status=201)
        cut = (await ended(at, where))["messages"][1]
        assert (cut["text"], cut["state"], cut["reason"]) == ("Once upon", "failed", "upstream_truncated")
        on = {"id": "a2", "parent": "a1", "continue": True, "model": "fake"}
        await at.json("POST", f"{where}/answers", on, status=201)
        found = (await ended(at, where))["messages"][-1]
        assert (found["parent"], found["text"]) == ("a1", " a time")
    turns = upstream.calls[1].body["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"] == "Once upon"
    assert "cut off" in turns[2]["content"]


async def test_normal_mode_waits_for_the_whole_answer():
    async with front(Fake(script("Hi"))) as at:
        where = await begin(at)
        reply = await at.json("POST", f"{where}/answers", asked(stream=False), status=201)
        assert (reply["answer"]["text"], reply["answer"]["state"]) == ("Hi", "completed")
        await ended(at, where)
        again = await at.json("POST", f"{where}/answers", asked(stream=False), status=200)
        assert again["answer"] == reply["answer"]


@pytest.mark.parametrize("folder", [False, True], ids=["memory", "sqlite"])
async def test_a_retry_never_asks_twice(folder, tmp_path):
    """While it is written, when it has ended, and when its stream is long gone; several at once, too."""
    gate = asyncio.Event()
    upstream = Fake([chunk("Hi"), gate, *script()])
    async with front(upstream, folder=tmp_path if folder else None) as at:
        where = await begin(at)
        replies = await asyncio.gather(*(at.ask("POST", f"{where}/answers", asked()) for _ in range(4)))
        assert sorted(reply.status for reply in replies) == [200, 200, 200, 201]
        streams = {json.loads(reply.body)["stream"] for reply in replies}
        assert len(streams) == 1
        gate.set()
        await ended(at, where)
        for _ in range(2):
            again = await at.json("POST", f"{where}/answers", asked(), status=200)
            assert {again["stream"]} == streams
            await at.registry.log.drop(again["stream"])
        assert len(upstream.calls) == 1


@pytest.mark.parametrize(
    "other",
    [
        asked(text="Something else"),
        asked(id="u2"),
        asked() | {"model": "demo"},
        {"id": "a1", "parent": "u1", "model": "other"},
        asked("u1", id="u9"),
    ],
)
async def test_another_request_under_the_same_id_is_refused(other):
    upstream = Fake(script("Hi"))
    async with front(upstream) as at:
        where = await begin(at)
        await at.json("POST", f"{where}/answers", asked(), status=201)
        refused = await at.json("POST", f"{where}/answers", other, status=422)
        assert refused["error"]["param"] == "id"
        assert len((await ended(at, where))["messages"]) == 2
    assert len(upstream.calls) == 1


async def test_other_settings_under_the_same_id_are_refused_while_the_stream_is_kept():
    gate = asyncio.Event()
    async with front(Fake([chunk("Hi"), gate])) as at:
        where = await begin(at)
        reply = await at.json("POST", f"{where}/answers", asked(), status=201)
        # As where the first request died before the answer knew its stream.
        await unbind(at, "a1")
        body = asked(settings={"temperature": 1})
        assert (await at.json("POST", f"{where}/answers", body, status=422))["error"]["param"] == "id"
        again = await at.json("POST", f"{where}/answers", asked(), status=200)
        assert again["stream"] == reply["stream"]


async def unbind(at, answer):
    """Take an answer back to where its stream had not been started."""
    statement = update(messages).where(messages.c.id == answer).values(stream=None)
    await at.service.records.run(lambda connection: connection.execute(statement))


async def test_what_is_refused_leaves_nothing_behind():
    """An unknown model, too many streams, a server that stops: the page may try again under the same ids."""
    async with front(Fake(script("Hi"))) as at:
        where = await begin(at)
        assert (await at.ask("POST", f"{where}/answers", asked() | {"model": "none"})).status == 404
        at.registry.draining = True
        assert (await at.ask("POST", f"{where}/answers", asked())).status == 503
        assert (await at.json("GET", where))["messages"] == []
        at.registry.draining = False
        await at.json("POST", f"{where}/answers", asked(), status=201)
        assert len((await ended(at, where))["messages"]) == 2


async def test_an_answer_that_was_never_started_is_interrupted():
    """Its process died before it asked; until then it might be about to. A retry still starts it."""
    upstream = Fake(script("Hi"))
    async with front(upstream) as at:
        where = await begin(at)
        answers, body = at.service.talks.answers, asked()
        await answers.begin("local", "c1", asked_in(Place(body)))
        assert (await at.json("GET", where))["messages"][1]["state"] is None
        at.clock.step_wall(STARTING + 1)
        assert (await at.json("GET", "/api/conversations"))["data"][0]["open"] is False
        found = (await at.json("GET", where))["messages"][1]
        assert (found["state"], found["stream"]) == ("interrupted", None)
        assert upstream.calls == []
        await at.json("POST", f"{where}/answers", body, status=201)
        assert (await ended(at, where))["messages"][1]["text"] == "Hi"


async def test_a_stream_whose_answer_does_not_know_it_is_taken_over():
    """Its process died in between; the stream's own meta leads to the answer, and no upstream is asked again."""
    upstream = Fake(script("Hi"))
    async with front(upstream) as at:
        where = await begin(at)
        await at.json("POST", f"{where}/answers", asked(), status=201)
        await ended(at, where)
        statement = update(messages).where(messages.c.id == "a1").values(stream=None, state=None, text="")
        await at.service.records.run(lambda connection: connection.execute(statement))
        assert (await ended(at, where))["messages"][1]["text"] == "Hi"
        await at.json("POST", f"{where}/answers", asked(), status=200)
    assert len(upstream.calls) == 1


async def test_an_open_stream_whose_answer_does_not_know_it_is_found():
    gate = asyncio.Event()
    async with front(Fake([chunk("Hi"), gate])) as at:
        where = await begin(at)
        reply = await at.json("POST", f"{where}/answers", asked(), status=201)
        await unbind(at, "a1")
        assert (await at.json("GET", where))["messages"][1]["stream"] == reply["stream"]


async def test_a_started_stream_writes_its_messages_again():
    """Where an earlier refusal has removed them: no stream is without its answer."""
    async with front(Fake(script("Hi"))) as at:
        where = await begin(at)
        answers = at.service.talks.answers
        begun = await answers.begin("local", "c1", asked_in(Place(asked())))
        await answers.undo(begun)
        assert (await at.json("GET", where))["messages"] == []
        bound = await answers.bind("local", begun, "st_x")
        assert (bound.id, bound.stream) == ("a1", "st_x")
        assert len(await at.service.talks.conversations.messages("local", "c1")) == 2


async def test_a_stream_that_is_gone_counts_as_interrupted():
    async with front(Fake([chunk("Hi"), asyncio.Event()])) as at:
        where = await begin(at)
        reply = await at.json("POST", f"{where}/answers", asked(), status=201)
        await at.registry.log.drop(reply["stream"])
        assert (await at.json("GET", where))["messages"][1]["state"] == "interrupted"


async def test_a_stopped_answer_keeps_what_it_said():
    async with front(Fake([chunk("Hi"), asyncio.Event()])) as at:
        where = await begin(at)
        reply = await at.json("POST", f"{where}/answers", asked(), status=201)
        await settle()
        await at.json("POST", f"/v1/streams/{reply['stream']}/cancel")
        found = (await ended(at, where))["messages"][1]
        assert (found["text"], found["state"]) == ("Hi", "cancelled")


async def test_a_refused_upstream_shows_why():
    async with front(Fake(head=[UpstreamRefused(code="rate_limit", status=429)])) as at:
        where = await begin(at)
        await at.json("POST", f"{where}/answers", asked(), status=201)
        found = (await ended(at, where))["messages"][1]
        assert (found["text"], found["state"], found["reason"]) == ("", "failed", "rate_limit")


async def test_deleting_a_stream_removes_what_was_taken_over():
    """Its place in the tree stays, for what stands below it."""
    async with front(Fake(script("Hi"))) as at:
        where = await begin(at)
        reply = await at.json("POST", f"{where}/answers", asked(), status=201)
        await ended(at, where)
        await at.json("DELETE", f"/v1/streams/{reply['stream']}")
        found = (await at.json("GET", where))["messages"][1]
        assert (found["text"], found["parts"], found["state"]) == ("", [], "completed")


async def test_others_see_nothing_of_it():
    """Not the conversation, not its messages, not its stream; and a ticket opens none of these routes."""
    async with front(Fake(script("Hi")), keys=KEYS) as at:
        where = await begin(at, headers=bearer(ALICE))
        reply = await at.json("POST", f"{where}/answers", asked(), bearer(ALICE), 201)
        await ended(at, where, bearer(ALICE))
        for method, path, body in (
            ("GET", where, b""),
            ("PATCH", where, {"title": "mine"}),
            ("DELETE", where, b""),
            ("GET", f"{where}/export", b""),
            ("POST", f"{where}/answers", asked("a2", "a1", id="u2")),
            ("POST", f"{where}/answers", asked()),
            ("GET", f"/v1/streams/{reply['stream']}?as=ui", b""),
        ):
            assert (await at.ask(method, path, body, bearer(BOB))).status == 404, (method, path)
        assert (await at.json("GET", "/api/conversations", headers=bearer(BOB)))["data"] == []
        ticket = at.service.tickets.issue("alice", "", kind="stream", name="c1", right=Right.READ)
        assert (await at.ask("GET", f"{where}?ticket={ticket}")).status == 401
        assert (await at.json("GET", where, headers=bearer(ALICE)))["messages"][1]["text"] == "Hi"


async def test_a_conversation_that_is_deleted_while_it_starts_leaves_no_stream():
    """The upstream is closed, and nothing is kept."""
    upstream = Fake([chunk("Hi"), asyncio.Event()])
    async with front(upstream) as at:
        where = await begin(at)
        answers = at.service.talks.answers
        original = answers.bind

        async def bind(*given):
            await at.service.talks.conversations.delete("local", "c1")
            return await original(*given)

        answers.bind = bind
        assert (await at.ask("POST", f"{where}/answers", asked())).status == 404
        assert (await at.json("GET", "/v1/streams"))["data"] == []
        assert at.registry.statistics().open_streams == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "id"),
        (asked("a b"), "id"),
        (asked("x" * 65), "id"),
        (asked() | {"model": ""}, "model"),
        (asked() | {"message": {"text": "x"}}, "message.id"),
        (asked(text=" "), "message.text"),
        (asked("a1", id="a1"), "message"),
        (asked() | {"continue": True}, "message"),
        (asked() | {"stream": "yes"}, "stream"),
        (asked(settings={"temperature": "hot"}), "settings.temperature"),
        (asked(settings={"tempo": 1}), "settings.tempo"),
        (asked(settings={"reasoning_effort": "much"}), "settings.reasoning_effort"),
        (asked("a1", "none"), "parent"),
        ({"id": "a1", "parent": None, "model": "fake"}, "parent"),
        (asked() | {"message": {"id": "u1", "parts": [{"data_url": "https://example.com/a.png"}]}}, "data_url"),
        (asked() | {"message": {"id": "u1", "parts": [{"data_url": "data:text/html;base64,AAAA"}]}}, "data_url"),
        (asked() | {"message": {"id": "u1", "parts": [{"data_url": PNG}] * 5}}, "message.parts"),
        (asked() | {"message": {"id": "u1", "parts": [{"type": "file", "data_url": PNG}]}}, "type"),
    ],
)
async def test_what_is_wrong_is_named(body, param):
    upstream = Fake(script("Hi"))
    async with front(upstream) as at:
        where = await begin(at)
        refused = await at.json("POST", f"{where}/answers", body, status=404 if body.get("parent") else 400)
        assert refused["error"]["param"].endswith(param), refused
        assert (await at.json("GET", where))["messages"] == []
    assert upstream.calls == []


async def test_text_that_databases_refuse_is_kept_without_that():
    async with front(Fake(script("Hi\\u0000 \\ud800there"))) as at:
        where = await begin(at)
        body = json.dumps(asked(text="a\0b")).encode()
        await at.json("POST", f"{where}/answers", body, status=201)
        found = (await ended(at, where))["messages"]
        assert found[0]["text"] == "ab"
        assert "\0" not in found[1]["text"]
