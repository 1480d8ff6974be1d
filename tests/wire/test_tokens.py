"""Numbers of tokens, from people who may get them wrong."""

import pytest

from headrace.wire.tokens import detail, tokens


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *((0, 0), (7, 7), (7.0, 7), (1 << 40, 1 << 40)),
        *((value, None) for value in (7.5, -1, True, "7", None, [], 1 << 41, float("inf"), float("nan"))),
    ],
)
def test_a_number_of_tokens_is_whole_and_possible(value, number):
    """What is none is unknown, which is not zero."""
    assert tokens(value) == number


@pytest.mark.parametrize(("value", "number"), [({"a": 3}, 3), ({"a": "3"}, 0), ({}, 0), (None, 0), ([3], 0)])
def test_a_detail_that_is_not_told_is_zero(value, number):
    """Details are parts of a number that is known."""
    assert detail(value, "a") == number
