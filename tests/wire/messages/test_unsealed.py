"""Thoughts of other providers do not go to Anthropic's."""

import pytest

from headrace.model.dialect import MESSAGES, RESPONSES
from headrace.wire.conversion import own
from headrace.wire.messages.unsealed import unsealed
from headrace.wire.seal import Seal

FOREIGN = str(Seal(RESPONSES, "enc", id="rs_1"))
OWN = {"type": "thinking", "thinking": "a", "signature": "sig"}
TEXT = {"type": "text", "text": "t"}


def body(*content, role="assistant"):
    return {"max_tokens": 1, "messages": [{"role": "user", "content": "hi"}, {"role": role, "content": list(content)}]}


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "a", "signature": FOREIGN},
        {"type": "thinking", "thinking": "a", "signature": ""},
        {"type": "thinking", "thinking": "a"},
        {"type": "redacted_thinking", "data": str(Seal("ui", "x", hidden=True))},
    ],
)
def test_a_thought_that_anthropic_did_not_sign_is_left_out(block):
    """The rest of the message stays; a message of it alone goes, for one without content is refused."""
    assert own(body(block, OWN, TEXT), MESSAGES) == body(OWN, TEXT)
    assert len(unsealed(body(block))["messages"]) == 1


@pytest.mark.parametrize(
    "sent",
    [
        body(OWN, {"type": "redacted_thinking", "data": "opaque"}, TEXT),
        body({"type": "thinking", "thinking": "a", "signature": FOREIGN}, role="user"),
        {"messages": ["x", None, {"role": "assistant", "content": ["y", 1, {"type": 3}]}]},
        {"messages": [{"role": "assistant", "content": [{"type": "thinking", "signature": 7}]}]},
        {"messages": "hi"},
    ],
)
def test_everything_else_is_the_very_same_body(sent):
    """Also what is no request at all: the provider says so."""
    assert own(sent, MESSAGES) is sent
