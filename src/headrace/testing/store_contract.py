"""The contract of every store: rules that any implementation of the log port must keep.

A third party's store is tested like ours::

    @pytest.mark.parametrize("rule", rules(abilities=(Health,)), ids=rule_name)
    async def test_contract(rule, stage):
        await rule.check(stage)

where ``stage`` implements :class:`~headrace.testing.contract.Stage`. The rules need no test framework: a broken one
raises AssertionError.
"""

from collections.abc import Sequence

from headrace.testing import ability_rules, log_rules
from headrace.testing.contract import RULES, Rule, Stage, rule_name

__all__ = ["Rule", "Stage", "rule_name", "rules"]

#: The modules whose import fills the rules.
PARTS = (log_rules, ability_rules)


def rules(abilities: Sequence[type] = (), *, workers: bool = True) -> list[Rule]:
    """The rules for a store with these abilities; without ``workers`` those for a store of one process."""
    return [r for r in RULES if (r.needs is None or r.needs in abilities) and (workers or not r.workers)]
