"""A whole message on its way in: what it says of itself."""

from headrace.errors import UpstreamProtocol
from headrace.wire.facts import Facts, named
from headrace.wire.messages.reasons import canonical
from headrace.wire.messages.usage import usage_of
from headrace.wire.openai_errors import fault, scrub_value


def facts(value: object) -> Facts:
    """What a body says. Raises UpstreamFault for an error, UpstreamProtocol for what is neither."""
    if not isinstance(value, dict):
        raise UpstreamProtocol
    if value.get("type") == "error" or value.get("error"):
        raise fault(scrub_value(value))
    if not isinstance(value.get("content"), list):
        raise UpstreamProtocol
    return Facts(
        id=named(value.get("id")),
        model=named(value.get("model")),
        finish_reason=canonical(named(value.get("stop_reason"))),
        usage=usage_of(value.get("usage")),
    )
