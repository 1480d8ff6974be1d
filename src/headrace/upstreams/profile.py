"""What is peculiar to a server that speaks OpenAI's API, as data.

Most of what servers do differently needs no word here, because the intake and the decoder take it from any of them:
usage on the chunk that finishes, tool calls without an index, reasoning under either name, another model's name, a
first chunk without choices.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from headrace.model.dialect import CHAT, RESPONSES
from headrace.wire.manner import Manner


class Profile(NamedTuple):
    """One kind of server.

    ``apis`` are the dialects it speaks; a call in another is converted to the first. ``usage_option`` is false for a
    server that refuses ``stream_options``, ``done_marker`` false for one that ends without ``[DONE]``. ``names`` finds
    the names of its maker's own models, as they are before it has told any; ``reasoning`` those of the models that may
    be told how much to reason, where others refuse to be (empty: all).
    """

    apis: tuple[str, ...] = (CHAT,)
    usage_option: bool = True
    done_marker: bool = True
    manner: Manner = Manner(max_tokens_field="max_tokens")
    hosts: tuple[str, ...] = ()
    names: str = ""
    reasoning: str = ""

    def manner_for(self, model: str) -> Manner:
        """How a request for a model is written."""
        able = not self.reasoning or re.match(self.reasoning, model) is not None
        return self.manner if able else self.manner._replace(thinking="")

    def likely(self, model: str) -> bool:
        """Whether a name looks like one of its maker's."""
        return bool(self.names) and re.match(self.names, model) is not None


#: Any server that nothing is known of: the oldest words, which all of them know.
COMPATIBLE = Profile()

_NEW_LIMIT = Manner(max_tokens_field="max_completion_tokens")
_MISTRAL_NAMES = r"(open-)?(mistral|ministral|mixtral|codestral|devstral|magistral|pixtral)-"
_OPENAI_NAMES = r"(ft:)?(gpt-|chatgpt-|o\d|codex-|text-embedding-|dall-e-|tts-|whisper-|omni-moderation-|sora-)"

#: By their names in the configuration. Those with ``hosts`` are chosen by themselves; local servers have no host.
PROFILES: Mapping[str, Profile] = {
    # Reasoning models take the newer name of the limit alone, the others both.
    "openai": Profile(
        apis=(CHAT, RESPONSES),
        manner=_NEW_LIMIT,
        hosts=("api.openai.com",),
        names=_OPENAI_NAMES,
        reasoning=r"(ft:)?(o\d|codex-|gpt-oss|gpt-([5-9]|\d\d)(?!.*-chat))",
    ),
    "compatible": COMPATIBLE,
    "azure": Profile(manner=_NEW_LIMIT),
    "deepseek": Profile(hosts=("api.deepseek.com",), names="deepseek-"),
    "gemini": Profile(hosts=("generativelanguage.googleapis.com",), names="(models/)?gemini-"),
    # max_tokens is its older name there.
    "groq": Profile(manner=_NEW_LIMIT, hosts=("api.groq.com",)),
    "llama.cpp": COMPATIBLE,
    "lmstudio": COMPATIBLE,
    # It forbids what it does not know: stream_options and max_completion_tokens among it. Usage comes unasked.
    "mistral": Profile(
        usage_option=False,
        manner=Manner(max_tokens_field="max_tokens", thinking=""),
        hosts=("api.mistral.ai",),
        names=_MISTRAL_NAMES,
    ),
    "ollama": COMPATIBLE,
    "openrouter": Profile(hosts=("openrouter.ai",)),
    "vllm": COMPATIBLE,
}


def profile_of(base_url: str) -> Profile:
    """The profile of the server at an address."""
    host = urlsplit(base_url).hostname or ""
    return next((profile for profile in PROFILES.values() if host in profile.hosts), COMPATIBLE)
