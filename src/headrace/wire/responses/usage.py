"""Token counts in the OpenAI Responses dialect, read and written."""

from collections.abc import Mapping
from typing import Any

from headrace.model.outcome import Usage
from headrace.wire.tokens import detail, tokens


def usage_of(value: object) -> Usage | None:
    """A ``usage`` object, or None where it does not tell the two counts."""
    if not isinstance(value, Mapping):
        return None
    used, made = tokens(value.get("input_tokens")), tokens(value.get("output_tokens"))
    if used is None or made is None:
        return None
    return Usage(
        input=used,
        output=made,
        cached=detail(value.get("input_tokens_details"), "cached_tokens"),
        reasoning=detail(value.get("output_tokens_details"), "reasoning_tokens"),
    )


def usage_object(usage: Usage) -> dict[str, Any]:
    """A ``usage`` object, with the details that the dialect's clients insist on."""
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
