"""Exhaustion: a disk that is full or broken, no descriptors, a locked database, a wrong clock (S3, S4, S9, S11)."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import apsw

from headrace.gates.gate import Run
from headrace.gates.skew import skewed
from headrace.gates.viewer import Asking
from headrace.gates.vitals import percentile
from headrace.gates.words import chat, configuration, endless, is_beginning
from headrace.testing.client import Client
from headrace.testing.scripted_upstream import Received, ScriptedUpstream, Step, answer
from headrace.testing.server import HeadraceServer

#: Seconds from the end of a fault until all works again.
RECOVERED = 5.0
#: Seconds for which another process holds the database, of the whole experiment.
LOCKED = 10
#: How long a fault lasts otherwise; and how long anybody may wait for /health, in seconds.
LASTS = 1.5
HEALTHY = 1.0
#: Of one core, while there are no descriptors.
BUSY = 0.6

#: Characters beyond what was seen by which an answer is known to go on.
GOES_ON = 100

#: Descriptors that a server has, and connections that come.
DESCRIPTORS = 150
CROWD = 250

#: Makes the first argument a file system of its own, which nobody else sees, and executes the rest.
_SMALL_DISK = 'mount -t tmpfs -o size=16m tmpfs "$0" && exec "$@"'
_FEW = f'ulimit -n {DESCRIPTORS}; exec "$@"'
_ASK = Asking("POST", "/v1/chat/completions", chat(), {"Headrace-On-Leave": "keep"})


async def gate(run: Run) -> None:
    """Break it under a running answer, look at what is told, mend it, and look again; each with a server of its own."""
    await asyncio.gather(*(fault(run) for fault in (_full_disk, _broken_disk, _no_descriptors, _locked, skewed)))
    run.figures.sort(key=lambda figure: figure.name.partition(":")[0])


def _play(request: Received) -> Sequence[Step]:
    return [answer("one ", "two")] if b"at once" in request.body else endless(request)


@asynccontextmanager
async def _running(run: Run, name: str, wrapper: Sequence[str] = ()) -> AsyncIterator[tuple[HeadraceServer, Client]]:
    """A server with a whole answer, and a reader of one that goes on."""
    async with ScriptedUpstream(_play) as upstream:
        server = run.server(name, configuration(upstream), wrapper=wrapper)
        (server.folder / "data").mkdir()
        try:
            await asyncio.to_thread(server.start)
            reader = await _ASK.ask(server.port)
            yield server, await reader.until(lambda client: len(client.body) > 5_000)
        finally:
            await asyncio.to_thread(server.kill)


# -- disks -----------------------------------------------------------------------------------------------------------


async def _full_disk(run: Run) -> None:
    """A small file system where one can be mounted without being root; else one that only says that it is full."""
    if not _can_mount():
        await _failing(run, "full disk", b"full")
        return
    data = run.folder / "full disk" / "data"
    async with _running(run, "full disk", ["unshare", "-Urm", "sh", "-c", _SMALL_DISK, str(data)]) as (server, reader):
        filler = Path(f"/proc/{server.pid}/root{data}/filler")
        await _storage(run, "full disk", server, reader, lambda: _fill(filler), filler.unlink)


async def _broken_disk(run: Run) -> None:
    await _failing(run, "broken disk", b"broken")


async def _failing(run: Run, name: str, how: bytes) -> None:
    cue = run.folder / f"{name}.cue"
    wrapper = [sys.executable, "-m", "headrace.testing.failing_disk", str(cue)]
    async with _running(run, name, wrapper) as (server, reader):
        await _storage(run, name, server, reader, lambda: cue.write_bytes(how), cue.unlink)


def _can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0  # noqa: S603


def _fill(filler: Path) -> None:
    """Take all the space that is left."""
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass


async def _storage(
    run: Run,
    name: str,
    server: HeadraceServer,
    reader: Client,
    broken: Callable[[], object],
    mend: Callable[[], object],
) -> None:
    """Readers are cut and told nothing, what is there is read, nothing begins; mended, the answer has failed."""
    before = await _fresh(server)
    await asyncio.to_thread(broken)
    run.zero(f"{name}: readers left waiting", int(not await _over(reader)))
    run.zero(f"{name}: readers told an end that is not kept", int(reader.whole or reader.done or bool(reader.errors)))
    wrong = (await _status(server, "/ready") != 503) + (await _status(server, "/health") != 200)
    run.zero(f"{name}: wrong words on /ready and /health", wrong)
    again = await _get(server, f"/v1/streams/{before.stream}?as=chat")
    run.zero(f"{name}: answers that cannot be read", int(again.text != before.text or not again.done))
    refused = await _fresh(server)
    run.zero(f"{name}: answers that began", int(refused.status not in (503, 507)))
    await asyncio.to_thread(mend)
    await _recovery(run, name, server, reader, "storage")


async def _over(reader: Client) -> bool:
    """Whether a reply ends, clean or not, in the time in which it must."""
    try:
        await reader.rest(5)
    except TimeoutError:
        return False
    return True


async def _recovery(run: Run, name: str, server: HeadraceServer, reader: Client, *reasons: str) -> None:
    """How long until answers are whole again; and whether the reader comes back to exactly what it has seen.

    ``reasons`` are those for which its answer may have failed by then; empty where it may go on.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    took = float("nan")
    while loop.time() - began < 2 * RECOVERED:
        with contextlib.suppress(OSError, TimeoutError):
            if await _status(server, "/ready") == 200 and (await _fresh(server)).done:
                took = loop.time() - began
                break
        await asyncio.sleep(0.1)
    run.figure(f"{name}: recovered after", round(took, 2), "s", most=RECOVERED)
    headers = {"Last-Event-ID": reader.last_id} if reader.last_id else {}
    back = await Client(server.port).open("GET", f"/v1/streams/{reader.stream}?as=chat", headers=headers)
    with contextlib.suppress(TimeoutError, ConnectionError):
        await back.until(lambda client: "" in reasons and len(client.text) > GOES_ON)
    run.zero(f"{name}: texts with a gap, or with what was not kept", int(not is_beginning(reader.text + back.text)))
    run.zero(f"{name}: answers in the wrong state", int(_told(back) not in reasons))


