"""Efforts and budgets of reasoning, the one as the other."""

import pytest

from headrace.model.prompt import Thinking
from headrace.wire.thinking import BUDGETS, EFFORTS, MIN_BUDGET, budget_of, effort_of


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        (Thinking(), ""),
        (Thinking(budget=0), ""),
        (Thinking(budget=1024), "low"),
        (Thinking(budget=4096), "low"),
        (Thinking(budget=4097), "medium"),
        (Thinking(budget=16_384), "medium"),
        (Thinking(budget=31_999), "high"),
        (Thinking(effort="none"), "none"),
        (Thinking(effort="max", budget=1024), "max"),
    ],
)
def test_the_effort_of_a_budget(thinking, effort):
    assert effort_of(thinking) == effort


@pytest.mark.parametrize(
    ("thinking", "budget"),
    [
        (Thinking(effort="none"), 0),
        (Thinking(effort="none", budget=5000), 0),
        (Thinking(budget=0), 0),
        (Thinking(budget=5000), 5000),
        (Thinking(effort="low"), 2048),
        (Thinking(), BUDGETS["medium"]),
    ],
)
def test_the_budget_of_an_effort(thinking, budget):
    assert budget_of(thinking) == budget


def test_more_effort_is_a_larger_budget():
    budgets = [budget_of(Thinking(effort=effort)) for effort in EFFORTS[1:]]
    assert budgets == sorted(set(budgets))
    assert budgets[0] >= MIN_BUDGET
