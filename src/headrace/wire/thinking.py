"""How much a model is to reason, said by an effort or by a budget in tokens: the one as the other.

The budgets are what providers' own examples come to; the efforts, from a budget, only those that every model that
reasons takes.
"""

from headrace.model.prompt import Thinking

#: From least to most.
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

#: No provider takes a smaller budget.
MIN_BUDGET = 1024

#: The tokens of an effort.
BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_768, "max": 65_536}

#: The effort of a budget up to so many tokens; above them it is high.
UP_TO = ((4096, "low"), (16_384, "medium"))


def effort_of(thinking: Thinking) -> str:
    """The effort; empty where the model decides.

    A budget of 0 is no effort either, not "none": that word is refused by models that do not reason at all, and by
    many that do.
    """
    if thinking.effort or not thinking.budget:
        return thinking.effort
    budget = thinking.budget
    return next((effort for most, effort in UP_TO if budget <= most), "high")


def budget_of(thinking: Thinking) -> int:
    """The tokens; 0 is not to reason."""
    if thinking.effort == "none":
        return 0
    if thinking.budget is not None:
        return thinking.budget
    return BUDGETS.get(thinking.effort, BUDGETS["medium"])
