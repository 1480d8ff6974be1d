"""A whole response on its way in: what it says of itself."""

from headrace.errors import UpstreamProtocol
from headrace.wire.facts import Facts, named
from headrace.wire.openai_errors import fault
from headrace.wire.responses.terminal import detail_of, reason_of
from headrace.wire.responses.usage import usage_of

#: What an answer is while it is not one yet. Nobody here asked for that.
_UNDER_WAY = ("queued", "in_progress")


def facts(value: object) -> Facts:
    """What a body says. Raises UpstreamFault for an error, UpstreamProtocol for what is neither."""
    if not isinstance(value, dict):
        raise UpstreamProtocol
    if value.get("error") or value.get("type") == "error" or value.get("status") in ("failed", "cancelled"):
        raise fault(detail_of(value))
    if not isinstance(value.get("output"), list) or value.get("status") in _UNDER_WAY:
        raise UpstreamProtocol
    return Facts(
        id=named(value.get("id")),
        model=named(value.get("model")),
        finish_reason=named(reason_of("", value)),
        usage=usage_of(value.get("usage")),
    )
