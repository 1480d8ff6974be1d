"""References to variables in the configuration file: a text that is ``${NAME}`` and nothing else, wherever it stands.

Within a longer text the form is refused: no setting has a use for it, and taken literally it would reach whoever is
given the value, as a key or a password that nobody chose.
"""

import re
from collections.abc import Iterator

from headrace.config.sources import Entry, Problem, Variables

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
#: Shows nothing of the text, which may hold a secret beside the reference, or one that looks like it.
_WITHIN = "has a reference such as ${NAME} within a longer text; it must be the whole text: put all of it in a variable"


def expand(entry: Entry, variables: Variables) -> tuple[Entry, list[Problem]]:
    """The variables' values in the place of references to them; and why not, in which case the entry is as it was."""
    try:
        wrong = dict.fromkeys(_wrong(text, variables) for text in _texts(entry.value))
        problems = [Problem(entry.place, text) for text in wrong if text]
        return (entry if problems else entry._replace(value=_expanded(entry.value, variables))), problems
    except RecursionError:
        return entry, [Problem(entry.place, "is nested too deeply")]


def _texts(value: object) -> Iterator[str]:
    """All texts in a value, those in its lists and tables too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _wrong(text: str, variables: Variables) -> str:
    """Why a text's reference cannot be followed; empty where it can, or where there is none."""
    if whole := _REFERENCE.fullmatch(text):
        return "" if variables.get(whole[1]) else f"refers to {text}, which is not set"
    return _WITHIN if _REFERENCE.search(text) else ""


def _expanded(value: object, variables: Variables) -> object:
    if isinstance(value, list):
        return [_expanded(part, variables) for part in value]
    if isinstance(value, dict):
        return {name: _expanded(part, variables) for name, part in value.items()}
    whole = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return variables.get(whole[1]) if whole else value
