"""The watch: what changes is told to whoever listens, whoever changed it, and to nobody else."""

import asyncio
import json

import pytest
from tests.faces.front import ALICE, BOB, KEYS, bearer, frames, front

from headrace.faces.conversations.watch import _gone
from headrace.faces.feed import EVERY, LISTENERS
from headrace.records.conversations import WATCHED
from headrace.testing.clock import settle

WATCH = "/api/conversations/watch"


async def told(at, exchange, rounds=1000):
    """The next changes that an open watch tells. What is looked up waits for threads, and not for the clock."""
    for _ in range(rounds):
        await at.clock.advance(EVERY / 2)
        await asyncio.sleep(0.005)
        found = [frame for frame in frames(exchange.waiting()) if frame.event == "changed"]
        if found:
            exchange._pieces.clear()
            return [json.loads(frame.data) for frame in found]
    raise AssertionError("nothing is told")


def feeds():
    """How many look."""
    return sum(task.get_name() == "feed" for task in asyncio.all_tasks())


async def make(at, id, headers=()):
    at.clock.step_wall(1)
    await at.json("POST", "/api/conversations", {"id": id}, headers, status=201)


async def test_what_changes_is_told_and_nothing_before():
    """Made, changed and deleted; by another process too, for all that is looked at is the database."""
    async with front() as at:
        await make(at, "old")
        async with at.open("GET", WATCH) as exchange:
            assert (await exchange.head()).headers["content-type"].startswith("text/event-stream")
            await exchange.piece()
            await make(at, "c1")
            assert [(each["id"], each.get("deleted")) for each in await told(at, exchange)] == [("c1", None)]
            at.clock.step_wall(1)
            await at.json("PATCH", "/api/conversations/c1", {"title": "New"})
            assert [each["id"] for each in await told(at, exchange)] == ["c1"]
            await at.json("DELETE", "/api/conversations/c1")
            assert [(each["id"], each["deleted"]) for each in await told(at, exchange)] == [("c1", True)]


async def test_two_listeners_share_one_look_and_others_hear_nothing():
    async with front(keys=KEYS) as at:
        async with (
            at.open("GET", WATCH, headers=bearer(ALICE)) as one,
            at.open("GET", WATCH, headers=bearer(ALICE)) as two,
            at.open("GET", WATCH, headers=bearer(BOB)) as other,
        ):
            for exchange in (one, two, other):
                await exchange.piece()
            assert feeds() == 2
            await make(at, "c1", bearer(ALICE))
            assert await told(at, one) == await told(at, two)
            assert b"c1" not in other.waiting()
        await settle()
        assert feeds() == 0


async def test_a_quiet_watch_is_kept_alive():
    async with front() as at:
        async with at.open("GET", WATCH) as exchange:
            await exchange.piece()
            for _ in range(20):
                await at.clock.advance(EVERY)
                await asyncio.sleep(0.005)
            assert exchange.waiting() == b": ping\n\n"


async def test_who_listens_too_often_is_refused():
    async with front() as at:
        held = [at.service.listeners.one("local") for _ in range(LISTENERS)]
        for one in held:
            one.__enter__()
        assert (await at.ask("GET", WATCH)).status == 429
        for one in held:
            one.__exit__(None, None, None)


async def test_a_stopping_server_lets_its_listeners_go():
    """Cleanly, and takes no new ones."""
    async with front() as at:
        async with at.open("GET", WATCH) as exchange:
            await exchange.piece()
            at.registry.draining = True
            for _ in range(1000):
                if exchange.complete:
                    break
                await at.clock.advance(EVERY)
                await asyncio.sleep(0.005)
            assert exchange.complete
        assert (await at.ask("GET", WATCH)).status == 503


def test_what_is_pushed_out_of_a_full_list_is_not_deleted():
    """Only what is newer than the last of the list is known to be gone."""
    known = {f"c{n}": float(n) for n in range(WATCHED)}
    found = {f"c{n}": float(n) for n in range(1, WATCHED) if n != 500} | {"x": 5000.0, "y": 5001.0}
    assert len(found) == WATCHED
    assert _gone(known, found) == ["c500"]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_watch_is_no_conversation(method):
    """Its path is taken; nothing is deleted under that name."""
    async with front() as at:
        assert (await at.ask(method, WATCH)).status in (404, 405)
