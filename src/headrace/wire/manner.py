"""How an upstream wants what its dialect leaves open."""

from typing import NamedTuple


class Manner(NamedTuple):
    """Part of an upstream's profile, for the writers of requests.

    ``max_tokens_field`` is OpenAI chat's name for the limit of an answer. ``max_tokens`` is said where the client does
    not and the dialect insists (Messages). ``sampling`` is false where temperature, top_p and top_k are refused.
    """

    max_tokens_field: str = "max_completion_tokens"
    max_tokens: int = 8192
    sampling: bool = True


#: What is wanted where nothing is known.
PLAIN = Manner()
