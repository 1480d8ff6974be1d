"""Who gets what: every route of the app for every kind of caller.

What is somebody else's is told in the same words, byte for byte, as what never was.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.faces.front import ALICE, BOB, Front, bearer, front, script
from tests.faces.surface import CLOSED, OPEN, ROWS, UI, Access, Row, asks_who_comes, methods_of, routes
from tests.faces.test_passthrough import Answer, Forwarder

from headrace.app import create_app
from headrace.config import Key, ProxyTarget, Settings
from headrace.config.key_text import digest_of, id_of
from headrace.core.routing import Call
from headrace.faces.access.reach import ASKED
from headrace.faces.access.tickets import Right
from headrace.model.grants import ROUTES, Grants
from headrace.records.keys import Keys
from headrace.testing.asgi import Response
from headrace.testing.fake_upstream import chunk
from headrace.testing.scripted_upstream import ScriptedUpstream, whole

ROOT = "root-key-0123456789ab"

_PROMPT = [{"role": "user", "content": "x"}]
#: How an answer begins that a target names.
BEGUN: dict[str, tuple[str, dict[str, Any]]] = {
    "stream": ("/v1/chat/completions", {"model": "fake", "messages": _PROMPT}),
    "running": ("/v1/chat/completions", {"model": "slow", "stream": True, "messages": _PROMPT}),
    "response": ("/v1/responses", {"model": "fake", "input": "x"}),
    "message": ("/v1/messages", {"model": "fake", "max_tokens": 9, "messages": _PROMPT}),
    "chat": ("/api/chat", UI),
    "writing": ("/api/chat", UI | {"model": "slow"}),
}
#: What stands in a target for what nobody has made.
NEVER = dict.fromkeys(BEGUN, "st_" + "0" * 26) | {"topic": "never", "unmade": "new", "talk": "never"}

CALLERS = ("owner", *Access._fields)


class House:
    """The app with everything that it may have, Alice's things in it, and whoever comes."""

    def __init__(self, at: Front) -> None:
        self._at = at
        self._table = Keys(at.service.records, at.clock)
        self._keys = {"owner": ALICE, "foreign": BOB, "admin": ROOT, "wrong": "hr_wrong_wrong_wrong_0"}
        self._made = 0
        self._session = ""

    async def prepare(self) -> None:
        """Sign Alice in, and make keys of hers that were good once."""
        reply = await self._at.ask("POST", "/api/session", {"key": ALICE})
        self._session = reply.headers["set-cookie"].partition(";")[0]
        revoked = await self._table.create("alice", Grants())
        expired = await self._table.create("alice", Grants(lifetime=1.0))
        for made in (revoked, expired):
            assert (await self._at.ask("GET", "/v1/streams", headers=bearer(made.secret))).status == 200
        await self._table.revoke(revoked.stored.id)
        await self._at.clock.advance(6.0)
        self._keys |= {"revoked": revoked.secret, "expired": expired.secret}

    async def things(self, row: Row) -> dict[str, str]:
        """Something new of Alice's for each name in a row's target."""
        return {what: await self._thing(what) for what in NEVER if f"{{{what}}}" in row.target}

    async def _thing(self, what: str) -> str:
        self._made += 1
        name = f"{what}{self._made}"
        if what == "talk":
            await self._at.json("POST", "/api/conversations", {"id": name}, bearer(ALICE), 201)
        elif what == "topic":
            assert (await self._at.ask("PUT", f"/v1/topics/{name}", [1], bearer(ALICE) | JSON)).status == 201
        elif what in BEGUN:
            id = await self._begun(what, name)
            return name if "chat" in BEGUN[what][0].split("/")[-1:] else id
        return name

    async def _begun(self, what: str, name: str) -> str:
        target, body = BEGUN[what]
        headers = bearer(ALICE) | {"headrace-on-leave": "keep"}
        async with self._at.open("POST", target, body | {"id": name}, headers) as exchange:
            head = await exchange.head()
            await (exchange.piece() if body["model"] == "slow" else exchange.rest())
        return head.headers["headrace-stream-id"]

    async def ask(self, caller: str, row: Row, names: Mapping[str, str]) -> Response:
        """A request of a row; of a feed only the head."""
        target = (row.target or row.route).format_map(names)
        headers = {"x-request-id": "r1"} | (JSON if row.body else {})
        if caller == "ticket":
            target += f"{'&' if '?' in target else '?'}ticket={self._ticket(names)}"
        elif caller == "session":
            headers["cookie"] = self._session
        elif caller != "nothing":
            headers |= bearer(await self._key(caller, row.tag))
        async with self._at.open(row.method, target, row.body, headers) as exchange:
            head = await exchange.head()
            body = b"" if row.endless and head.status == 200 else await exchange.rest()
            told = {name: value for name, value in head.headers.items() if name != "server-timing"}
            return Response(head.status, told, body, complete=True)

    def _ticket(self, names: Mapping[str, str]) -> str:
        kind = "chat" if names.keys() & {"chat", "writing"} else "stream"
        name = next(iter(names.values()), "st_1")
        key = id_of(digest_of(ALICE.encode()))
        return self._at.service.tickets.issue("alice", key, kind=kind, name=name, right=Right.READ)

    async def _key(self, caller: str, tag: str) -> str:
        asked = ASKED.get(tag, ())
        if caller == "enough":
            return await self._key_for(asked[:1])
        if caller == "elsewhere":
            return await self._key_for(tuple(name for name in ROUTES if name not in asked))
        return self._keys[caller]

    async def _key_for(self, some: tuple[Any, ...]) -> str:
        name = f"good for {some}"
        if name not in self._keys:
            self._keys[name] = (await self._table.create("alice", Grants(routes=some))).secret
        return self._keys[name]


