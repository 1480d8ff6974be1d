"""How an upstream wants what its dialect leaves open."""

from typing import Literal, NamedTuple


class Manner(NamedTuple):
    """Part of an upstream's profile, for the writers of requests.

    ``max_tokens_field`` is OpenAI chat's name for the limit of an answer. ``max_tokens`` is said where the client does
    not and the dialect insists (Messages). ``sampling`` is false where temperature, top_p and top_k are refused.
    ``thinking`` is how a model is told to reason: by an effort, by a budget in tokens (Claude before 4.6), not at all.
    """

    max_tokens_field: str = "max_completion_tokens"
    max_tokens: int = 8192
    sampling: bool = True
    thinking: Literal["effort", "budget", ""] = "effort"


#: What is wanted where nothing is known.
PLAIN = Manner()
