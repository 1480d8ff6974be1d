"""Two nodes that share a Redis, and a PostgreSQL: limits hold over both of them exactly, and no key stands anywhere.

That answers go on elsewhere when a node or the Redis dies is the business of the gates ``nodes`` and ``rolling``.
"""

import asyncio
import base64
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.contract.redis_server import RedisServer, redis_server
from tests.e2e.clients import Client, chat
from tests.e2e.server import HeadraceServer, upstream_toml
from tests.services.postgresql import PASSWORD, PostgresqlServer

from headrace.core.clock import SystemClock
from headrace.model.grants import Grants, Quota
from headrace.records.database import Database
from headrace.records.keys import Keys
from headrace.testing.scripted_upstream import Received, ScriptedUpstream, Stall, Step, answer, head, sse
from headrace.testing.server import COMMAND

pytestmark = [pytest.mark.slow, pytest.mark.redis, pytest.mark.timeout(60)]

#: Of the keys of these tests, one for each limit.
REQUESTS, STREAMS, TOKENS = 10, 5, 1000
LIMITS = {
    "asks": f"requests_per_minute = {REQUESTS}",
    "holds": f"concurrent_streams = {STREAMS}",
    "spends": f"tokens_per_minute = {TOKENS}",
}
KEYS = {name: f"hr_CANARY_{name}_0123456789" for name in LIMITS}
UPSTREAM_KEY = "sk-upstream-secret-0123456789"
SAID = "a-word-of-the-answer"


class Nodes:
    """Both servers, with what they stand on."""

    def __init__(self, servers: Sequence[HeadraceServer], upstream: ScriptedUpstream, redis: RedisServer) -> None:
        self.servers = servers
        self.upstream = upstream
        self.redis = redis
        #: Set to let answers end that were told to wait.
        self.release = asyncio.Event()

    def script(self, request: Received) -> list[Step]:
        """What the message asks for; ``wait 10 20`` ends when it is released, and has used so many tokens."""
        if b"endless" in request.body:
            return [head(body="close"), sse(SAID), Stall()]
        if b"wait" in request.body:
            used = request.body.partition(b"wait ")[2].partition(b'"')[0].split()
            end = sse(finish_reason="stop", done=True, usage=(int(used[0]), int(used[1])))
            return [head(body="close"), sse(SAID), self.release, end]
        if b"refuse" in request.body:
            told = b'{"error":{"message":"Incorrect API key provided: %b","type":"invalid_request_error"}}'
            body = told % request.headers.get("authorization", "").encode()
            return [head(401, type="application/json", body=str(len(body))), body]
        return [answer(SAID)]

    async def at_once(self, name: str, text: str, count: int, **more: object) -> list[Client]:
        """So many requests of one key, in turn to both nodes, all at the same time."""
        ports = cycle(server.port for server in self.servers)
        return list(await asyncio.gather(*(self.ask(next(ports), KEYS[name], text, **more) for _ in range(count))))

    async def ask(self, port: int, key: str, text: str, **more: object) -> Client:
        """One request, up to the head of its reply."""
        return await Client(port).open("POST", "/v1/chat/completions", chat(text=text, **more), bearer(key))


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "Headrace-On-Leave": "keep"}


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    """Both, with the keys of the configuration."""
    keys = "".join(f'[keys.{name}]\nsecret = "{KEYS[name]}"\nlimits = {{ {LIMITS[name]} }}\n' for name in KEYS)
    async with ScriptedUpstream([answer("")]) as upstream:
        with ExitStack() as stack:
            redis = stack.enter_context(redis_server(tmp_path))
            toml = upstream_toml(f"{upstream.url}/v1") + keys
            servers = []
            for name in ("a", "b"):
                (tmp_path / name).mkdir()
                server = HeadraceServer(tmp_path / name, toml, env={"HEADRACE_DATA": redis.url})
                stack.callback(server.stop, signal.SIGKILL)
                servers.append(server)
            await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
            made = Nodes(servers, upstream, redis)
            upstream.script_for = made.script
            yield made


def admitted(clients: Iterable[Client]) -> list[Client]:
    """Those who were let in; everybody else was told that it is too much."""
    assert {client.status for client in clients} == {200, 429}
    return [client for client in clients if client.status == 200]


