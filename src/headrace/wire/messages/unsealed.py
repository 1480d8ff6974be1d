"""A Messages request without the thoughts that its own provider did not sign.

An earlier answer may have come from another provider, in this dialect all the same: its thoughts then bear a seal that
Anthropic's API would refuse, or none.
"""

from typing import Any

from headrace.model.dialect import MESSAGES
from headrace.wire.json_object import objects
from headrace.wire.seal import Seal

#: Where a block of this type has its seal.
_SEALED = {"thinking": "signature", "redacted_thinking": "data"}


def unsealed(body: dict[str, Any]) -> dict[str, Any]:
    """The body itself where there is nothing to leave out, else a copy; a message of which nothing is left goes too."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not any(_is_foreign(block) for message in messages for block in _of(message)):
        return body
    kept = [_without(message) for message in messages]
    return {**body, "messages": [message for message in kept if message is not None]}


def _of(message: object) -> list[dict[str, Any]]:
    """The blocks of what the model said; nobody else has thoughts."""
    is_own = isinstance(message, dict) and message.get("role") == "assistant"
    return objects(message.get("content")) if is_own and isinstance(message, dict) else []


def _without(message: Any) -> Any:  # noqa: ANN401  (any JSON)
    if not any(_is_foreign(block) for block in _of(message)):
        return message
    content = [block for block in message["content"] if not (isinstance(block, dict) and _is_foreign(block))]
    return {**message, "content": content} if content else None


def _is_foreign(block: dict[str, Any]) -> bool:
    place = _SEALED.get(str(block.get("type")))
    if place is None:
        return False
    seal = block.get(place)
    return isinstance(seal, str | None) and (not seal or Seal.parse(seal, MESSAGES).issuer != MESSAGES)
