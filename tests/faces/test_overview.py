"""The overview: how one's own streams are, what the server does, and for admins everybody's; never what is said."""

import asyncio
import json
from itertools import pairwise

import pytest
from tests.faces.front import ALICE, BOB, KEYS, MESSAGES, Fake, bearer, frames, front, script

from headrace.errors import StoreUnavailable, UpstreamRefused
from headrace.faces.feed import EVERY
from headrace.observe.health import EVERY as PROBED
from headrace.testing.clock import settle
from headrace.testing.fake_upstream import chunk

OVERVIEW = "/api/overview"
ASKED = {"model": "fake", "stream": True, "messages": MESSAGES}
KEYRING = {**KEYS, "root": {"secret": "root-key-0123456789", "admin": True}}
ROOT = "root-key-0123456789"


async def shown(at, exchange, rounds=1000):
    """The next picture. What is looked up waits for threads, and not for the clock."""
    for _ in range(rounds):
        if found := [frame for frame in frames(exchange.waiting()) if frame.event == "overview"]:
            exchange._pieces.clear()
            return json.loads(found[-1].data)
        await at.clock.advance(EVERY / 4)
        await asyncio.sleep(0.005)
    raise AssertionError("nothing is shown")


async def test_an_open_stream_shows_how_fast_it_grows():
    go = asyncio.Event()
    upstream = Fake([chunk("secret"), go, *[chunk("x")] * 8, *script("end")])
    async with front(upstream) as at, at.open("POST", "/v1/chat/completions", ASKED) as asked:
        await asked.piece()
        async with at.open("GET", OVERVIEW) as exchange:
            first = await shown(at, exchange)
            (row,) = first["streams"]
            assert (row["state"], row["model"], row["upstream"], row["readers"]) == ("open", "fake", "fake", 1)
            assert (first["open"], first["readers"], first["workers"]) == (1, 1, 1)
            assert [(each["name"], each["kind"], each["healthy"]) for each in first["stores"]] == [
                ("streams", "memory", True),
                ("topics", "memory", True),
                ("records", "sqlite", True),
            ]
            go.set()
            await settle()
            later = await shown(at, exchange)
            while later["streams"][0]["state"] == "open":
                later = await shown(at, exchange)
            (row,) = later["streams"]
            assert (row["state"], row["reason"]) == ("completed", "stop")
            assert row["records"] > 8
            assert later["ended"]["completed"] == 1
            assert later["first"]["upstream"]["p50"] is not None
            assert "secret" not in json.dumps([first, later])


async def test_failures_are_counted_by_cause():
    async with front(Fake(head=[UpstreamRefused(code="rate_limit", status=429)])) as at:
        await at.ask("POST", "/v1/chat/completions", ASKED)
        async with at.open("GET", OVERVIEW) as exchange:
            found = await shown(at, exchange)
        assert found["ended"]["failed"] == 1
        assert found["errors"] == [{"reason": "rate_limit", "count": 1}]


async def test_others_streams_are_for_admins():
    """Who sees whose they are, and may stop them."""
    upstream = Fake([chunk("a"), asyncio.Event()])
    async with front(upstream, keys=KEYRING) as at:
        async with at.open("POST", "/v1/chat/completions", ASKED, bearer(ALICE)) as asked:
            await asked.piece()
            id = (await asked.head()).headers["headrace-stream-id"]
            seen = {}
            for key in (ALICE, BOB, ROOT):
                async with at.open("GET", OVERVIEW, headers=bearer(key)) as exchange:
                    seen[key] = [row.get("owner") for row in (await shown(at, exchange))["streams"]]
            assert seen == {ALICE: [None], BOB: [], ROOT: ["alice"]}
            stop = f"{OVERVIEW}/streams/{id}/cancel"
            assert (await at.ask("POST", stop, headers=bearer(BOB))).status == 404
            told = await at.json("POST", stop, headers=bearer(ROOT))
            assert told == {"cancelled": True, "state": "cancelled"}
            assert (await at.ask("POST", f"{OVERVIEW}/streams/none/cancel", headers=bearer(ROOT))).status == 404


