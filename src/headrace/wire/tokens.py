"""Numbers of tokens, as upstreams tell them."""

from collections.abc import Mapping

# What a number of tokens can be; beyond it the upstream is wrong, and nobody knows.
_MAX_TOKENS = 1 << 40


def tokens(value: object) -> int | None:
    """A number of tokens, or None where it is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MAX_TOKENS else None


def detail(value: object, name: str) -> int:
    """One of the numbers in an object of details; 0 where it is not told."""
    return (tokens(value.get(name)) or 0) if isinstance(value, Mapping) else 0