def level(client: Client) -> float:
    """How many tokens the account had used when this reply was begun."""
    return float(client.headers["x-ratelimit-reset-tokens"].removesuffix("s")) * TOKENS / 60


async def test_limits_are_exact_over_both_nodes_and_close_without_redis(nodes: Nodes) -> None:
    """Requests, answers at once and tokens: as many as one node would let in; nothing, where nobody can count."""
    began = time.monotonic()
    asked = admitted(await nodes.at_once("asks", "x", 40))
    took = time.monotonic() - began
    assert REQUESTS <= len(asked) <= REQUESTS + int(took * REQUESTS / 60), "a minute gives back as much as the limit"
    assert len(nodes.upstream.requests) == len(asked)

    held = admitted(await nodes.at_once("holds", "endless", 40))
    assert len(held) == STREAMS
    stop = await Client(nodes.servers[1].port).open(
        "POST", f"/v1/streams/{held[0].stream}/cancel", None, bearer(KEYS["holds"])
    )
    assert b'"cancelled":true' in (await stop.rest()).body
    await until(lambda: nodes.ask(nodes.servers[0].port, KEYS["holds"], "endless"), 200)
    assert {client.status for client in await nodes.at_once("holds", "endless", 4)} == {429}

    nodes.redis.stop(signal.SIGKILL)
    calls = len(nodes.upstream.requests)
    for name in KEYS:
        refused = await nodes.at_once(name, "x", 2)
        assert [client.status for client in refused] == [503, 503]
    assert len(nodes.upstream.requests) == calls, "what cannot be counted is not begun"


async def until(ask: Callable[[], Any], status: int, fits: Callable[[Client], bool] = lambda _: True) -> Client:
    """Ask until it is answered so, for a few seconds."""
    async with asyncio.timeout(5):
        while True:
            client: Client = await ask()
            if client.status == status and fits(client):
                return client
            client.close()
            await asyncio.sleep(0.02)


async def test_tokens_are_reserved_settled_and_overshot_by_no_more_than_is_in_flight(nodes: Nodes) -> None:
    """What is reserved is what a request may use at most; what was used counts once its answer has ended."""
    began = time.monotonic()
    first = admitted(await nodes.at_once("spends", "wait 10 20", 30, max_tokens=100))
    took = time.monotonic() - began
    assert 100 * len(first) <= TOKENS * (1 + took / 60)
    assert len(first) >= TOKENS // 125, "a short prompt is a few tokens"
    nodes.release.set()
    await asyncio.gather(*(client.rest() for client in first))
    nodes.release.clear()

    async def settled() -> Client:
        return await nodes.ask(nodes.servers[0].port, KEYS["spends"], "wait 10 490", max_tokens=100)

    async def refused(node: int, most: int) -> Client:
        return await nodes.ask(nodes.servers[node].port, KEYS["spends"], "x", max_tokens=most)

    over = [await until(settled, 200)]
    # The last of them is settled a moment after its end was told.
    await until(lambda: refused(1, 2 * TOKENS), 429, lambda told: level(told) <= 30 * len(first) + 125)
    over += [await settled() for _ in range(3)]
    over = admitted([*over, await refused(1, 2 * TOKENS)])
    reserved = 125 * len(over)
    assert level(over[-1]) <= 30 * len(first) + reserved, "of the first ones, what they used"
    nodes.release.set()
    await asyncio.gather(*(client.rest() for client in over))
    used = 30 * len(first) + 500 * len(over)

    def least() -> float:
        return used - (time.monotonic() - began) * TOKENS / 60 - 5

    await until(lambda: refused(1, 2 * TOKENS), 429, lambda told: level(told) >= least())
    for node in (1, 0):
        last = await refused(node, 100)
        assert last.status == 429
    assert least() <= level(last) <= used
    assert level(last) - TOKENS <= 500 * len(over), "at most what was in flight"


