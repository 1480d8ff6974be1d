"""Turns of a prompt, in the order that providers want."""

from collections.abc import Iterable
from itertools import groupby

from headrace.model.prompt import Turn


def joined(turns: Iterable[Turn]) -> list[Turn]:
    """The turns with neighbours of one role made into one, so that all calls of a turn stand before their results."""
    return [_one(list(group)) for _, group in groupby(turns, lambda turn: turn.role)]


def _one(turns: list[Turn]) -> Turn:
    if len(turns) == 1:
        return turns[0]
    return Turn(role=turns[0].role, parts=tuple(part for turn in turns for part in turn.parts), at=turns[0].at)
