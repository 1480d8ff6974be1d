"""Group commit: what comes now and then is committed at once, what comes all the time in groups."""

import asyncio
from collections.abc import Callable

import apsw
import pytest

from headrace.errors import StoreError
from headrace.model.record import Record
from headrace.stores.sqlite import commit
from headrace.stores.sqlite.log import SqliteLog
from headrace.testing.contract import meta


@pytest.fixture
async def log(tmp_path):
    opened = await SqliteLog(tmp_path).open()
    await opened.create("s", meta())
    yield opened
    await opened.close()


def waits(log: SqliteLog) -> bool:
    """Whether what was submitted last waits for a timer."""
    return isinstance(log._place.commit._timer, asyncio.TimerHandle)


async def append(log: SqliteLog, number: int) -> bool:
    """Append one record; whether it had to wait."""
    appending = log.append("s", number, [Record("", b"x")], format="f")
    waited = waits(log)
    await appending
    return waited


@pytest.mark.parametrize("durability", ["process", "power"])
async def test_what_nobody_foresaw_fails_what_was_to_be_committed(tmp_path, monkeypatch, durability):
    """Nobody waits for ever, and what comes after it is committed."""
    failed: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context.get("exception")))
    log = await SqliteLog(tmp_path, durability=durability).open()
    await log.create("s", meta())
    with monkeypatch.context() as patched:
        patched.setattr(commit, "pack", lambda _: 1 // 0)
        first = [log.append("s", 0, [Record("", b"x")], format="f") for _ in range(2)]
        second = asyncio.gather(*first, return_exceptions=True)
        assert [type(error) for error in await second] == [StoreError, StoreError]
    assert (await log.append("s", 0, [Record("", b"x")], format="f")).ok
    assert ZeroDivisionError in map(type, failed)
    await log.close()


async def test_what_comes_now_and_then_waits_for_nothing(log, monkeypatch):
    """The first token of an answer does not wait for the pace of others."""
    monkeypatch.setattr(commit, "SHARE", 1e9)
    assert not any([await append(log, number) for number in range(20)])


async def test_commits_that_take_more_than_their_share_keep_a_pace(log, monkeypatch):
    monkeypatch.setattr(commit, "SHARE", 1e-9)
    monkeypatch.setattr(commit, "PACE", 0.1)  # so long that no pause of the machine takes it up
    await append(log, 0)
    assert all([await append(log, number) for number in range(1, 5)])


async def until(holds: Callable[[], object]) -> None:
    while not holds():  # noqa: ASYNC110 - it is a thread that brings it about
        await asyncio.sleep(0.001)


@pytest.fixture
async def locked(tmp_path):
    """A log that waits for the disk, and another connection that has locked its file."""
    log = await SqliteLog(tmp_path, durability="power").open()
    await log.create("s", meta())
    other = apsw.Connection(str(log._place.own.path))
    other.execute("BEGIN IMMEDIATE")
    yield log, other
    other.close()
    await log.close()


async def test_what_finds_the_file_locked_is_held_too(locked):
    """A checkpoint that holds commits is not disturbed by one that is tried again."""
    log, other = locked
    group = log._place.commit
    appending = log.append("s", 0, [Record("", b"x")], format="f")
    await until(lambda: group._running)
    await group.hold()
    other.execute("ROLLBACK")
    await asyncio.sleep(20 * commit.RETRY)
    assert not appending.done()
    group.release()
    assert (await appending).ok


async def test_a_close_waits_for_what_finds_the_file_locked(locked):
    """Whoever appended is told."""
    log, other = locked
    group = log._place.commit
    appending = log.append("s", 0, [Record("", b"x")], format="f")
    await until(lambda: group._running)
    closing = asyncio.create_task(group.close())
    await until(lambda: group._busy_since)
    other.execute("ROLLBACK")
    await closing
    assert appending.done()
    assert appending.result().ok
