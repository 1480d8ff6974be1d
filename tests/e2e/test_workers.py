"""Two workers on one data folder: each serves everything, and the death of one ends its own answers only."""

# ruff: noqa: ASYNC110, ASYNC240, T201 - it looks at other processes again and again, and prints what it measured

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.e2e.clients import Client, chat
from tests.e2e.server import HeadraceServer, upstream_toml

from headrace.testing.scripted_upstream import Received, ScriptedUpstream, Stall, Trickle, head, sse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

WORDS = [f"{number} " for number in range(4000)]


def counting(_: Received) -> list[object]:
    """About 150 words a second, for half a minute."""
    return [head(body="close"), Trickle(sse(*WORDS), size=400, pause=0.02), Stall()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HeadraceServer]:
    """Not started yet: its upstream is made by the test."""
    made = HeadraceServer(tmp_path, workers=2)
    yield made
    made.stop()


async def start(server: HeadraceServer, upstream: ScriptedUpstream, toml: str = "") -> list[int]:
    """Start it with an upstream; the workers' process ids, once all of them have their place in the folder."""
    (server.folder / "headrace.toml").write_text(toml + upstream_toml(f"{upstream.url}/v1"))
    await asyncio.to_thread(server.start)
    return await workers_of(server)


async def workers_of(server: HeadraceServer) -> list[int]:
    """The process ids of two workers that listen to signals, so that they are up."""
    async with asyncio.timeout(15):
        while True:
            children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
            up = [int(pid) for pid in children if _holds_a_log(int(pid))]
            if len(up) == 2:
                return up
            await asyncio.sleep(0.05)


def _holds_a_log(pid: int) -> bool:
    return any("/log-" in target for target in _open_files(pid))


def _open_files(pid: int) -> Iterator[str]:
    """What a process has open, as far as neither it nor its file is gone by then."""
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                yield str(link.readlink())


def _upstream_connections(pid: int, port: int) -> int:
    """How many connections to the upstream a process holds: so many answers are its."""
    sockets = {match[1] for target in _open_files(pid) if (match := re.fullmatch(r"socket:\[(\d+)\]", target))}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[9] in sockets for row in rows if row[3] == "01")


async def spread(server: HeadraceServer, upstream: ScriptedUpstream, pids: list[int]) -> dict[int, list[Client]]:
    """Start answers until each worker has two; who writes which is seen by the upstream's connections."""
    answers: dict[int, list[Client]] = {pid: [] for pid in pids}
    for number in range(60):
        before = {pid: _upstream_connections(pid, upstream.port) for pid in pids}
        client = await Client(server.port).open("POST", "/v1/chat/completions", chat(text=str(number)))
        await client.until(lambda client: len(client.body) > 500)
        owner = next(pid for pid in pids if _upstream_connections(pid, upstream.port) > before[pid])
        answers[owner].append(client)
        if all(len(clients) >= 2 for clients in answers.values()):
            return answers
    raise AssertionError(f"all answers are with one worker: {answers}")


def dense(text: str) -> bool:
    return "".join(WORDS).startswith(text)


def close(answers: dict[int, list[Client]]) -> None:
    for clients in answers.values():
        for client in clients:
            client.close()


async def test_killing_one_worker_interrupts_its_own_answers_only(server: HeadraceServer) -> None:
    """The other's go on untouched, the dead one's are told as interrupted within seconds, and it is replaced."""
    async with ScriptedUpstream(counting) as upstream:
        pids = await start(server, upstream)
        victim, survivor = pids
        answers = await spread(server, upstream, pids)
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        for client in answers[victim]:
            await client.rest()
            assert not client.whole
            headers = {"Last-Event-ID": client.last_id.rpartition(":")[2]}
            again = await Client(server.port).open("GET", f"/v1/streams/{client.stream}", headers=headers)
            await again.rest()
            assert again.errors == ["interrupted"]
            assert not again.done
            assert dense(client.text + again.text)
        print(f"\ninterrupted is told {time.monotonic() - killed:.2f} s after the kill")
        assert time.monotonic() - killed < 5
        for client in answers[survivor]:
            seen = len(client.body)
            await client.until(lambda client, seen=seen: len(client.body) > seen + 20_000)
            assert dense(client.text)
            assert not client.errors
        replaced = await workers_of(server)
        assert survivor in replaced
        assert victim not in replaced
        listed = server.json("GET", "/v1/streams")["data"]
        states = {stream["id"]: stream["state"] for stream in listed}
        assert {states[client.stream] for client in answers[victim]} == {"interrupted"}
        assert {states[client.stream] for client in answers[survivor]} == {"open"}
        assert len(upstream.requests) == len(listed)
        close(answers)
        assert await asyncio.to_thread(server.stop) == 0


@pytest.mark.alone
async def test_any_worker_serves_and_stops_any_answer(server: HeadraceServer) -> None:
    """A foreign answer is read live with little delay, and a cancel closes its upstream connection wherever it is."""
    async with ScriptedUpstream(counting) as upstream:
        pids = await start(server, upstream)
        answers = await spread(server, upstream, pids)
        lags: list[float] = []
        for client in [client for clients in answers.values() for client in clients[:2]]:
            lags += [await _lag(server, client) for _ in range(6)]  # whichever worker takes the connection
        lags.sort()
        print(f"\nlag behind the starter's connection: p50 {_middle(lags) * 1e3:.1f} ms, worst {lags[-1] * 1e3:.1f} ms")
        assert _middle(lags) < 0.05
        took = []
        for clients in answers.values():
            for client in clients:
                open_before = upstream.open
                began = time.monotonic()
                reply = await Client(server.port).open("POST", f"/v1/streams/{client.stream}/cancel")
                await reply.rest()
                assert b'"cancelled":true' in reply.body
                async with asyncio.timeout(2):
                    while upstream.open == open_before:
                        await asyncio.sleep(0.002)
                took.append(time.monotonic() - began)
                await client.rest()
                assert client.errors == ["cancelled"]
        print(f"cancel across workers: worst {max(took) * 1e3:.0f} ms")
        assert max(took) < 0.5
        assert upstream.open == 0


