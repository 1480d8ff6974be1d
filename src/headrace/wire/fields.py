"""Fields of a request: which values fit, and the words for those that do not.

A table of rules names the fields that are looked at. Checked is what would break us or surely the upstream.
"""

from collections.abc import Callable, Mapping
from typing import Any

from headrace.errors import RequestError

#: Whether a value fits, and what to say where it does not.
Rule = tuple[Callable[[object], bool], str]


def check_fields(value: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Raise RequestError where a field breaks its rule; null is as if absent."""
    for name, (fits, words) in rules.items():
        given = value.get(name)
        if given is not None and not fits(given):
            raise wrong(name, words)


def wrong(name: str, words: str) -> RequestError:
    """The error for one field."""
    return RequestError(f"'{name}' {words}.", param=name)


def model_in(value: Mapping[str, Any]) -> str:
    """The model that a request names. Raises RequestError."""
    model = value.get("model")
    if not isinstance(model, str) or not model:
        raise wrong("model", "must be the name of a model")
    return model


def is_count(value: object) -> bool:
    """A whole number from 1 on that fits into 32 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31


def is_number(value: object) -> bool:
    """A number of any kind; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole_number(value: object) -> bool:
    """A number without a fraction; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_stop(value: object) -> bool:
    """A text or a list of texts."""
    return isinstance(value, str) or is_texts(value)


def is_texts(value: object) -> bool:
    """A list of texts."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def is_a(*types: type) -> Callable[[object], bool]:
    """Whether a value is of one of these types."""
    return lambda value: isinstance(value, types)


FLAG: Rule = (is_a(bool), "must be true or false")
COUNT: Rule = (is_count, "must be a whole number above 0")
NUMBER: Rule = (is_number, "must be a number")
TEXT: Rule = (is_a(str), "must be a text")
LIST: Rule = (is_a(list), "must be a list")
OBJECT: Rule = (is_a(dict), "must be an object")
