"""Turns in the order that providers want."""

from headrace.model.prompt import ToolResult, ToolUse, Turn, Words
from headrace.wire.turns import joined


def _turn(role, *parts):
    return Turn(role=role, parts=parts, at=role)


def test_neighbours_of_one_role_are_one_turn():
    calls = [ToolUse(id=id, name="f", arguments="{}") for id in "ab"]
    results = [ToolResult(id=id) for id in "ab"]
    hi = Words(text="hi")
    turns = [
        _turn("user", hi),
        *(_turn("assistant", call) for call in calls),
        *(_turn("user", each) for each in results),
    ]
    assert joined(turns) == [_turn("user", hi), _turn("assistant", *calls), _turn("user", *results)]


def test_others_stay_as_they_are():
    turns = [_turn("system"), _turn("user", Words(text="hi")), _turn("assistant"), _turn("user")]
    assert joined(turns) == turns
