"""Every store keeps the contract."""

from pathlib import Path

import pytest

from headrace.core.log import Health, Log, Newest, Overview, Ownership, Retention, Signals
from headrace.stores.memory.log import MemoryLog
from headrace.stores.sqlite.log import SqliteLog
from headrace.testing.clock import FakeClock
from headrace.testing.store_contract import Rule, rule_name, rules

ALL = (Health, Newest, Ownership, Signals, Overview, Retention)


class MemoryStage:
    """One process's memory: whoever opens it gets the same log."""

    def __init__(self) -> None:
        self.log = MemoryLog(FakeClock())

    async def open(self) -> Log:
        return self.log

    async def kill(self, log: Log) -> None:
        raise NotImplementedError("memory dies with its process")


@pytest.mark.parametrize("rule", rules(ALL, workers=False), ids=rule_name)
async def test_memory(rule: Rule):
    """The reference keeps all rules for a single process."""
    await rule.check(MemoryStage())


class SqliteStage:
    """A data folder, opened as several workers of one process."""

    def __init__(self, folder: Path, durability: str) -> None:
        self.folder = folder
        self.durability = durability
        self.logs: list[SqliteLog] = []

    async def open(self) -> Log:
        log = await SqliteLog(self.folder, durability=self.durability).open()
        self.logs.append(log)
        return log

    async def kill(self, log: Log) -> None:
        """What is left of a killed process: files as they are, and a lock that can be taken."""
        assert isinstance(log, SqliteLog)
        place = log._place
        place._timer.cancel()
        for task in place.tasks:
            task.cancel()
        place.lock.release()
        self.logs.remove(log)

    async def close(self) -> None:
        for log in self.logs:
            await log.close()


@pytest.fixture(params=["process", "power"])
async def sqlite_stage(request, tmp_path):
    stage = SqliteStage(tmp_path / "data", request.param)
    yield stage
    await stage.close()


@pytest.mark.parametrize("rule", rules(ALL), ids=rule_name)
async def test_sqlite(rule: Rule, sqlite_stage: SqliteStage):
    """A data folder keeps all rules, with several workers too."""
    await rule.check(sqlite_stage)
