"""A request of the AI SDK's ``useChat`` as a prompt."""

from typing import Any

from headrace.model.prompt import Prompt


def read(body: dict[str, Any]) -> Prompt:
    """The prompt of a request. Raises RequestError, with the field, for what has no place in a prompt."""
    raise NotImplementedError
