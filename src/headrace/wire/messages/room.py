"""The room that a Messages answer has: its limit, and how much of that is for thinking."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.model.prompt import Prompt
from headrace.wire.manner import Manner
from headrace.wire.thinking import MIN_BUDGET, budget_of

_DISABLED = {"type": "disabled"}
_THOUGHTS = ("thinking", "redacted_thinking")


def thinks(room: Mapping[str, Any]) -> bool:
    """Whether the model may think in there; Anthropic takes no sampling settings then."""
    return bool(room.get("thinking", _DISABLED) != _DISABLED)


def room_of(prompt: Prompt, manner: Manner, messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """``max_tokens``, which must be there, and ``thinking``."""
    limit = {"max_tokens": prompt.max_tokens or manner.max_tokens}
    if prompt.thinking is None or not manner.thinking:
        return limit
    if not budget_of(prompt.thinking):
        return limit | {"thinking": _DISABLED}
    if _is_forced(prompt):
        return limit
    if manner.thinking == "effort":
        shown = {"display": "summarized"} if prompt.thinking.shown else {}
        return limit | {"thinking": {"type": "adaptive", **shown}}
    return limit if _goes_on_without_thoughts(messages) else limit | _budget(budget_of(prompt.thinking), prompt, manner)


def _budget(budget: int, prompt: Prompt, manner: Manner) -> dict[str, Any]:
    """A quarter of a client's limit is left to the answer; where the client sets none, thoughts come on top of ours."""
    limit = prompt.max_tokens or manner.max_tokens + budget
    budget = min(budget, limit * 3 // 4) if prompt.max_tokens else budget
    if budget < MIN_BUDGET:
        return {}
    return {"max_tokens": limit, "thinking": {"type": "enabled", "budget_tokens": budget}}


def _is_forced(prompt: Prompt) -> bool:
    """Whether a tool must be called: older models do not think then, and refuse to be asked to."""
    return prompt.choice in {"required", "tool"} and bool(prompt.tools)


def _goes_on_without_thoughts(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the model goes on after tool calls before which nobody kept what it thought: it may not think then."""
    last = next((message for message in reversed(messages) if message["role"] == "assistant"), {"content": ()})
    kinds = [block["type"] for block in last["content"]]
    return "tool_use" in kinds and kinds[0] not in _THOUGHTS
