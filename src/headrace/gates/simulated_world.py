"""The world of a simulation: some processes over one store, clients on all of them, and what happens to them."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from headrace.core.deadlines import Deadlines, pause
from headrace.core.log import Batch, Head
from headrace.core.registry import Registry
from headrace.core.rendering import Renderer
from headrace.core.routing import Attempt, Call
from headrace.errors import HeadraceError
from headrace.faces.dialects import view
from headrace.gates.simulated_client import OWNER, Client
from headrace.gates.simulated_store import ProcessLog, Store, Story
from headrace.gates.simulated_upstream import Played, SimulatedUpstream
from headrace.model.dialect import CHAT, MESSAGES, NAMED, RESPONSES, UI
from headrace.model.leave import CANCEL, KEEP, LeavePolicy
from headrace.model.outcome import State
from headrace.testing.simulated_loop import LoopClock, SimulatedLoop

PROCESSES = 3
DEADLINES = Deadlines(first=4.0, idle=3.0, total=40.0)
KEEPALIVE = 2.0
#: Seconds between two looks for dead processes.
REAP = 1.0
_POLICIES = (CANCEL, KEEP, KEEP, LeavePolicy(1.0), LeavePolicy(5.0))
_DIALECTS = (CHAT, CHAT, MESSAGES, RESPONSES, UI, NAMED)


class Process:
    """One process: its log, its registry, and the clients that are connected to it."""

    def __init__(self, store: Store, clock: LoopClock) -> None:
        self.log = ProcessLog(store, clock)
        self.registry = Registry(self.log, clock, deadlines=DEADLINES, keepalive=KEEPALIVE)
        self.visits: dict[asyncio.Task[None], Client] = {}
        self._clock = clock
        self.reaping = asyncio.get_running_loop().create_task(self._reap(), name="reaping")

    async def _reap(self) -> None:
        while True:
            with suppress(HeadraceError):
                await self.registry.reap()
            await pause(self._clock, REAP)

    async def end(self, *, suddenly: bool) -> None:
        """Die as by ``kill -9``, or go in order."""
        if suddenly:
            self.log.die()
        else:
            await self.registry.drain(2.0)
        tasks = [self.reaping, *self.visits]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.registry.close()
        self.log.die()


class World:
    """All of it. ``step`` lets one thing happen, ``rest`` lets everything come to its end, ``judge`` looks at it."""

    def __init__(self, loop: SimulatedLoop, chance: random.Random) -> None:
        self.operations: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()
        self.trace: list[str] = []
        self._loop = loop
        self._chance = chance
        self._clock = LoopClock(loop)
        self._store = Store(self._clock, chance)
        self._upstream = SimulatedUpstream(chance)
        self._processes: list[Process] = []
        self._clients: list[Client] = []
        self._names: dict[str, str] = {}
        self._doing: set[asyncio.Task[None]] = set()
        self._resting = False
        self._operations: tuple[tuple[str, int, Callable[[], Awaitable[None]]], ...] = (
            ("start", 10, self._start),
            ("start again", 3, self._start_again),
            ("join", 6, self._join),
            ("connection lost", 8, self._lose),
            ("leave", 4, self._leave),
            ("cancel", 3, self._cancel),
            ("delete", 1, self._delete),
            ("process killed", 1, partial(self._end_process, suddenly=True)),
            ("process drained", 1, partial(self._end_process, suddenly=False)),
            ("store fails", 2, self._fail),
            ("time", 20, self._pass),
        )

    # -- what happens ------------------------------------------------------------------------------------------------

    async def step(self) -> None:
        """One thing."""
        while len(self._processes) < PROCESSES:
            self._processes.append(Process(self._store, self._clock))
        name, _, operation = self._chance.choices(self._operations, [weight for _, weight, _ in self._operations])[0]
        self.operations[name] += 1
        self._note(name)
        await operation()
        await asyncio.sleep(self._chance.choice((0.0, 0.001, 0.01, 0.05)))

    async def _start(self) -> None:
        self._client(key=f"key {len(self._clients)}")

    async def _start_again(self) -> None:
        keys = [client.key for client in self._clients if client.key]
        if keys:
            self._client(key=self._chance.choice(keys))

    async def _join(self) -> None:
        if self._store.stories:
            self._client(id=self._chance.choice(list(self._store.stories)))

    def _client(self, *, key: str = "", id: str = "") -> None:
        chance = self._chance
        call = Call(dialect=CHAT, body={"key": key}, model="m", stream=True)
        client = Client(
            f"client {len(self._clients)}",
            chance.choice(_DIALECTS),
            key=key,
            id=id,
            policy=chance.choice(_POLICIES),
            attempt=Attempt(self._upstream, call) if key else None,
            seen=self._seen,
        )
        self._clients.append(client)
        self._connect(client)

    def _connect(self, client: Client) -> None:
        """Visit some process, as long as there is something to come."""
        if client.done or client.gone or client.left or not self._processes:
            return
        process = self._chance.choice(self._processes)
        task = self._loop.create_task(self._visit(client, process.registry), name="visit")
        process.visits[task] = client
        task.add_done_callback(partial(self._visited, process))

    async def _visit(self, client: Client, registry: Registry) -> None:
        try:
            await client.visit(registry, self._clock.time())
        except HeadraceError as error:
            self._note(f"{client.name} is told {error.code}")

    def _visited(self, process: Process, task: "asyncio.Task[None]") -> None:
        client = process.visits.pop(task)
        self.violations["operations that failed in a way nobody foresaw"] += (
            not task.cancelled() and task.exception() is not None
        )
        self._note(f"{client.name} of {self._name(client.id)} is at {client.cursor}: {client.done}")
        self._clock.call_later(self._chance.uniform(0.0, 2.0), partial(self._connect, client))

    def _seen(self, client: Client) -> None:
        """P1: what a client has was committed."""
        story = self._store.stories[client.id]
        step, part = client.cursor
        early = step + bool(part) > len(story.records) + bool(story.ends)
        self.violations["records shown before they were committed"] += early

    async def _lose(self) -> None:
        visits = [task for process in self._processes for task in process.visits]
        if visits:
            self._chance.choice(visits).cancel()

    async def _leave(self) -> None:
        staying = [client for client in self._clients if not client.left]
        if staying:
            client = self._chance.choice(staying)
            client.left = True
            for process in self._processes:
                for task, visitor in list(process.visits.items()):
                    if visitor is client:
                        task.cancel()

    async def _cancel(self) -> None:
        self._with_stream(self._cancelling)

    async def _cancelling(self, process: Process, head: Head) -> None:
        done = await process.registry.cancel(head)
        self._note(f"cancelled {self._name(head.id)}: {done}")
        if done.running and (outcome := self._store.stories[head.id].outcome) and outcome.reason == "cancelled":
            calls = self._calls_of(head.id)
            self.violations["upstreams asked on after a cancel"] += any(not call.closed for call in calls)

    async def _delete(self) -> None:
        self._with_stream(lambda process, head: process.registry.delete(head))

    def _with_stream(self, work: Callable[[Process, Head], Coroutine[Any, Any, None]]) -> None:
        """Do something with a stream, beside everything else."""
        if not self._store.stories:
            return
        process, id = self._chance.choice(self._processes), self._chance.choice(list(self._store.stories))

        async def doing() -> None:
            try:
                await work(process, await process.registry.find(OWNER, id))
            except HeadraceError as error:
                self._note(f"{self._name(id)}: {error.code}")

        self._do(doing())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work, name="doing")
        self._doing.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._doing.discard(task)
        self.violations["operations that failed in a way nobody foresaw"] += (
            not task.cancelled() and task.exception() is not None
        )

    async def _end_process(self, *, suddenly: bool) -> None:
        process = self._processes.pop(self._chance.randrange(len(self._processes)))
        await process.end(suddenly=suddenly)

    async def _fail(self) -> None:
        self._store.failing = self._chance.choice((0.0, 0.1, 0.5, 1.0))
        self._clock.call_later(self._chance.uniform(0.01, 3.0), self._heal)

    def _heal(self) -> None:
        self._store.failing = 0.0

    async def _pass(self) -> None:
        await asyncio.sleep(self._chance.choice((0.01, 0.1, 0.1, 0.5, 1.0, 5.0)))

    # -- the end -----------------------------------------------------------------------------------------------------

    async def rest(self, seconds: float) -> None:
        """Nothing fails any more; wait until nothing is open, for at most so long."""
        self._heal()
        while len(self._processes) < PROCESSES:
            self._processes.append(Process(self._store, self._clock))
        end = self._loop.time() + seconds
        while self._loop.time() < end and (self._open() or self._waiting()):
            self._heal()
            await asyncio.sleep(1.0)

    def _open(self) -> int:
        return sum(not story.ends and not story.dropped for story in self._store.stories.values())

    def _waiting(self) -> int:
        return sum(not (client.done or client.gone or client.left) for client in self._clients)

    def ends(self) -> Counter[str]:
        """How the streams have ended."""
        return Counter(str(story.outcome.state) for story in self._store.stories.values() if story.outcome)

    def judge(self) -> None:
        """Look at every stream and every client."""
        self.violations["streams without an end"] += self._open()
        self.violations["clients left waiting"] += self._waiting()
        for id, story in self._store.stories.items():
            self._judge_story(story, id)
        for client in self._clients:
            self.violations["clients who were refused their own place"] += client.refused
            if client.id:
                self.violations["clients who read something else than the log has"] += not self._read_well(client)
        self._judge_calls()

    def _judge_calls(self) -> None:
        """P8: of one key one call was accepted; one more for each of its streams that somebody has deleted."""
        calls = Counter(call.key for call in self._upstream.played)
        deleted = Counter(self._store.keys[id] for id, story in self._store.stories.items() if story.dropped)
        self.violations["second upstream calls"] += sum(count > 1 + deleted[key] for key, count in calls.items())
        streams = Counter(call.stream for call in self._upstream.played)
        self.violations["second upstream calls"] += sum(count > 1 for count in streams.values())

    def _judge_story(self, story: Story, id: str) -> None:
        calls = self._calls_of(id)
        said = calls[-1].records if calls else []
        self.violations["streams that ended more than once"] += len(story.ends) > 1
        self.violations["logs that are not what the upstream said"] += story.records != said[: len(story.records)]
        if story.outcome is not None and story.outcome.state is State.COMPLETED:
            whole = bool(calls) and calls[-1].ended and story.records == said
            self.violations["completed without the upstream's end"] += not whole
        self._note(f"{self._name(id)}: {len(story.records)} {story.outcome and story.outcome.reason}")

    def _calls_of(self, id: str) -> list[Played]:
        return [call for call in self._upstream.played if call.stream == id]

    def _read_well(self, client: Client) -> bool:
        """P2: over all its connections a client has read what the log has, and nothing else."""
        story = self._store.stories[client.id]
        head = Head(client.id, story.meta, story.format, len(story.records), story.outcome)
        renderer = Renderer(view(client.shown), head)
        start = renderer.start()
        told = start + b"".join(renderer.render(Batch(1, story.records, head.tail, story.outcome)))
        whole = client.text == told if client.done else told.startswith(client.text)
        return whole and (client.gone or not client.parting)

    async def close(self) -> None:
        """Let go of everything, and see what stays."""
        processes, self._processes = self._processes, []
        for process in processes:
            await process.end(suddenly=False)
        await asyncio.gather(*self._doing, return_exceptions=True)
        await asyncio.sleep(60.0)
        left = asyncio.all_tasks(self._loop) - {asyncio.current_task()}
        for task in left:
            self._note(f"left: {task.get_name()}")
        self.violations["tasks left"] += len(left)
        self.violations["alarms left"] += self._loop.alarms()

    def _note(self, what: str) -> None:
        self.trace.append(f"{self._loop.time():.6f} {what}")

    def _name(self, id: str) -> str:
        """A stream's name in the trace: its id is different each time."""
        return self._names.setdefault(id, f"stream {len(self._names)}") if id else "no stream"
