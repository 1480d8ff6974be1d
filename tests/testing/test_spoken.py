"""What the spoken answers are worth: the vendors' own types understand them."""

import json

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from headrace.model.dialect import CHAT, MESSAGES, RESPONSES
from headrace.testing.spoken import UPSTREAMS, Said, Use, dialect_at, spoken, whole_body
from headrace.wire.sse import Decoder

WHOLE = {CHAT: ChatCompletion, RESPONSES: Response, MESSAGES: Message}
EVENT = {
    CHAT: TypeAdapter(ChatCompletionChunk),
    RESPONSES: TypeAdapter(ResponseStreamEvent),
    MESSAGES: TypeAdapter(RawMessageStreamEvent),
}
CALLS = (Use(id="c1", name="f", arguments=('{"a"', ":1}")), Use(id="c2", name="g", arguments=()))
ANSWERS = {
    "everything": Said(reasoning=("hm", "."), seal="SIG", texts=("He", "llo"), calls=CALLS, finish="tool_calls"),
    "refusal": Said(refusal=("No", "."), finish="refusal"),
    "length": Said(texts=("x",), finish="length"),
}


@pytest.mark.parametrize("dialect", UPSTREAMS)
@pytest.mark.parametrize("said", ANSWERS.values(), ids=ANSWERS)
def test_the_vendors_types_take_what_is_spoken(dialect, said):
    """Every frame and the whole body; a ping is not among Anthropic's types."""
    WHOLE[dialect].model_validate_json(whole_body(dialect, said))
    frames = Decoder().feed(b"".join(spoken(dialect, said)))
    payloads = [frame.data for frame in frames if frame.event != "ping" and frame.data != b"[DONE]"]
    assert len(payloads) >= 4
    for payload in payloads:
        EVENT[dialect].validate_json(payload)
        assert dialect == CHAT or json.loads(payload)["type"]


def test_the_dialect_is_known_by_where_is_asked():
    assert dialect_at("/v1/messages?beta=true") == MESSAGES
    assert dialect_at("/openai/v1/responses") == RESPONSES
