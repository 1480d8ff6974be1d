"""A whole chat completion on its way in: what it says of itself."""

from headrace.errors import UpstreamProtocol
from headrace.wire.chat.usage import usage_of
from headrace.wire.facts import Facts, named
from headrace.wire.openai_errors import fault, scrub_value


def facts(value: object) -> Facts:
    """What a body says. Raises UpstreamFault for an error, UpstreamProtocol for what is neither."""
    if not isinstance(value, dict):
        raise UpstreamProtocol
    choices = value.get("choices")
    if value.get("error") or not isinstance(choices, list):
        detail = scrub_value(value)
        raise fault(detail) if detail.message or detail.code or value.get("error") else UpstreamProtocol
    reasons = [choice.get("finish_reason") for choice in choices if isinstance(choice, dict)]
    return Facts(
        id=named(value.get("id")),
        model=named(value.get("model")),
        finish_reason=named(reasons[0]) if reasons else "",
        usage=usage_of(value.get("usage")),
    )