class Watched:
    """Everything in which a key might be found, by where it stands."""

    def __init__(self) -> None:
        self._found: dict[str, list[bytes]] = {}

    @property
    def places(self) -> dict[str, bytes]:
        return {name: b"\n".join(found) for name, found in self._found.items()}

    def add(self, name: str, data: bytes) -> None:
        self._found.setdefault(name, []).append(data)

    def say(self, node: HeadraceServer, *asked: Any, **given: Any) -> tuple[int, dict[str, str], bytes]:
        """Ask, and keep the reply."""
        reply = node.request(*asked, **given)
        self.add("replies", repr(reply).encode())
        return reply

    def with_(self, secret: str) -> list[str]:
        """Where it is found: as it is, as hexadecimal digits, or in base 64."""
        raw = secret.encode()
        forms = (raw, raw.hex().encode(), base64.b64encode(raw)[:-4])
        return [name for name, data in self.places.items() if any(form in data for form in forms)]


@pytest.mark.parametrize("form", [bytes, lambda raw: raw.hex().encode(), base64.b64encode])
def test_a_secret_that_stands_somewhere_is_found(form: Callable[[bytes], bytes]) -> None:
    """In each form in which a store or a log may have it."""
    watched = Watched()
    watched.add("logs", b"nothing")
    watched.add("tables", b"x" + form(b"CANARY-0123456789") + b"x")
    assert watched.with_("CANARY-0123456789") == ["tables"]
    assert watched.with_("CANARY-9876543210") == []


CANARIES = {
    "configured": "hr_CANARY_configured_0123456789",
    "metrics": "CANARY-metrics-key-0123456789",
    "tickets": "CANARY-tickets-secret-0123456789",
    "proxy": "CANARY-proxy-credential-0123456789",
    "redis": "CANARY-redis-password-0123456789",
    "postgresql": PASSWORD,
    "upstream": UPSTREAM_KEY,
}


@pytest.mark.postgresql
async def test_no_key_stands_anywhere(tmp_path: Path, postgresql: PostgresqlServer, postgresql_url: str) -> None:
    """Planted ones, shown in right and wrong places, while things go well and badly, are in no log, store or reply."""
    watched = Watched()
    nodes = Nodes([], ScriptedUpstream([answer("")]), RedisServer(tmp_path))
    nodes.upstream.script_for = nodes.script
    options = ("--requirepass", CANARIES["redis"], "--appendonly", "yes", "--appendfsync", "always")
    async with nodes.upstream as upstream:
        with redis_server(tmp_path, *options) as redis, ExitStack() as stack:
            env = {"HEADRACE_DATA": f"redis://:{CANARIES['redis']}@127.0.0.1:{redis.port}/0"}
            servers = [
                HeadraceServer(_folder(tmp_path, name), _toml(upstream, postgresql_url), env=env) for name in "ab"
            ]
            for server in servers:
                stack.callback(server.stop)
            await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
            secrets = await _keys(servers[0], watched, env, postgresql_url)
            await asyncio.to_thread(_live, servers, watched, secrets)
            redis.stop(signal.SIGKILL)
            await asyncio.to_thread(_ask_all, servers, watched, secrets)
            redis.start()
            with postgresql.paused():
                await asyncio.to_thread(_ask_all, servers, watched, secrets)
            for server in servers:
                assert await asyncio.to_thread(server.stop) == 0
        asked = repr(upstream.requests)
    _collect(watched, tmp_path, postgresql, postgresql_url)
    for status in (200, 401, 429, 503):
        assert b"(%d, " % status in watched.places["replies"]
    assert "carol" in watched.places["tables"].decode(), "the tables were read"
    assert SAID.encode() in watched.places["redis"], "what Redis has is read as it is"
    found = {name: places for name, secret in {**CANARIES, **secrets}.items() if (places := watched.with_(secret))}
    assert found == {}
    assert [name for name, secret in secrets.items() if secret in asked] == [], "no client's key goes upstream"


