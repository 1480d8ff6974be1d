"""Group commit: what comes now and then is committed at once, what comes all the time in groups."""

import asyncio

import pytest

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


async def test_what_comes_now_and_then_waits_for_nothing(log, monkeypatch):
    """The first token of an answer does not wait for the pace of others."""
    monkeypatch.setattr(commit, "SHARE", 1e9)
    assert not any([await append(log, number) for number in range(20)])


async def test_commits_that_take_more_than_their_share_keep_a_pace(log, monkeypatch):
    monkeypatch.setattr(commit, "SHARE", 1e-9)
    await append(log, 0)
    assert all([await append(log, number) for number in range(1, 20)])
