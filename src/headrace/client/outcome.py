"""How an answer ended, as its reader is told."""

import msgspec

from headrace.errors import ErrorDetail
from headrace.model.outcome import State, Usage

#: Codes that are states of their own. Everything else that is no completion is a failure.
_STATES = {"cancelled": State.CANCELLED, "interrupted": State.INTERRUPTED}


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last that an answer says. Only ``State.COMPLETED`` means that it is whole.

    ``reason`` is the finish reason of a completed answer (``stop``, ``length``, ``tool_calls`` …), of any other a code
    (docs/errors.md). ``message`` says the same to people, and is empty for a completed one. ``usage`` is None where
    nobody knows it, which is not zero.
    """

    state: State
    reason: str
    message: str = ""
    usage: Usage | None = None

    @property
    def completed(self) -> bool:
        """Whether the answer is whole."""
        return self.state is State.COMPLETED


#: What there is to say of an answer whose end was not waited for.
LEFT = Outcome(state=State.OPEN, reason="left", message="The answer was left before its end.")


def of_error(detail: ErrorDetail, usage: Usage | None = None) -> Outcome:
    """What an error in place of the end tells."""
    state = _STATES.get(detail.code, State.FAILED)
    message = detail.message or "The answer ended early, and nothing tells why."
    return Outcome(state=state, reason=detail.code or "internal", message=message, usage=usage)