JSON = {"content-type": "application/json"}


def play(call: Call) -> list[Any]:
    """The model ``slow`` says a word and then nothing more."""
    return [chunk("a"), asyncio.Event()] if call.model == "slow" else script("a")


class Counting(Forwarder):
    """An upstream that takes other calls, and counts tokens."""

    async def forward(self, method: str, path: str, *rest: Any) -> Answer:
        if path.endswith("/count_tokens"):
            return Answer(200, {"content-type": "application/json"}, [b'{"input_tokens":1}'], self.let_go)
        return await super().forward(method, path, *rest)


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    (folder / "files").mkdir()
    (folder / "files" / "a.txt").write_bytes(b"a")
    upstream = Counting()
    upstream._steps, upstream.configured = play, ("fake", "slow")
    keys = {"alice": Key.model_validate(ALICE), "bob": Key.model_validate(BOB)}
    async with ScriptedUpstream([whole()]) as server:
        target = ProxyTarget(
            base_url=server.url, private=True, methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        )
        settings = {
            "keys": keys | {"root": Key.model_validate({"secret": ROOT, "admin": True})},
            "files": {"folder": folder / "files"},
            "proxy": {"t": target},
            "metrics": {"key": "prometheus-0123456789"},
        }
        async with front(upstream, folder=folder / "data", **settings) as at:
            made = House(at)
            await made.prepare()
            yield made


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_every_caller_gets_on_every_route_what_the_table_says(tmp_path):
    """Nobody has changed a thing before its owner comes; what was refused is refused as if it were not there."""
    wrong = []
    async with house(tmp_path) as at:
        for row in ROWS:
            names = await at.things(row)
            for caller in sorted(CALLERS, key=lambda caller: row.gets(caller) == row.status):
                if row.gets(caller) == row.status and caller not in ("nothing", "foreign", "admin"):
                    names = await at.things(row) if caller != "owner" else names
                reply = await at.ask(caller, row, names)
                never = await at.ask(caller, row, {name: NEVER[name] for name in names})
                if reply.status != row.gets(caller):
                    wrong.append((row.method, row.route, caller, reply.status, reply.body))
                elif row.gets(caller) != row.status and names and reply != never:
                    wrong.append((row.method, row.route, caller, reply, never))
                elif caller == "owner" and row.says not in reply.body:
                    wrong.append((row.method, row.route, caller, reply.body))
    assert wrong == []


def test_every_route_has_a_row_and_every_row_a_route():
    """Also those that no description lists."""
    there = {(method, route.path) for route in routes() for method in methods_of(route)}
    assert len(there) > 60
    assert there == {(row.method, row.route) for row in ROWS}
    assert len(ROWS) == len(there)


def test_every_face_says_which_keys_reach_it():
    """By its tag; a new one without an entry is closed to keys with routes."""
    guarded = [route for route in routes() if asks_who_comes(route)]
    assert {(method, route.path) for route in guarded for method in methods_of(route)} == {
        (row.method, row.route) for row in ROWS if row.access not in (OPEN, CLOSED)
    }
    assert {tag for route in guarded for tag in route.tags} == ASKED.keys()
    assert {name for names in ASKED.values() for name in names} == set(ROUTES)


def test_the_description_asks_for_keys_where_the_routes_do():
    """No more and no less."""
    paths = create_app(Settings()).openapi()["paths"]
    told = {
        (method.upper(), path) for path, methods in paths.items() for method in methods if "security" in methods[method]
    }
    there = {
        (method, route.path.replace(":path", ""))
        for route in routes()
        if asks_who_comes(route) and route.include_in_schema
        for method in methods_of(route)
    }
    assert told == there