def _folder(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir()
    return folder


def _toml(upstream: ScriptedUpstream, records: str) -> str:
    return f"""
[log]
level = "debug"
[metrics]
key = "{CANARIES["metrics"]}"
[tickets]
secret = "{CANARIES["tickets"]}"
[keys]
alice = "{CANARIES["configured"]}"
[records]
url = "{records}"
[proxy.other]
base_url = "{upstream.url}"
private = true
record = true
headers = {{ authorization = "Bearer {CANARIES["proxy"]}" }}
methods = ["GET", "POST"]
{upstream_toml(f"{upstream.url}/v1")}"""


async def _keys(server: HeadraceServer, watched: Watched, env: Mapping[str, str], url: str) -> dict[str, str]:
    """Keys in the database: made for a shell, revoked, limited, expired; and one that nobody has made."""
    config = {"HEADRACE_CONFIG": str(server.folder / "headrace.toml"), "PATH": os.environ["PATH"], **env}
    command = [*COMMAND, "keys", "create", "carol", "--quiet"]
    done = await asyncio.to_thread(subprocess.run, command, env=config, capture_output=True, check=True)
    watched.add("command line", done.stderr)
    secrets = {"made": done.stdout.decode().strip()}
    database = Database(None, url=url)
    keys = Keys(database, SystemClock())
    revoked = await keys.create("carol", Grants())
    await keys.revoke(revoked.stored.id)
    limited = await keys.create("dave", Grants(quota=Quota(requests_per_minute=1)))
    expired = await keys.create("carol", Grants(lifetime=0.0))
    await database.close()
    made = {"revoked": revoked, "limited": limited, "expired": expired}
    return {**secrets, "unknown": secrets["made"][:-1] + "!", **{name: key.secret for name, key in made.items()}}


def _live(servers: Sequence[HeadraceServer], watched: Watched, secrets: dict[str, str]) -> None:
    """Use all keys on both nodes, and add a ticket and a session to them."""
    _ask_all(servers, watched, secrets)
    shown = bearer(secrets["made"])
    begun = servers[0].request("POST", "/v1/chat/completions", chat(text="x"), shown)
    stream = begun[1]["headrace-stream-id"]
    made = servers[0].json("POST", f"/v1/streams/{stream}/tickets", {"right": "read"}, headers=shown)
    secrets["ticket"] = made["ticket"]
    assert watched.say(servers[1], "GET", f"/v1/streams/{stream}?ticket={made['ticket']}")[0] == 200
    _, headers, _ = servers[0].request("POST", "/api/session", {"key": secrets["made"]})
    secrets["session"] = headers["set-cookie"].partition("=")[2].partition(";")[0]
    cookie = headers["set-cookie"].partition(";")[0]
    assert watched.say(servers[1], "GET", "/v1/streams", headers={"cookie": cookie})[0] == 200


def _ask_all(servers: Sequence[HeadraceServer], watched: Watched, secrets: Mapping[str, str]) -> None:
    """Each key on each node, and what needs none of them; all at once, for what is broken is slow."""
    with ThreadPoolExecutor(32) as pool:
        done = [pool.submit(_ask, server, watched) for server in servers]
        for server in servers:
            for secret in (CANARIES["configured"], *secrets.values()):
                done += [pool.submit(watched.say, server, *asked, timeout=20) for asked in _shown(secret)]
    for each in done:
        each.result()


def _shown(secret: str) -> Iterator[tuple[Any, ...]]:
    """Shown for an answer, for one that the upstream refuses, and in places where keys end up."""
    yield "POST", "/v1/chat/completions", chat(text="x"), bearer(secret)
    yield "POST", "/v1/chat/completions", chat(text="refuse"), bearer(secret)
    yield "GET", f"/v1/streams?api_key={secret}&ticket={secret}"
    yield "GET", "/v1/streams", None, {"cookie": f"headrace_session={secret}"}


def _ask(server: HeadraceServer, watched: Watched) -> None:
    """A proxied call, the metrics, whether it is well."""
    proxied = {"body": {"x": "x"}, "headers": bearer(CANARIES["configured"]), "timeout": 20}
    watched.say(server, "POST", "/v1/proxy/other/v1/x", **proxied)
    status, _, _ = watched.say(server, "GET", "/metrics", headers=bearer(CANARIES["metrics"]), timeout=20)
    assert status == 200
    watched.say(server, "GET", "/ready", timeout=20)


def _collect(watched: Watched, folder: Path, postgresql: PostgresqlServer, url: str) -> None:
    """Logs, data folders, all that was ever written to Redis, each row of each table."""
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "headrace.toml":
            where = "redis" if "appendonly" in path.name else "logs" if path.suffix == ".log" else "folders"
            watched.add(where, path.read_bytes())
    watched.add("postgresql's log", postgresql.log.read_bytes())
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert tables
        for (table,) in tables:
            rows = connection.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table)))
            watched.add("tables", repr(rows.fetchall()).encode())
