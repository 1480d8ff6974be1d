"""Answers in conversations: asked once, followed, taken over when they end, and safe wherever a start dies."""

import asyncio
import json

from tests.faces.front import Fake, frames, front, script

from headrace.model.outcome import Usage

PNG = "data:image/png;base64,iVBORw0KGgo="


def asked(answer="a1", parent=None, text="Hello", id="u1", **more):
    """A request for an answer to a new message."""
    return {"id": answer, "parent": parent, "message": {"id": id, "text": text}, "model": "fake", **more}


async def begin(at, id="c1", headers=()):
    await at.json("POST", "/api/conversations", {"id": id}, headers, status=201)
    return f"/api/conversations/{id}"


async def ended(at, where, headers=(), rounds=50):
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
