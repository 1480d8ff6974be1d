"""Texts that come in pieces, whose characters may be cut in two."""

import pytest

from headrace.wire.halves import Halves


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (["ab", "c"], ["ab", "c"]),
        (["a\ud83c", "\udf0ab"], ["a", "\U0001f30ab"]),
        (["a\ud83c", "b"], ["a", "\ufffdb"]),
        (["\udf0a"], ["\ufffd"]),
        (["\ud83c", "", "\udf0a"], ["", "", "\U0001f30a"]),
        (["\ud83c", None, 7, "\udf0a"], ["", "", "", "\U0001f30a"]),
    ],
)
def test_halves_meet(pieces, said):
    """A half waits for the other; one that stays alone becomes U+FFFD."""
    halves = Halves()

    assert [halves.join("text", piece) for piece in pieces] == said


def test_texts_are_told_apart():
    """What one text waits for does not come from another."""
    halves = Halves()

    assert [halves.join(*each) for each in (("a", "\ud83c"), ("b", "\udf0a"), ("a", "\udf0a"))] == [
        "",
        "\ufffd",
        "\U0001f30a",
    ]
