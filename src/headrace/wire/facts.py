"""What a whole answer says of itself, in whatever dialect."""

from typing import NamedTuple

from headrace.model.outcome import Usage
from headrace.wire.intake import name_of, text_of


class Facts(NamedTuple):
    """``finish_reason`` is canonical, or an upstream's own word; empty texts are what it does not say."""

    id: str = ""
    model: str = ""
    finish_reason: str = ""
    usage: Usage | None = None


def named(value: object) -> str:
    """An id, a name or a reason, or nothing where it is not fit to be one."""
    return name_of(text_of(value) or "")
