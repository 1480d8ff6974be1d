"""Pieces of an Anthropic Messages stream for tests, and the stock client that reads them."""

import json

import anthropic
import httpx2
from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from headrace.model.outcome import Outcome, State, Usage
from headrace.model.record import Record
from headrace.wire import sse

USAGE = {"input_tokens": 3, "cache_creation_input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 1}
SEARCHES = {"web_search_requests": 1, "web_fetch_requests": 0}
EVENT = TypeAdapter(RawMessageStreamEvent)


def event(type, **fields):
    """An event as compact JSON."""
    text = json.dumps({"type": type, **fields}, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace")  # half a surrogate pair stands in JSON as its escape


def message(*content, **fields):
    """A message object."""
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": list(content)}
    return {**base, "stop_reason": None, "stop_sequence": None, "usage": USAGE, **fields}


def start(**fields):
    """The event that begins a message."""
    return event("message_start", message=message(**fields))


def opened(index, type, **fields):
    """The start of a block."""
    return event("content_block_start", index=index, content_block={"type": type, **fields})


def delta(index, type, **fields):
    """A piece of a block."""
    return event("content_block_delta", index=index, delta={"type": type, **fields})


def closed(index):
    """The end of a block."""
    return event("content_block_stop", index=index)


def ends(reason="end_turn", sequence=None, usage=None, **fields):
    """Why the message stops."""
    why = {"stop_reason": reason, "stop_sequence": sequence, **fields}
    return event("message_delta", delta=why, usage=usage or {"output_tokens": 7})


STOP = event("message_stop")
PING = event("ping")

ANSWER = (
    start(),
    opened(0, "text", text=""),
    delta(0, "text_delta", text="Grüße, "),
    delta(0, "text_delta", text="世界 🌊"),
    closed(0),
    ends(),
    STOP,
)

#: Everything that has an event: thinking, one that is hidden, text and two calls, the second without arguments.
RICH = (
    start(),
    opened(0, "thinking", thinking="", signature=""),
    delta(0, "thinking_delta", thinking="hm, "),
    delta(0, "thinking_delta", thinking="so"),
    delta(0, "signature_delta", signature="c2ln"),
    closed(0),
    opened(1, "redacted_thinking", data="aGlk"),
    closed(1),
    opened(2, "text", text=""),
    delta(2, "text_delta", text="Let me look."),
    closed(2),
    opened(3, "tool_use", id="toolu_1", name="look", input={}),
    delta(3, "input_json_delta", partial_json=""),
    delta(3, "input_json_delta", partial_json='{"at": "Gr'),
    delta(3, "input_json_delta", partial_json='ün"}'),
    closed(3),
    opened(4, "tool_use", id="toolu_2", name="wait", input={}),
    closed(4),
    ends("tool_use"),
    STOP,
)

#: The provider's own tool, its result, and a text with citations: nothing of it but the text has an event.
OWN = (
    start(),
    opened(0, "server_tool_use", id="srvtoolu_1", name="web_search", input={}),
    delta(0, "input_json_delta", partial_json='{"query":"x"}'),
    closed(0),
    opened(1, "web_search_tool_result", tool_use_id="srvtoolu_1", content=[]),
    closed(1),
    opened(2, "text", text="", citations=[]),
    delta(2, "text_delta", text="It is so."),
    delta(
        2,
        "citations_delta",
        citation={
            "type": "web_search_result_location",
            "url": "u",
            "title": "t",
            "encrypted_index": "e",
            "cited_text": "so",
        },
    ),
    closed(2),
    opened(3, "text", text=""),
    delta(3, "text_delta", text=" And so."),
    closed(3),
    ends("end_turn", usage={"output_tokens": 9, "server_tool_use": SEARCHES}),
    STOP,
)


def kind(payload):
    """The type that a payload says."""
    return json.loads(payload)["type"]


def frames(*payloads):
    """Payloads as the frames that a server of this dialect sends."""
    return [sse.Frame(kind(payload), payload, "") for payload in payloads]


def records(*payloads):
    """Payloads as records."""
    return [Record(kind(payload), payload) for payload in payloads]


def stream(made):
    """Records as the bytes of a body."""
    return b"".join(sse.encode(*record) for record in made)


def outcome(state=State.COMPLETED, reason="stop", **fields):
    """An outcome at a fixed time."""
    return Outcome(state=state, reason=reason, ended_at=100.0, **fields)


COMPLETED = outcome(usage=Usage(input=6, output=7, cached=2))


def read_by_sdk(made):
    """What the stock client makes of records: the final message, having seen that each event is of a known type."""
    for name, data in made:
        if name != "error":
            assert EVENT.validate_json(data, strict=True).type == name
    reply = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream(made))
    transport = httpx2.MockTransport(lambda _: reply)
    client = anthropic.Anthropic(
        api_key="k", base_url="http://test", max_retries=0, http_client=httpx2.Client(transport=transport)
    )
    with client, client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]) as told:
        return told.get_final_message()