def _told(back: Client) -> str:
    """What whoever comes back is told: the error's code; nothing where the answer goes on."""
    if back.status != 200:
        return f"status {back.status}"
    if back.errors:
        return back.errors[0]
    if back.done:
        return "complete"
    return "" if len(back.text) > GOES_ON else "nothing"


# -- descriptors -----------------------------------------------------------------------------------------------------


async def _no_descriptors(run: Run) -> None:
    """More connections than there is room for: who reads goes on, nobody spins, and all is well when they go."""
    async with _running(run, "no descriptors", ["sh", "-c", _FEW, "sh"]) as (server, reader):
        quiet = await _busy(server, reader)
        seen = len(reader.body)
        with ExitStack() as stack:
            for _ in range(CROWD):
                stack.enter_context(contextlib.closing(await _idle(server.port)))
            busy = await _busy(server, reader)
        run.figure("no descriptors: of a core, more than before", round(busy - quiet, 2), most=BUSY)
        run.figure("no descriptors: bytes that a reader was shown meanwhile", len(reader.body) - seen, least=1)
        await _recovery(run, "no descriptors", server, reader, "")


async def _idle(port: int) -> asyncio.Transport:
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", port)
    transport.write(b"GET /he")
    return transport


async def _busy(server: HeadraceServer, reader: Client) -> float:
    """How much of a core the server takes while it is read from."""
    before = _cpu(server.pid)
    with contextlib.suppress(TimeoutError):
        await reader.rest(LASTS)
    return (_cpu(server.pid) - before) / LASTS


def _cpu(pid: int) -> float:
    """Seconds of CPU time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# -- a locked database -----------------------------------------------------------------------------------------------


async def _locked(run: Run) -> None:
    """Another process writes, and does not come to an end: readers wait, the event loop does not."""
    async with _running(run, "locked database") as (server, reader):
        with _held(sorted((server.folder / "data").glob("log-*.db"))):
            waits = await _waits(server, max(1.5, LOCKED * run.size))
        with contextlib.suppress(TimeoutError):
            await reader.rest(1)
        run.figure("locked database: p99 of /health", round(percentile(waits, 0.99), 3), "s", most=HEALTHY)
        told = reader.errors or [""]
        run.zero("locked database: readers told a wrong end", int(reader.done or told[0] not in ("", "storage")))
        # The store waits for a while; where it was in vain, the answer has failed.
        await _recovery(run, "locked database", server, reader, "", "storage")


@contextmanager
def _held(files: Sequence[Path]) -> Iterator[None]:
    """The write locks of all of these."""
    connections = [apsw.Connection(str(file)) for file in files]
    try:
        for connection in connections:
            connection.set_busy_timeout(2_000)
            connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        for connection in connections:
            connection.close(True)


async def _waits(server: HeadraceServer, seconds: float) -> list[float]:
    """How long /health takes, again and again."""
    loop = asyncio.get_running_loop()
    waits: list[float] = []
    until = loop.time() + seconds
    while loop.time() < until:
        began = loop.time()
        await _status(server, "/health")
        waits.append(loop.time() - began)
        await asyncio.sleep(0.02)
    return waits


# -- requests --------------------------------------------------------------------------------------------------------


async def _fresh(server: HeadraceServer) -> Client:
    """A short answer, or a refusal."""
    client = await Client(server.port).open("POST", "/v1/chat/completions", chat("at once"))
    return await client.rest()


async def _get(server: HeadraceServer, path: str) -> Client:
    return await (await Client(server.port).open("GET", path)).rest()


async def _status(server: HeadraceServer, path: str) -> int:
    return (await _get(server, path)).status
