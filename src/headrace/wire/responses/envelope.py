"""The response object: what a client is told of an answer as a whole, around its output."""

from collections.abc import Mapping
from typing import Any

from headrace.model.outcome import Usage
from headrace.wire.responses.usage import usage_object

# What of a request a response says again, and what it says where the client left that open.
_ECHOED: Mapping[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": False,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}
# These are said only where the client did.
_OPTIONAL = ("conversation", "prompt", "prompt_cache_key", "safety_identifier", "service_tier", "top_logprobs")


class Envelope:
    """One answer's response object. What is empty at first may come from the upstream's own words."""

    def __init__(self, id: str, model: str = "", created: int = 0, echo: Mapping[str, Any] | None = None) -> None:
        self.id = id
        self.model = model
        self.created = created
        self._echo = echo or {}

    def asks_for(self, name: str) -> bool:
        """Whether the client's ``include`` names this."""
        include = self._echo.get("include")
        return isinstance(include, list) and name in include

    def response(
        self,
        output: list[dict[str, Any]],
        *,
        status: str = "in_progress",
        usage: Usage | None = None,
        completed_at: int | None = None,
        **fields: object,
    ) -> dict[str, Any]:
        """The object with this output; ``fields`` are those of :class:`~headrace.wire.responses.terminal.Ended`."""
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "completed_at": completed_at,
            "error": None,
            "incomplete_details": None,
            "model": self.model,
            "output": output,
            **{name: self._echoed(name, default) for name, default in _ECHOED.items()},
            **{name: self._echo[name] for name in _OPTIONAL if self._echo.get(name) is not None},
            "usage": usage_object(usage) if usage else None,
            **fields,
        }

    def _echoed(self, name: str, default: object) -> object:
        value = self._echo.get(name)
        return default if value is None else value
