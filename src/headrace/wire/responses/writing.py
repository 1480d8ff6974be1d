"""A prompt as a request in the OpenAI Responses dialect."""

from typing import Any

from headrace.model.prompt import Prompt
from headrace.wire.manner import Manner


def write(prompt: Prompt, manner: Manner) -> dict[str, Any]:
    """The request's body, without ``model`` and ``stream``. Raises RequestError, with the client's own field."""
    raise NotImplementedError
