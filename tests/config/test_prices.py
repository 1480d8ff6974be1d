"""What an answer costs: by the usage and the model's price, and nothing where one of them is not known."""

import json

import pytest
from pydantic import ValidationError

from headrace.config import Price, load
from headrace.config.prices import cost_of
from headrace.errors import ConfigError
from headrace.model.outcome import Outcome, State, Usage

PRICES = {
    "asked": Price(input=1, output=2),
    "theirs": Price(input=2.5, output=10, cached=1.25),
}
MILLION = 1_000_000


def ended(usage, upstream_model=""):
    return Outcome(state=State.COMPLETED, reason="stop", ended_at=1.0, usage=usage, upstream_model=upstream_model)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(input=MILLION, output=0), 2.5),
        (Usage(input=0, output=MILLION, reasoning=MILLION), 10.0),
        (Usage(input=MILLION, output=0, cached=MILLION), 1.25),
        (Usage(input=3 * MILLION, output=MILLION, cached=MILLION), 5 + 1.25 + 10),
        (Usage(input=1, output=1, exact=False), 12.5e-6),
        (Usage(input=MILLION, output=0, cached=9 * MILLION), 1.25),
        (Usage(input=0, output=0), 0.0),
    ],
)
def test_cost_follows_usage(usage, cost):
    """What was cached is part of the input, reasoning part of the output; more than all cannot be cached."""
    assert PRICES["theirs"].of(usage) == pytest.approx(cost)


def test_without_a_price_for_cached_input_it_costs_as_any():
    assert PRICES["asked"].of(Usage(input=MILLION, output=0, cached=MILLION)) == 1.0


def test_the_upstreams_own_name_is_stronger_than_the_asked_one():
    usage = Usage(input=MILLION, output=0)
    assert cost_of(PRICES, ended(usage, "theirs"), "asked") == 2.5
    assert cost_of(PRICES, ended(usage, "theirs-2026-11"), "asked") == 1.0


def test_what_is_not_known_has_no_cost():
    """Which is not zero."""
    assert cost_of(PRICES, ended(Usage(input=1, output=1), "other"), "another") is None
    assert cost_of(PRICES, ended(None, "theirs"), "asked") is None


def test_prices_come_from_the_file_and_the_environment(tmp_path):
    (tmp_path / "headrace.toml").write_text('[prices."gpt-4.1"]\ninput = 2\noutput = 8\ncached = 0.5\n')
    assert load(environ={}, folder=tmp_path).prices == {"gpt-4.1": Price(input=2, output=8, cached=0.5)}
    given = {"HEADRACE_PRICES": json.dumps({"m": {"input": 1, "output": 0}})}
    assert load(environ=given, folder=tmp_path).prices == {"m": Price(input=1, output=0)}


def test_a_price_without_one_of_its_sides_names_what_is_missing(tmp_path):
    (tmp_path / "headrace.toml").write_text("[prices.m]\ninput = 2\n")
    with pytest.raises(ConfigError, match=r"\[prices.m\] input: 'output' is needed too"):
        load(environ={}, folder=tmp_path)


@pytest.mark.parametrize("amount", [-0.01, float("nan"), float("inf"), "cheap"])
def test_what_is_no_price_is_refused(amount):
    with pytest.raises(ValidationError):
        Price(input=amount, output=1)
