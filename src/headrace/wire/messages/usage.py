"""Token counts in the Anthropic Messages dialect, read and written.

There the tokens of the prompt are told in three parts: those read from a cache, those written to one, and the rest.
"""

from collections.abc import Mapping
from typing import Any

from headrace.model.outcome import Usage
from headrace.wire.tokens import detail, tokens


class Counts:
    """What an answer says of its usage, from its start to its end: each count is a total, and the last one is true."""

    def __init__(self) -> None:
        #: The fields as they came, also those that nobody here knows.
        self.told: dict[str, Any] = {}
        self._final = False

    def add(self, usage: object, *, final: bool) -> None:
        """Take one ``usage`` object. What is null there was not said. ``final`` ones tell of the answer's tokens."""
        if isinstance(usage, dict):
            self.told.update((name, value) for name, value in usage.items() if value is not None)
            self._final = self._final or (final and tokens(usage.get("output_tokens")) is not None)

    @property
    def usage(self) -> Usage | None:
        """The usage so far. Until the answer's own tokens are told it is a guess: the start counts the first few."""
        usage = usage_of(self.told)
        if usage is None or self._final:
            return usage
        return Usage(input=usage.input, output=usage.output, cached=usage.cached, exact=False)


def usage_of(value: object) -> Usage | None:
    """A ``usage`` object, or None where it does not tell the two counts."""
    if not isinstance(value, Mapping):
        return None
    fresh, made = tokens(value.get("input_tokens")), tokens(value.get("output_tokens"))
    if fresh is None or made is None:
        return None
    cached = tokens(value.get("cache_read_input_tokens")) or 0
    written = tokens(value.get("cache_creation_input_tokens")) or 0
    return Usage(
        input=fresh + cached + written,
        output=made,
        cached=cached,
        reasoning=detail(value.get("output_tokens_details"), "thinking_tokens"),
    )


def usage_object(usage: Usage | None, input_tokens: int = 0) -> dict[str, Any]:
    """A ``usage`` object; ``input_tokens`` is what to say of the prompt where nothing is known."""
    usage = usage or Usage(input=input_tokens, output=0)
    value: dict[str, Any] = {
        "input_tokens": max(0, usage.input - usage.cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        value["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return value
