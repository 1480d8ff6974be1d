"""Secrets: canaries in keys, prompts, answers, addresses and tickets; they turn up only where they belong (P7)."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from headrace.gates.gate import Run
from headrace.testing.client import Client
from headrace.testing.faults import FAULTS
from headrace.testing.scripted_upstream import Endless, Next, Received, Script, ScriptedUpstream, answer, head, sse
from headrace.testing.server import HeadraceServer

#: Of the whole experiment: the fault table, once in each of these.
PATHS = ("/v1/chat/completions", "/v1/chat/stream")
AT_ONCE = 12

#: What nobody may be shown and nothing may keep.
UPSTREAM_KEY = "sk-canary-upstream-4f1c9a7be2"
CLIENT_KEY = "canary-client-key-81d0c3f5a6"
WRONG_KEY = "canary-wrong-key-77aa10b3c4"
PLACE = "canary-place-5b2e6d"
#: What is kept for its owner: in the store, and in replies to the owner.
PROMPT = "canary prompt 93ab41"
ANSWER = "canary answer c07d52"

#: Files that are made to hold what was asked and answered.
KEPT_IN = ("log-", "records.db")

_TELLTALE = f"Bad key {UPSTREAM_KEY} at {{url}}/{PLACE}/v1/chat/completions for {PROMPT}"
_SETTINGS = """
[keys]
alice = {{ secret = "{client}", admin = true }}
[log]
level = "debug"
format = "json"
[server]
drain = 0.5
gate = 5
[deadlines]
first = 1
idle = 0.7
total = 2
[limits]
stream_bytes = "512KiB"
[upstreams.up]
base_url = "{url}/{place}/v1"
api_key = "{key}"
models = [{models}]
"""
_JSON = {"Content-Type": "application/json"}
_AUTHORIZED = {"Authorization": f"Bearer {CLIENT_KEY}"}


@dataclass
class _Shown:
    """All that came out, by what it is. ``hidden`` are the canaries that are made on the way."""

    hidden: dict[str, str] = field(default_factory=dict)
    #: Replies with an error status, and those without.
    errors: list[bytes] = field(default_factory=list)
    replies: list[bytes] = field(default_factory=list)

    def keep(self, client: Client) -> Client:
        """Note a reply, its headers too."""
        raw = repr(client.headers).encode() + client.body
        (self.errors if client.status >= 400 else self.replies).append(raw)
        return client


async def gate(run: Run) -> None:
    """Run a server through the fault table, a kill and what needs a secret; then search for the canaries."""
    faults = run.random.sample(FAULTS, run.of(len(FAULTS)))
    scripts: dict[str, Script] = {fault.id: fault.script for fault in faults}
    shown = _Shown()
    async with ScriptedUpstream(lambda request: scripts[_model(request)]) as upstream:
        scripts |= _telling(upstream.url)
        models = ", ".join(f'"{name}"' for name in scripts)
        settings = {"client": CLIENT_KEY, "url": upstream.url, "place": PLACE, "key": UPSTREAM_KEY, "models": models}
        server = run.server("server", _SETTINGS.format(**settings))
        shown.hidden["address"] = upstream.url.removeprefix("http://")
        try:
            await asyncio.to_thread(server.start)
            await _secret_things(server, shown)
            asked = await _faults(server, shown, list(scripts))
            await _killed(server, shown)
            arguments = await asyncio.to_thread(Path(f"/proc/{server.pid}/cmdline").read_bytes)
            metrics = (await asyncio.to_thread(server.request, "GET", "/metrics"))[2]
        finally:
            await asyncio.to_thread(server.kill)
        with_key = sum(UPSTREAM_KEY in request.headers.get("authorization", "") for request in upstream.requests)
    run.figure("answers asked for", asked, least=len(PATHS) * len(faults))
    run.figure("requests that showed the upstream its key", with_key, least=1)
    _search(run, server, shown, {"process arguments": [arguments], "metrics": [metrics]})


def _telling(url: str) -> dict[str, Script]:
    """An upstream that says what it should not, in both of the ways in which it can; and answers that are none."""
    error = {"message": _TELLTALE.format(url=url), "type": "invalid_request_error", "code": "invalid_api_key"}
    body = msgspec.json.encode({"error": error})
    return {
        "telltale-401": [head(401, type="application/json", body=str(len(body))), body, Next()],
        "telltale-400": [head(400, type="application/json", body=str(len(body))), body, Next()],
        "told": [head(), sse(ANSWER), b"data: " + body + b"\n\n"],
        "good": [answer(ANSWER), Next()],
        "endless": [head(), sse(ANSWER), Endless(b": ping\n\n")],
    }


def _model(request: Received) -> str:
    body = request.json()
    return str(body["model"]) if isinstance(body, dict) else ""


async def _secret_things(server: HeadraceServer, shown: _Shown) -> None:
    """A key in the database, a session, a ticket, and a key that is none."""
    key = await _made_key(server)
    client = await _ask(server, "GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
    if client.status != 200:
        raise RuntimeError(f"a key that was just made is not good: {client.status}")
    signed = await _ask(server, "POST", "/api/session", {"key": CLIENT_KEY}, _JSON)
    session = signed.headers.get("set-cookie", "").partition("=")[2].partition(";")[0]
    good = shown.keep(await _ask(server, "POST", PATHS[0], _body("good"), _AUTHORIZED))
    made = await _ask(server, "POST", f"/v1/streams/{good.stream}/tickets", {"right": "read"}, {**_AUTHORIZED, **_JSON})
    ticket = made.body.partition(b'"ticket":"')[2].partition(b'"')[0].decode()
    if not (session and ticket):
        raise RuntimeError(f"no session or no ticket was made: {signed.status}, {made.status}")
    shown.hidden |= {"database key": key, "session": session, "ticket": ticket}
    for path, headers in (
        (f"/v1/streams/{good.stream}?ticket={ticket}", {}),
        (f"/v1/streams/{good.stream}-x?ticket={ticket}", {}),
        (f"/v1/streams/{good.stream}", {"Cookie": f"headrace_session={session}"}),
        (f"/v1/streams/{good.stream}", {"Authorization": f"Bearer {WRONG_KEY}"}),
        (f"/v1/{WRONG_KEY}?key={CLIENT_KEY}", _AUTHORIZED),
    ):
        shown.keep(await _ask(server, "GET", path, headers=headers))


async def _made_key(server: HeadraceServer) -> str:
    env = {
        **os.environ,
        "HEADRACE_DATA": str(server.folder / "data"),
        "HEADRACE_CONFIG": str(server.folder / "headrace.toml"),
    }
    made = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headrace", "keys", "create", "bob"),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    told, _ = await made.communicate()
    words = [word for word in told.decode().split() if len(word) >= 24]
    if not words:
        raise RuntimeError("no key was made")
    return max(words, key=len)


async def _faults(server: HeadraceServer, shown: _Shown, models: Sequence[str]) -> int:
    """Each fault in each dialect; how many answers were asked for."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(path: str, model: str) -> None:
        async with room:
            shown.keep(await _ask(server, "POST", path, _body(model, path), _AUTHORIZED))

    asked = [(path, model) for path in PATHS for model in models]
    await asyncio.gather(*(one(path, model) for path, model in asked))
    return len(asked)


