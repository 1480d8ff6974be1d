"""Conversations over real processes: a server that is killed in the middle of an answer, and two workers."""

import asyncio
import contextlib
import http.client
import json
import time

import pytest
from tests.e2e.server import HeadraceServer, upstream_toml

from headrace.testing.scripted_upstream import ScriptedUpstream, Stall, answer, head, sse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

WHERE = "/api/conversations/c1"
ASKED = {"id": "a1", "parent": None, "message": {"id": "u1", "text": "Hello"}, "model": "m"}


def play(request):
    """The second answer goes on; the first one is never finished."""
    if len(request.json()["messages"]) == 1:
        return [head(), sse("Once ", "upon "), Stall()]
    return [answer("a time")]


async def until(server, fits, seconds=10.0):
    """The answers of the conversation, once they are as they should be; and how long that took."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        found = await asyncio.to_thread(server.json, "GET", WHERE)
        answers = [message for message in found["messages"] if message["role"] == "assistant"]
        if fits(answers):
            return answers, time.monotonic() - began
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def test_a_killed_server_loses_nothing_that_was_seen(tmp_path):
    """The answer is interrupted with what it had said; a retry asks nobody again, and it can be gone on from."""
    async with ScriptedUpstream(play) as upstream:
        server = HeadraceServer(tmp_path, upstream_toml(f"{upstream.url}/v1"))
        await asyncio.to_thread(server.start)
        try:
            await asyncio.to_thread(server.json, "POST", "/api/conversations", {"id": "c1"})
            started = await asyncio.to_thread(server.json, "POST", f"{WHERE}/answers", ASKED)
            await seen(server, started["stream"], b"upon")
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            answers, _ = await until(server, lambda found: found[0]["state"])
            assert (answers[0]["state"], answers[0]["text"]) == ("interrupted", "Once upon ")
            again = await asyncio.to_thread(server.json, "POST", f"{WHERE}/answers", ASKED)
            assert (again["stream"], again["answer"]) == (started["stream"], answers[0])
            on = {"id": "a2", "parent": "a1", "continue": True, "model": "m"}
            await asyncio.to_thread(server.json, "POST", f"{WHERE}/answers", on)
            answers, _ = await until(server, lambda found: len(found) == 2 and found[1]["state"])
            assert answers[1]["text"] == "a time"
            assert len(upstream.requests) == 2
        finally:
            await asyncio.to_thread(server.stop)


async def test_a_server_that_is_killed_at_any_moment_of_a_start_asks_at_most_once(tmp_path):
    """The same request again and again, with a kill at another moment each time: one call, one answer, never open."""
    async with ScriptedUpstream(lambda _: [answer("Hi")]) as upstream:
        server = HeadraceServer(tmp_path, upstream_toml(f"{upstream.url}/v1"))
        await asyncio.to_thread(server.start)
        try:
            await asyncio.to_thread(server.json, "POST", "/api/conversations", {"id": "c1"})
            for moment in (0.006, 0.025):
                asking = asyncio.create_task(asyncio.to_thread(server.request, "POST", f"{WHERE}/answers", ASKED))
                await asyncio.sleep(moment)
                await asyncio.to_thread(server.kill)
                with contextlib.suppress(OSError, http.client.HTTPException):
                    await asking
                await asyncio.to_thread(server.start)
            await asyncio.to_thread(server.json, "POST", f"{WHERE}/answers", ASKED)
            answers, _ = await until(server, lambda found: len(found) == 1 and found[0]["state"])
            assert answers[0]["state"] in ("completed", "interrupted")
            assert len(upstream.requests) <= 1
        finally:
            await asyncio.to_thread(server.stop)


async def test_a_change_on_one_worker_is_seen_on_the_others(tmp_path):
    """Within about a second of the answer's end, by whoever watches, wherever."""
    async with ScriptedUpstream(lambda _: [answer("Hi")]) as upstream:
        server = HeadraceServer(tmp_path, upstream_toml(f"{upstream.url}/v1"), workers=2)
        await asyncio.to_thread(server.start)
        watches = []
        try:
            watches = [await asyncio.to_thread(watch, server) for _ in range(6)]
            await asyncio.to_thread(server.json, "POST", "/api/conversations", {"id": "c1"})
            await asyncio.to_thread(server.json, "POST", f"{WHERE}/answers", ASKED)
            _, taken = await until(server, lambda found: found[0]["state"])
            assert taken < 2
            began = time.monotonic()
            told = await asyncio.gather(*(asyncio.to_thread(changed, reply) for _, reply in watches))
            assert {each["id"] for each in told} == {"c1"}
            assert time.monotonic() - began < 3
        finally:
            for connection, _ in watches:
                connection.close()
            await asyncio.to_thread(server.stop)


async def seen(server, stream, text):
    """Wait until a stream holds a text."""
    for _ in range(200):
        status, headers, _ = await asyncio.to_thread(server.request, "HEAD", f"/v1/streams/{stream}")
        if status == 200 and int(headers["headrace-tail"]) >= 2:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(text)


def watch(server):
    """An open watch on a connection of its own, past its first block."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/api/conversations/watch")
    reply = connection.getresponse()
    assert reply.status == 200
    while reply.readline().strip():
        pass
    return connection, reply


def changed(reply):
    """The next change that a watch tells."""
    while True:
        line = reply.readline()
        assert line, "the watch has ended"
        if line.startswith(b"data: "):
            return json.loads(line[6:])
