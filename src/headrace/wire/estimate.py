"""Token counts where nobody gives any: a guess, always marked as one."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from headrace.model.outcome import Usage
from headrace.wire.json_object import encode, objects

# Scripts in which a character is about a token: CJK with its punctuation, kana, hangul.
_DENSE = re.compile(
    "[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]"
)
_CHARS_PER_TOKEN = 4
#: About what an image costs, and a file that nobody here looks into.
_MEDIUM = 1500


def tokens(text: str) -> int:
    """About how many tokens a text has: one for four characters, one for each of a dense script."""
    dense = 0 if text.isascii() else len(_DENSE.findall(text))
    return dense + -(-(len(text) - dense) // _CHARS_PER_TOKEN)


def prompt_tokens(messages: Iterable[Mapping[str, Any]]) -> int:
    """About how many tokens chat messages have; only their text counts."""
    return sum(tokens(content_text(message.get("content"))) for message in messages)


def message_tokens(body: Mapping[str, Any]) -> int:
    """About how many tokens a request of Anthropic Messages has: its system prompt, its messages and its tools."""
    contents = [body.get("system"), *(message.get("content") for message in objects(body.get("messages")))]
    tools = body.get("tools")
    return sum(map(_block_tokens, contents)) + (_json_tokens(tools) if tools else 0)


def usage(prompt: int, text: str) -> Usage:
    """An estimated usage: ``prompt`` tokens for this answer's text."""
    return Usage(input=prompt, output=tokens(text), exact=False)


def content_text(content: object) -> str:
    """The text of a message's content: a text, or a list of parts."""
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in objects(content))
    return "".join(text for text in texts if isinstance(text, str))


def _block_tokens(content: object) -> int:
    """A text, or a list of blocks, some of which hold others. Requests nest no deeper than is good."""
    if isinstance(content, str):
        return tokens(content)
    return sum(map(_tokens_of, objects(content)))


def _tokens_of(block: Mapping[str, Any]) -> int:
    source = block.get("source")
    if isinstance(source, dict):
        return _source_tokens(source)
    texts = (text for name in ("text", "thinking") if isinstance(text := block.get(name), str))
    used = _json_tokens(block["input"]) if block.get("input") else 0
    return sum(map(tokens, texts)) + used + _block_tokens(block.get("content"))


def _source_tokens(source: Mapping[str, Any]) -> int:
    """An image, or a document, which may be text."""
    if source.get("type") == "text" and isinstance(source.get("data"), str):
        return tokens(source["data"])
    return _block_tokens(source.get("content")) if source.get("type") == "content" else _MEDIUM


def _json_tokens(value: object) -> int:
    return tokens(encode(value).decode())