async def _killed(server: HeadraceServer, shown: _Shown) -> None:
    """A kill in the middle of an answer, and its reader's return."""
    client = await Client(server.port).open("POST", PATHS[0], _body("endless"), _AUTHORIZED)
    await client.until(lambda client: ANSWER in client.text)
    await asyncio.to_thread(server.kill)
    shown.keep(await client.rest())
    await asyncio.to_thread(server.start)
    shown.keep(await _ask(server, "GET", f"/v1/streams/{client.stream}", headers=_AUTHORIZED))


async def _ask(
    server: HeadraceServer, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> Client:
    """A request, and all of its reply."""
    client = await Client(server.port).open(method, path, body, headers)
    return await client.rest()


def _body(model: str, path: str = PATHS[0]) -> dict[str, object]:
    if path == PATHS[0]:
        return {"model": model, "stream": True, "store": True, "messages": [{"role": "user", "content": PROMPT}]}
    return {"model": model, "message": PROMPT}


def _search(run: Run, server: HeadraceServer, shown: _Shown, places: Mapping[str, Sequence[bytes]]) -> None:
    """Each canary in each place where it must not be."""
    never = [UPSTREAM_KEY, CLIENT_KEY, WRONG_KEY, PLACE, *shown.hidden.values()]
    files = [path for path in sorted((server.folder / "data").rglob("*")) if path.is_file()]
    kept = [path.read_bytes() for path in files if path.name.startswith(KEPT_IN)]
    others = [path.read_bytes() for path in files if not path.name.startswith(KEPT_IN)]
    log = server.log.read_bytes()
    run.figure("bytes of the log", len(log), least=1)
    run.figure("replies with an error", len(shown.errors), least=1)
    run.figure("times the answer is where it belongs", _hits(kept, [ANSWER]), least=1)
    for name, texts in {"log": [log], **places, "other files": others}.items():
        run.zero(f"canaries in the {name}", _hits(texts, [*never, PROMPT, ANSWER]))
    # An upstream's own words on a request, its prompt too, are for whoever has asked.
    run.zero("canaries in the replies with an error", _hits(shown.errors, [*never, ANSWER]))
    run.zero("canaries in the other replies", _hits(shown.replies, never))
    run.zero("canaries in the store and the records", _hits(kept, never))


def _hits(texts: Sequence[bytes], canaries: Sequence[str]) -> int:
    return sum(text.count(canary.encode()) for text in texts for canary in canaries)
