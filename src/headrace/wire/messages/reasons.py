"""Why an answer ended, in the words of the Anthropic Messages dialect and in the canonical ones."""

_CANONICAL = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}
_OWN = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def canonical(stop_reason: str) -> str:
    """The canonical word for a ``stop_reason``; one that has none stays as it is."""
    return _CANONICAL.get(stop_reason, stop_reason)


def stop_reason(canonical: str, *, stop_sequence: str = "", called: bool = False, refused: bool = False) -> str:
    """The ``stop_reason`` for a canonical word; one that nobody knows stays as it is.

    ``called`` says whether tools were called. Some servers end that with an ordinary ``stop`` (OpenAI where it was told
    which one to call); clients of this dialect only run tools after ``tool_use``. ``refused`` says whether the text is
    a refusal, for which OpenAI has no reason of its own either.
    """
    if canonical == "stop" and called:
        return "tool_use"
    if canonical == "stop" and refused:
        return "refusal"
    if canonical == "stop" and stop_sequence:
        return "stop_sequence"
    return _OWN.get(canonical, canonical)
