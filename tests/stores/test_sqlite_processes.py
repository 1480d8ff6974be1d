"""Worker processes on one data folder: they follow, signal and outlive each other."""

import asyncio
import statistics
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headrace.model.outcome import Outcome, State
from headrace.stores.sqlite.log import SqliteLog
from headrace.testing.contract import CUT, Bell, meta, numbered, read_all

SCRIPT = Path(__file__).with_name("sqlite_worker_process.py")


@asynccontextmanager
async def worker(folder: Path, job: str, id: str):
    """A worker process, killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, SCRIPT, folder, job, id, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def opened(folder: Path):
    log = await SqliteLog(folder).open()
    try:
        yield log
    finally:
        await log.close()


@pytest.mark.slow
async def test_a_reader_in_another_process_follows_within_milliseconds(tmp_path):
    """Each commit of a worker is seen by a reader in another one, in order; half within 25 ms on a quiet machine."""
    async with opened(tmp_path) as log, worker(tmp_path, "pace", "s") as process:
        assert await process.stdout.readline() == b"ready\n"
        process.stdin.write(b"go\n")
        lags, outcome, seen = [], None, 0
        while outcome is None:
            bell = Bell()
            batch = await log.read("s", seen, wake=bell)
            now = time.monotonic()
            lags.extend(now - float(record.data) for record in batch.records)
            seen += len(batch.records)
            outcome = batch.outcome
            if not batch.records and outcome is None:
                await bell.wait()
        assert seen == 200
        assert statistics.median(lags) < 0.25, f"worst {max(lags) * 1e3:.1f} ms"


@pytest.mark.slow
@pytest.mark.parametrize("kill_after", [1, 40, 300])
async def test_what_was_acknowledged_survives_kill_9(tmp_path, kill_after):
    """Every number that the writer had printed is there, dense; its stream is closed once, and only its."""
    async with opened(tmp_path) as log, worker(tmp_path, "write", "theirs") as process:
        await log.create("mine", meta())
        acknowledged = 0
        while acknowledged < kill_after:
            acknowledged = int(await process.stdout.readline())
        process.kill()
        rest = (await process.stdout.read()).split(b"\n")
        acknowledged = max([acknowledged, *(int(n) for n in rest[:-1] if n)])
        await process.wait()
        assert [*await log.reap(lambda head: CUT)] == ["theirs"]
        records, outcome = await read_all(log, "theirs")
        assert outcome == CUT
        assert len(records) >= acknowledged
        assert records == numbered(1, len(records))
        assert [*await log.reap(lambda head: CUT)] == []
        assert log.owns("mine")


@pytest.mark.slow
async def test_a_killed_worker_that_starts_again_takes_its_own_file(tmp_path):
    """There are never more files than workers that ran at once."""
    for n in range(5):
        async with worker(tmp_path, "write", f"s{n}") as process:
            await process.stdout.readline()
    async with opened(tmp_path) as log:
        assert [path.name for path in sorted(tmp_path.glob("log-*.db"))] == ["log-1.db"]
        assert sorted(await log.reap(lambda head: CUT)) == [f"s{n}" for n in range(5)]
        for n in range(5):
            records, outcome = await read_all(log, f"s{n}")
            assert outcome == CUT
            assert records == numbered(1, len(records))
            assert len(records) > 0


@pytest.mark.slow
async def test_signals_and_presence_cross_processes_and_die_with_them(tmp_path):
    """A cancel is heard by the stream's own process within 100 ms or so; a killed process has no participants."""
    async with opened(tmp_path) as log, worker(tmp_path, "hold", "s") as process:
        assert await process.stdout.readline() == b"ready\n"
        assert await log.present("s")
        assert not log.owns("s")
        sent = time.monotonic()
        await log.send_cancel("s")
        assert await process.stdout.readline() == b"cancel s\n"
        took = time.monotonic() - sent
        assert took < 1.0
        process.kill()
        await process.wait()
        assert not await log.present("s")


@pytest.mark.slow
async def test_a_drop_is_carried_out_by_the_process_that_writes(tmp_path):
    """A stream of another living process is dropped at its own."""
    async with opened(tmp_path) as log, worker(tmp_path, "hold", "s") as process:
        assert await process.stdout.readline() == b"ready\n"
        assert await log.drop("s")
        head = await log.head("s")
        assert (head.gone, head.meta.owner) == ("deleted", "ann")
        assert process.returncode is None


@pytest.mark.slow
async def test_an_orphan_of_a_dead_process_is_dropped_by_whoever_asks(tmp_path):
    """Nobody is there to ask, so the file is taken for a moment."""
    async with opened(tmp_path) as log:
        async with worker(tmp_path, "hold", "s") as process:
            await process.stdout.readline()
        assert await log.reap(lambda head: Outcome(state=State.INTERRUPTED, reason="worker_died", ended_at=1.0)) == [
            "s"
        ]
        assert [head.id for head in await log.unrecorded()] == ["s"]
        await log.mark_recorded(["s"])
        assert await log.unrecorded() == []
        assert await log.drop("s")
        assert (await log.head("s")).gone == "deleted"
