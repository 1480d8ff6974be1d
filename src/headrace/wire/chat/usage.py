"""Token counts in the OpenAI chat dialect, read and written."""

from collections.abc import Mapping
from typing import Any

from headrace.model.outcome import Usage
from headrace.wire.tokens import detail, tokens


def usage_of(value: object) -> Usage | None:
    """A ``usage`` object, or None where it does not tell the two counts."""
    if not isinstance(value, Mapping):
        return None
    used, made = tokens(value.get("prompt_tokens")), tokens(value.get("completion_tokens"))
    if used is None or made is None:
        return None
    return Usage(
        input=used,
        output=made,
        cached=detail(value.get("prompt_tokens_details"), "cached_tokens"),
        reasoning=detail(value.get("completion_tokens_details"), "reasoning_tokens"),
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
