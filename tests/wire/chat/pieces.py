"""Pieces of an OpenAI chat stream for tests."""

import json

from headrace.model.outcome import Outcome, State, Usage
from headrace.model.record import Record
from headrace.wire import sse

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(*choices, **fields):
    """A chunk as compact JSON."""
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 17, "model": "m"}
    text = json.dumps({**base, "choices": list(choices), **fields}, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace")  # half a surrogate pair stands in JSON as its escape


def piece(index=0, finish_reason=None, **delta):
    """One choice of a chunk."""
    return {"index": index, "delta": delta, "finish_reason": finish_reason}


def frames(*payloads):
    """Payloads as unnamed frames."""
    return [sse.Frame("", payload, "") for payload in payloads]


def records(*payloads):
    """Payloads as unnamed records."""
    return [Record("", payload) for payload in payloads]


def stream(*payloads):
    """Payloads as the bytes of a body."""
    return b"".join(sse.encode("", payload) for payload in payloads)


ANSWER = (
    chunk(piece(role="assistant", content="")),
    chunk(piece(content="Grüße, ")),
    chunk(piece(content="世界 🌊")),
    chunk(piece(finish_reason="stop")),
)


def outcome(state=State.COMPLETED, reason="stop", **fields):
    """An outcome at a fixed time."""
    return Outcome(state=state, reason=reason, ended_at=100.0, **fields)


COMPLETED = outcome(usage=Usage(input=3, output=2))
