"""Tolerance: how much of what an upstream sends may be other than its dialect says."""

_MAX_NAME = 256
# Frames that may be invalid: the first few in any case, then as many as are valid.
_INVALID_FREE = 10
_INVALID_MAX = 100


def is_too_much(invalid: int, good: int) -> bool:
    """Whether there are too many invalid frames beside the good ones."""
    return invalid > min(_INVALID_MAX, good + _INVALID_FREE)


def name_of(text: str) -> str:
    """An id or a model's name, or nothing where it is not fit to be one."""
    return text if len(text) <= _MAX_NAME and text.isprintable() else ""


def text_of(value: object) -> str | None:
    """A text, or None where it is none."""
    return value if isinstance(value, str) else None