async def _lag(server: HeadraceServer, starter: Client) -> float:
    """How long after its starter another reader, maybe on the other worker, has read the same."""
    last = starter.events[-1].id.rpartition(":")[2]
    path = f"/v1/streams/{starter.stream}"
    other = await Client(server.port).open("GET", path, headers={"Last-Event-ID": last})
    want = int(last) + 30

    async def reached(client: Client) -> float:
        await client.until(lambda client: bool(client.last_id) and int(client.last_id.rpartition(":")[2]) >= want)
        return time.monotonic()

    mine, its = await asyncio.gather(reached(starter), reached(other))
    other.close()
    return max(0.0, its - mine)


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


async def test_a_participant_on_the_other_worker_keeps_an_answer_alive(server: HeadraceServer) -> None:
    """And when it leaves, it has the same time to come back as anybody."""
    async with ScriptedUpstream(counting) as upstream:
        pids = await start(server, upstream)
        headers = {"Headrace-On-Leave": "linger=2"}
        client = await Client(server.port).open("POST", "/v1/chat/completions", chat(), headers)
        await client.until(lambda client: len(client.body) > 1000)
        owner = next(pid for pid in pids if _upstream_connections(pid, upstream.port))
        guest = await _join_elsewhere(server, client, next(pid for pid in pids if pid != owner))
        client.close()
        await asyncio.sleep(3.2)
        assert upstream.open == 1, "somebody is still there"
        await guest.until(lambda guest: len(guest.body) > 20_000)
        guest.close()
        await asyncio.sleep(1.1)
        assert upstream.open == 1, "a reload takes a second"
        async with asyncio.timeout(5):
            await upstream.connections[0].closed.wait()
        listed = server.json("GET", "/v1/streams")["data"]
        assert [(stream["state"], stream["reason"]) for stream in listed] == [("cancelled", "abandoned")]


async def _join_elsewhere(server: HeadraceServer, starter: Client, pid: int) -> Client:
    """Rejoin on the worker ``pid``."""
    path = f"/v1/chat/completions/{starter.stream}?stream=true"
    for _ in range(60):
        guest = await Client(server.port).open("GET", path)
        local = guest._writer.get_extra_info("sockname")[1]
        if _accepted(pid, server.port, local):
            return guest
        guest.close()
    raise AssertionError("all connections go to one worker")


def _accepted(pid: int, port: int, client: int) -> bool:
    sockets = {match[1] for target in _open_files(pid) if (match := re.fullmatch(r"socket:\[(\d+)\]", target))}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(
        row[1].endswith(f":{port:04X}") and row[2].endswith(f":{client:04X}") and row[9] in sockets for row in rows
    )


async def test_a_signal_ends_all_workers_and_none_outlives_the_supervisor(server: HeadraceServer) -> None:
    """SIGTERM: exit status 0, at any moment. ``kill -9`` of the supervisor frees the port."""
    async with ScriptedUpstream(counting) as upstream:
        for wait in (0.02, 0.2, 0.5, 1.0):
            server.process = server.launch()
            await asyncio.sleep(wait)
            began = time.monotonic()
            status = await asyncio.to_thread(server.stop)
            assert time.monotonic() - began < 5
            assert status in (0, -signal.SIGTERM)  # before its first line runs, a signal does what it always does
        pids = await start(server, upstream)
        await asyncio.to_thread(server.kill)
        async with asyncio.timeout(5):
            while any(Path(f"/proc/{pid}").exists() for pid in pids):
                await asyncio.sleep(0.02)
        await asyncio.to_thread(server.start)
        assert await asyncio.to_thread(server.stop) == 0


async def test_all_workers_drain(server: HeadraceServer) -> None:
    """Readers with either worker are told, and the supervisor ends with 0 when the last worker has."""
    async with ScriptedUpstream(counting) as upstream:
        pids = await start(server, upstream, "[server]\ndrain = 1\n")
        answers = await spread(server, upstream, pids)
        clients = [client for clients in answers.values() for client in clients]
        rests = [asyncio.create_task(client.rest()) for client in clients]
        began = time.monotonic()
        assert await asyncio.to_thread(server.stop) == 0
        assert 0.9 < time.monotonic() - began < 4
        await asyncio.gather(*rests)
        for client in clients:
            assert client.errors == ["interrupted"]
            assert client.whole
            assert not client.done


async def test_a_configuration_that_broke_takes_nobody_down_who_serves(server: HeadraceServer) -> None:
    """What a replacement cannot read is tried again; without anybody who serves, it is the end, with status 3."""
    async with ScriptedUpstream(counting) as upstream:
        first, second = await start(server, upstream)
        good = (server.folder / "headrace.toml").read_text()
        (server.folder / "headrace.toml").write_text("nonsense = 1\n")
        os.kill(first, signal.SIGKILL)
        await asyncio.sleep(3)
        assert server.request("GET", "/ready")[0] == 200
        (server.folder / "headrace.toml").write_text(good)
        third = next(pid for pid in await workers_of(server) if pid != second)
        (server.folder / "headrace.toml").write_text("nonsense = 1\n")
        for pid in (second, third):
            os.kill(pid, signal.SIGKILL)
        assert server.process is not None
        assert await asyncio.to_thread(server.process.wait, 15) == 3
