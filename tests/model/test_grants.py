"""Grants: what matches, and what they are when nothing is said."""

import msgspec
import pytest

from headrace.model.grants import ROUTES, Grants, Quota


@pytest.mark.parametrize(
    ("pattern", "model", "seen"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o", "openai/gpt-4o", False),
        ("claude-*", "claude-sonnet-4-5", True),
        ("claude-*", "CLAUDE-sonnet", False),
        ("*", "", True),
        ("*/m", "up/m", True),
        ("a[bc]", "a[bc]", True),
        ("a[bc]", "ab", False),
        ("a?", "ab", False),
        ("a?", "a?", True),
        ("a*", "a\nb", True),
        ("a", "a\n", False),
    ],
)
def test_a_pattern_is_the_whole_name_and_a_star_any_text(pattern, model, seen):
    """Nothing else has a meaning in it, and case counts."""
    assert Grants(models=("other", pattern)).sees(model) is seen


def test_what_is_not_said_is_granted():
    """All models and routes, any amount; but nobody is an admin by saying nothing."""
    assert Grants().sees("anything")
    assert Grants().reaches(("chat",))
    assert Grants() == Grants(admin=False, models=None, routes=None, lifetime=None, quota=Quota())


def test_one_of_a_routes_names_is_enough():
    """An answer's stream can be read by whoever may have it begun."""
    grants = Grants(routes=("chat", "topics"))
    assert grants.reaches(("streams", "chat"))
    assert not grants.reaches(("streams",))
    assert not Grants(routes=()).reaches(ROUTES)


def test_grants_are_kept_as_what_they_say_and_no_more():
    """The column stays readable, and new fields have a meaning for old rows."""
    assert msgspec.to_builtins(Grants()) == {}
    grants = Grants(admin=True, models=("a",), routes=("ui",), lifetime=9.0, quota=Quota(budget=1.5))
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(grants)), Grants) == grants
