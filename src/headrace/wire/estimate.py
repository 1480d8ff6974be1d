"""Token counts where nobody gives any: a guess, always marked as one."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from headrace.model.outcome import Usage
from headrace.wire.json_object import objects

# Scripts in which a character is about a token: CJK with its punctuation, kana, hangul.
_DENSE = re.compile(
    "[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]"
)
_CHARS_PER_TOKEN = 4


def tokens(text: str) -> int:
    """About how many tokens a text has: one for four characters, one for each of a dense script."""
    dense = 0 if text.isascii() else len(_DENSE.findall(text))
    return dense + -(-(len(text) - dense) // _CHARS_PER_TOKEN)


def prompt_tokens(messages: Iterable[Mapping[str, Any]]) -> int:
    """About how many tokens chat messages have; only their text counts."""
    return sum(tokens(content_text(message.get("content"))) for message in messages)


def usage(prompt: int, text: str) -> Usage:
    """An estimated usage: ``prompt`` tokens for this answer's text."""
    return Usage(input=prompt, output=tokens(text), exact=False)


def content_text(content: object) -> str:
    """The text of a message's content: a text, or a list of parts."""
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in objects(content))
    return "".join(text for text in texts if isinstance(text, str))
