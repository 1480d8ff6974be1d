"""Token counts in the OpenAI chat dialect, read and written."""

from collections.abc import Mapping
from typing import Any

from headrace.model.outcome import Usage

# What a number of tokens can be; beyond it the upstream is wrong, and nobody knows.
_MAX_TOKENS = 1 << 40


def usage_of(value: object) -> Usage | None:
    """A ``usage`` object, or None where it does not tell the two counts."""
    if not isinstance(value, Mapping):
        return None
    used, made = _count(value.get("prompt_tokens")), _count(value.get("completion_tokens"))
    if used is None or made is None:
        return None
    return Usage(
        input=used,
        output=made,
        cached=_detail(value.get("prompt_tokens_details"), "cached_tokens"),
        reasoning=_detail(value.get("completion_tokens_details"), "reasoning_tokens"),
    )


def usage_object(usage: Usage) -> dict[str, Any]:
    """A ``usage`` object; details only where there are some."""
    value: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
    }
    if usage.cached:
        value["prompt_tokens_details"] = {"cached_tokens": usage.cached}
    if usage.reasoning:
        value["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return value


def _count(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MAX_TOKENS else None


def _detail(value: object, name: str) -> int:
    return (_count(value.get(name)) or 0) if isinstance(value, Mapping) else 0
