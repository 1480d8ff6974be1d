"""How much housekeeping is done at a time."""

import pytest

from headrace.stores.sqlite.upkeep import SWEEP_LEAST, SWEEP_MOST, SWEEP_TIME, paced


@pytest.mark.parametrize(
    ("rows", "seconds", "following"),
    [
        (40, SWEEP_TIME * 5, 20),
        (SWEEP_LEAST, 1.0, SWEEP_LEAST),
        (40, SWEEP_TIME / 4, 80),
        (SWEEP_MOST, 0.0, SWEEP_MOST),
        (40, SWEEP_TIME * 0.75, 40),
    ],
)
def test_a_sweep_takes_about_its_time(rows: int, seconds: float, following: int) -> None:
    """Large rows are swept a few at a time, small ones many, so that commits of answers never wait for long."""
    assert paced(rows, seconds) == following
