"""Quantiles out of buckets: linear within one, of the last interval in which anything was counted."""

import pytest

from headrace.observe.quantiles import Latest, quantile

BOUNDS = (1.0, 2.0, 4.0)


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ((0, 0, 0, 0), 0.5, None),
        ((10, 0, 0, 0), 0.5, 0.5),
        ((0, 10, 0, 0), 0.5, 1.5),
        ((0, 10, 0, 0), 1.0, 2.0),
        ((5, 0, 5, 0), 0.75, 3.0),
        ((5, 0, 5, 0), 0.5, 1.0),
        ((0, 0, 0, 3), 0.99, 4.0),
        ((1, 0, 0, 99), 0.99, 4.0),
    ],
)
def test_a_quantile_lies_in_its_bucket(counts, share, expected):
    assert quantile(BOUNDS, counts, share) == expected


def test_what_is_new_counts_and_else_what_was_last():
    """An interval without any shows the one before; a worker that has gone takes its counts with it."""
    latest = Latest(BOUNDS, (0.5,))
    assert latest.after((0, 0, 0, 0)) == {"p50": None}
    assert latest.after((4, 0, 0, 0)) == {"p50": 0.5}
    assert latest.after((4, 0, 2, 0)) == {"p50": 3.0}
    assert latest.after((4, 0, 2, 0)) == {"p50": 3.0}
    assert latest.after((1, 0, 2, 0)) == {"p50": 3.0}
