"""What models cost, as settings: one table ``[prices.MODEL]`` each."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from headrace.config.fields import Value, table
from headrace.model.outcome import Outcome, Usage

_MILLION = 1e6

Dollars = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Price(Value):
    """What a model costs, in US dollars for a million tokens."""

    input: Dollars
    """US dollars for a million tokens of input."""
    output: Dollars
    """US dollars for a million tokens of output, those of reasoning among them."""
    cached: Dollars | None = None
    """US dollars for a million tokens of input that the upstream had cached. Unset: as `input`."""

    def of(self, usage: Usage) -> float:
        """What some usage costs, in US dollars."""
        cached = min(usage.cached, usage.input)
        rate = self.input if self.cached is None else self.cached
        return ((usage.input - cached) * self.input + cached * rate + usage.output * self.output) / _MILLION


Prices = Annotated[dict[str, Price], BeforeValidator(table)]


def cost_of(prices: Mapping[str, Price], outcome: Outcome, model: str) -> float | None:
    """What an answer cost, in US dollars; None where its usage or its model's price is not known.

    The upstream's own name for the model is stronger than ``model``, by which it was asked for.
    """
    price = prices.get(outcome.upstream_model) or prices.get(model)
    return price.of(outcome.usage) if price is not None and outcome.usage is not None else None
