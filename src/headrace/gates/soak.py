"""A soak: all faces under a mixed load with faults, leaves and stops; nothing grows, and nothing is left at its end."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from headrace.gates.drain import DIALECTS
from headrace.gates.gate import Run
from headrace.gates.vitals import Held, memory, settled
from headrace.gates.words import WORDS
from headrace.testing.client import Client
from headrace.testing.faults import FAULTS
from headrace.testing.scripted_upstream import Received, Script, ScriptedUpstream, Trickle, head, sse
from headrace.testing.server import HeadraceServer

#: Seconds, of the whole experiment.
SECONDS = 600
LEAST_SECONDS = 5
#: Clients, each of which does one thing after the other.
CLIENTS = 12
#: How much the memory may grow over the last two thirds of the time, in bytes: in a run of so many seconds, and in a
#: shorter one, in which the caches still fill.
GROWTH = 16 << 20
LONG = 300
FILLING = 64 << 20
#: Seconds in which all must be as it was, and what the connections to upstreams that are kept may add.
BACK = 10.0
KEPT = 8
#: Seconds of which the answers are exported, so that an export costs as much at the end as at the start.
LATELY = 10.0
#: Seconds in which anything that is asked must have come to its end.
PATIENCE = 15.0

_ANSWER: Script = [head(), Trickle(sse(*WORDS[:120], finish_reason="stop", done=True), size=4_000, pause=0.02)]
_SETTINGS = """
[deadlines]
connect = 1
first = 1
idle = 0.5
total = 3
[limits]
stream_bytes = "512KiB"
exports_per_owner = 100
[upstreams.up]
base_url = "{url}/v1"
api_key = "sk-of-the-gates-0123456789"
models = ["m", {models}]
"""

_FAULTY = {fault.id: fault.script for fault in FAULTS}


class _Load:
    """What is done, and what went wrong."""

    def __init__(self, server: HeadraceServer, run: Run) -> None:
        self.server = server
        self.chance = run.random
        self._note = run.note
        self._began = time.monotonic()
        self.done: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self._number = 0

    @property
    def actions(self) -> Sequence[Callable[[], Awaitable[str]]]:
        """What a client may do. Each tells what did not go as it should; nothing, where all did."""
        return (self.ask, self.ask, self.leave, self.stop, self.resume, self.fault, self.topic, self.export, self.err)

    async def client(self, until: float) -> None:
        """One thing after the other, until the loop's clock says so."""
        while asyncio.get_running_loop().time() < until:
            await self.do(self.chance.choice(self.actions))

    async def do(self, action: Callable[[], Awaitable[str]]) -> None:
        """One thing."""
        name = action.__name__
        try:
            async with asyncio.timeout(PATIENCE):
                wrong = await action()
        except (OSError, TimeoutError) as error:
            wrong = repr(error)
        self.done[name] += 1
        self.wrong[name] += bool(wrong)
        if wrong:
            self._note(f"{name}, after {time.monotonic() - self._began:.1f} s: {wrong}")

    # -- what is done ------------------------------------------------------------------------------------------------

    async def ask(self) -> str:
        """Read an answer to its end, in any dialect."""
        dialect = self.chance.choice(DIALECTS)
        client = await self._open("POST", dialect.path, dialect.body(self._name()), dialect.headers)
        return _unless(dialect.looks_finished(await client.rest(PATIENCE)), client)

    async def leave(self) -> str:
        """Go away in the middle."""
        client = await self._begun({"Headrace-On-Leave": self.chance.choice(("cancel", "linger=0.5"))})
        client.reset() if self.chance.random() < 0.5 else client.close()
        return _unless(client.status == 200, client)

    async def stop(self) -> str:
        """Cancel in the middle."""
        client = await self._begun({})
        reply = await (await self._open("POST", f"/v1/streams/{client.stream}/cancel")).rest()
        await client.rest()
        return _unless(reply.status == 200, reply)

    async def resume(self) -> str:
        """Lose the connection, and come back."""
        client = await self._begun({"Headrace-On-Leave": "keep"})
        client.reset()
        headers = {"Last-Event-ID": client.last_id} if client.last_id else {}
        back = await self._open("GET", f"/v1/streams/{client.stream}?as=chat", headers=headers)
        await back.rest(PATIENCE)
        return _unless(client.text + back.text == "".join(WORDS[:120]), client, back)

    async def fault(self) -> str:
        """Meet a fault of the upstream."""
        dialect = self.chance.choice(DIALECTS)
        body = {**msgspec.to_builtins(dialect.body(self._name())), "model": self.chance.choice(list(_FAULTY))}
        client = await self._open("POST", dialect.path, body, dialect.headers)
        await client.rest(PATIENCE)
        return ""

    async def topic(self) -> str:
        """Make a topic, write to it, read it and delete it."""
        path, text = f"/v1/topics/soak/{self._name()}", {"Content-Type": "text/plain"}
        made = await (await self._open("PUT", path, headers=text)).rest()
        wrote = await (await self._open("POST", path, "some words", text)).rest()
        read = await (await self._open("GET", f"{path}?offset=-1")).rest()
        gone = await (await self._open("DELETE", path)).rest()
        good = (made.status, wrote.status // 100, gone.status // 100) == (201, 2, 2) and b"some words" in read.body
        return _unless(good, made, wrote, read, gone)

    async def export(self) -> str:
        """Export what was recorded lately, or begin to."""
        client = await self._open("GET", f"/v1/exports/generations?format=csv&from={time.time() - LATELY:.0f}")
        if self.chance.random() < 0.5:
            client.close()
            return _unless(client.status == 200, client)
        return _unless((await client.rest(PATIENCE)).whole and client.status == 200, client)

    async def err(self) -> str:
        """Ask for what is not there, or in a way that is wrong."""
        missing = await (await self._open("GET", "/v1/streams/st_aaaaaaaaaaaaaaaaaaaaaaaaaa")).rest()
        wrong = await (await self._open("POST", "/v1/chat/completions", {"model": 7})).rest()
        return _unless((missing.status, wrong.status // 100) == (404, 4), missing, wrong)

    # -- how -----------------------------------------------------------------------------------------------------------

    async def _begun(self, headers: dict[str, str]) -> Client:
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": self._name()}]}
        client = await self._open("POST", "/v1/chat/completions", body, headers)
        return await client.until(lambda client: len(client.body) > 1_000)

    async def _open(self, method: str, path: str, body: object = None, headers: object = None) -> Client:
        return await Client(self.server.port).open(method, path, body, headers)  # type: ignore[arg-type]

    def _name(self) -> str:
        self._number += 1
        return f"soak-{self._number}"


def _unless(good: bool, *clients: Client) -> str:
    """What they saw last, unless all was good."""
    return "" if good else "; ".join(map(_seen, clients))


def _seen(client: Client) -> str:
    stream = client.headers.get("headrace-stream-id", "no stream")
    return f"{stream}: {client.status}, {len(client.body)} bytes, …{client.body[-160:]!r}"


async def gate(run: Run) -> None:
    """Keep a server busy with everything, and look at its memory meanwhile and at what it holds at the end."""
    seconds = max(LEAST_SECONDS, SECONDS * run.size)
    async with ScriptedUpstream(_play) as upstream:
        models = ", ".join(f'"{name}"' for name in _FAULTY)
        server = run.server("server", _SETTINGS.format(url=upstream.url, models=models))
        await asyncio.to_thread(server.start)
        try:
            load = _Load(server, run)
            for action in load.actions:
                await load.do(action)
            before = await settled(server, _idle, BACK)
            samples = await _under(load, seconds)
            after = await settled(server, lambda found: _idle(found) and _more(before, found) <= 0, BACK)
        finally:
            await asyncio.to_thread(server.kill)
    _tell(run, load, before, after, samples)


def _play(request: Received) -> Script:
    body = request.json()
    return _FAULTY.get(str(body["model"]) if isinstance(body, dict) else "", _ANSWER)


async def _under(load: _Load, seconds: float) -> Sequence[tuple[float, int]]:
    """The load, and the memory at moments of it."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    clients = asyncio.gather(*(load.client(began + seconds) for _ in range(CLIENTS)))
    samples = []
    while not clients.done():
        samples.append((loop.time() - began, memory(load.server.pid)))
        await asyncio.sleep(min(1.0, seconds / 60))
    await clients
    return samples


def _idle(found: Held) -> bool:
    return not (found.streams or found.readers or found.renderings)


def _more(before: Held, after: Held) -> int:
    descriptors = after.descriptors - before.descriptors - KEPT
    return max(after.tasks - before.tasks, descriptors, after.connections - before.connections - KEPT)


def _grown(samples: Sequence[tuple[float, int]]) -> float:
    """By how much the straight line through the last two thirds of the samples rises."""
    late = samples[len(samples) // 3 :]
    mean_at = sum(at for at, _ in late) / len(late)
    mean = sum(size for _, size in late) / len(late)
    spread = sum((at - mean_at) ** 2 for at, _ in late)
    slope = sum((at - mean_at) * (size - mean) for at, size in late) / spread if spread else 0.0
    return slope * (late[-1][0] - late[0][0])


def _tell(run: Run, load: _Load, before: Held, after: Held, samples: Sequence[tuple[float, int]]) -> None:
    for name, count in sorted(load.done.items()):
        run.figure(f"times: {name}", count, least=1)
        run.zero(f"not as it should be: {name}", load.wrong[name])
    run.figure("memory at the end", samples[-1][1], "bytes")
    most = GROWTH if samples[-1][0] > LONG else FILLING
    run.figure("growth of the memory over the last two thirds", round(_grown(samples)), "bytes", most=most)
    run.zero("answers, readers and renderings that are still there", after.streams + after.readers + after.renderings)
    run.figure("tasks more than before", after.tasks - before.tasks, most=0)
    run.figure("descriptors more than before", after.descriptors - before.descriptors, most=KEPT)
    run.figure("connections more than before", after.connections - before.connections, most=KEPT)