async def test_an_admin_sees_how_others_streams_end():
    """Those that were open while it looked stay, as its own do."""
    upstream = Fake([chunk("a"), asyncio.Event()])
    async with front(upstream, keys=KEYRING) as at:
        async with at.open("POST", "/v1/chat/completions", ASKED, bearer(ALICE)) as asked:
            await asked.piece()
            id = (await asked.head()).headers["headrace-stream-id"]
            async with at.open("GET", OVERVIEW, headers=bearer(ROOT)) as exchange:
                (row,) = (await shown(at, exchange))["streams"]
                assert (row["id"], row["state"]) == (id, "open")
                await at.ask("POST", f"{OVERVIEW}/streams/{id}/cancel", headers=bearer(ROOT))
                for _ in range(3):
                    (row,) = (await shown(at, exchange))["streams"]
                    assert (row["id"], row["owner"], row["state"]) == (id, "alice", "cancelled")


async def test_an_admin_sees_nothing_of_streams_that_were_deleted():
    upstream = Fake([chunk("a"), asyncio.Event()])
    async with front(upstream, keys=KEYRING) as at, at.open("GET", OVERVIEW, headers=bearer(ROOT)) as exchange:
        async with at.open("POST", "/v1/chat/completions", ASKED, bearer(ALICE)) as asked:
            await asked.piece()
            id = (await asked.head()).headers["headrace-stream-id"]
            while not (await shown(at, exchange))["streams"]:
                pass
            await at.ask("DELETE", f"/v1/streams/{id}", headers=bearer(ALICE))
            assert (await shown(at, exchange))["streams"] == []


async def test_a_store_that_fails_is_shown_and_since_when():
    async with front() as at:
        async with at.open("GET", OVERVIEW) as exchange:
            before = (await shown(at, exchange))["stores"][0]

            async def check():
                raise StoreUnavailable

            health = at.service.overview.__self__._health
            health._probes["streams"] = health._probes["streams"]._replace(check=check)
            await at.clock.advance(PROBED)
            found = before
            while found["healthy"]:
                found = (await shown(at, exchange))["stores"][0]
            assert found["since"] > before["since"]


async def test_the_overview_goes_on_while_the_streams_cannot_be_listed():
    """What was seen of them stays, but for their speed; and that their store fails is told."""
    upstream = Fake([chunk("a"), asyncio.Event()])
    async with front(upstream) as at, at.open("POST", "/v1/chat/completions", ASKED) as asked:
        await asked.piece()
        async with at.open("GET", OVERVIEW) as exchange:
            before = await shown(at, exchange)

            async def fail(*_, **__):
                raise StoreUnavailable

            health = at.service.overview.__self__._health
            health._probes["streams"] = health._probes["streams"]._replace(check=fail)
            at.registry.log.list = fail
            await at.clock.advance(PROBED)
            found = before
            while found["stores"][0]["healthy"]:
                found = await shown(at, exchange, rounds=100)
            assert [(row["id"], row["rate"]) for row in found["streams"]] == [(before["streams"][0]["id"], 0.0)]


async def test_numbers_are_computed_once_for_all_who_look():
    async with front(keys=KEYRING) as at:
        taken = []
        board = at.service.overview.__self__
        original = board._snapshot

        async def counting():
            taken.append(at.clock.monotonic())
            return await original()

        board._snapshot = counting
        async with (
            at.open("GET", OVERVIEW, headers=bearer(ALICE)) as one,
            at.open("GET", OVERVIEW, headers=bearer(BOB)) as two,
        ):
            for exchange in (one, two):
                await shown(at, exchange)
            for _ in range(12):
                await at.clock.advance(EVERY / 4)
                await asyncio.sleep(0.005)
        assert all(later - earlier >= 0.9 for earlier, later in pairwise(taken)), taken
        count = len(taken)
        await at.clock.advance(5)
        assert len(taken) == count


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_it_is_only_read(method):
    async with front() as at:
        assert (await at.ask(method, OVERVIEW)).status == 405
