"""Every store keeps the contract."""

import pytest

from headrace.core.log import Health, Log, Ownership, Retention, Signals
from headrace.stores.memory import MemoryLog
from headrace.testing.clock import FakeClock
from headrace.testing.store_contract import Rule, rule_name, rules

ALL = (Health, Ownership, Signals, Retention)


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
