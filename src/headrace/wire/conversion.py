"""Requests said in another dialect: a reader for each that clients speak, a writer for each that upstreams speak.

docs/dialects.md has the table of what is carried, dropped and refused; a test holds it to this code.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from headrace.errors import RequestError
from headrace.model.prompt import Prompt


class Manner(NamedTuple):
    """How an upstream wants what its dialect leaves open; part of its profile.

    ``max_tokens_field`` is OpenAI chat's name for the limit of an answer. ``max_tokens`` is said where the client does
    not and the dialect insists (Messages). ``sampling`` is false where temperature, top_p and top_k are refused.
    """

    max_tokens_field: str = "max_completion_tokens"
    max_tokens: int = 8192
    sampling: bool = True


#: What is wanted where nothing is known.
PLAIN = Manner()

#: A client's body to a prompt. Raises RequestError, with ``param``.
Reader = Callable[[dict[str, Any]], Prompt]
#: A prompt to a body without ``model`` and ``stream``. Raises RequestError, with the client's ``param``.
Writer = Callable[[Prompt, Manner], dict[str, Any]]

READERS: Mapping[str, Reader] = {}
WRITERS: Mapping[str, Writer] = {}


def convert(body: dict[str, Any], source: str, target: str, manner: Manner = PLAIN) -> dict[str, Any]:
    """A body in the words of ``target``, without ``model`` and ``stream``. Raises RequestError."""
    if source not in READERS or target not in WRITERS:
        raise RequestError("No upstream of this model speaks this API.")
    return WRITERS[target](READERS[source](body), manner)
