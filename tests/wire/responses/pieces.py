"""Pieces of an OpenAI Responses stream for tests."""

import json

from openai import omit
from openai._models import construct_type
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from headrace.model.outcome import Outcome, State, Usage
from headrace.model.record import Record
from headrace.wire import sse

EVENT = TypeAdapter(ResponseStreamEvent)

USAGE = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 5,
}
USED = Usage(input=3, output=2, cached=1, reasoning=1)


def compact(value):
    """A value as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")


def response(*output, status="in_progress", **fields):
    """A response object."""
    base = {"id": "resp_u", "object": "response", "created_at": 17, "model": "m", "status": status}
    defaults = {"error": None, "incomplete_details": None, "parallel_tool_calls": True, "tool_choice": "auto"}
    return {**base, **defaults, "tools": [], "output": list(output), "usage": None, **fields}


def event(type, **fields):
    """An event, not yet numbered."""
    return {"type": type, **fields}


def numbered(*told):
    """Events as payloads with their sequence numbers."""
    return tuple(compact({**each, "sequence_number": n}) for n, each in enumerate(told))


def frames(*payloads):
    """Payloads as frames with their names."""
    return [sse.Frame(json.loads(payload).get("type", ""), payload, "") for payload in payloads]


def records(*payloads):
    """Payloads as records with their names."""
    return [Record(json.loads(payload).get("type", ""), payload) for payload in payloads]


def stream(*payloads):
    """Payloads as the bytes of a body."""
    return b"".join(sse.encode(json.loads(payload).get("type", ""), payload) for payload in payloads)


def added(index, item):
    """An item begins."""
    return event("response.output_item.added", output_index=index, item=item)


def done(index, item):
    """An item is complete."""
    return event("response.output_item.done", output_index=index, item=item)


def message(text="", id="msg_1", status="completed", **part):
    """A message with one text, or none."""
    content = [{"type": "output_text", "text": text, "annotations": [], **part}] if text else []
    return {"id": id, "type": "message", "role": "assistant", "status": status, "content": content}


def call(arguments="", id="fc_1", call_id="call_1", name="f", status="completed"):
    """A function call."""
    named = {"call_id": call_id, "name": name}
    return {"id": id, "type": "function_call", "status": status, "arguments": arguments, **named}


def text(kind, index, id="msg_1", place="content_index", **fields):
    """An event of a text."""
    return event(f"response.{kind}", item_id=id, output_index=index, **{place: 0}, **fields)


def thought(*summary, id="rs_1", **fields):
    """A reasoning item."""
    return {"id": id, "type": "reasoning", "summary": [{"type": "summary_text", "text": t} for t in summary], **fields}


CREATED = event("response.created", response=response())
MESSAGE = message("Grüße, 世界 🌊")
BEGUN = (
    CREATED,
    event("response.in_progress", response=response()),
    added(0, message(status="in_progress")),
    text("content_part.added", 0, part={"type": "output_text", "text": "", "annotations": []}),
    text("output_text.delta", 0, delta="Grüße, ", logprobs=[]),
    text("output_text.delta", 0, delta="世界 🌊", logprobs=[]),
)
ENDED = (
    text("output_text.done", 0, text="Grüße, 世界 🌊", logprobs=[]),
    text("content_part.done", 0, part=MESSAGE["content"][0]),
    done(0, MESSAGE),
    event("response.completed", response=response(MESSAGE, status="completed", usage=USAGE)),
)
ANSWER = numbered(*BEGUN, *ENDED)


def calls(*made):
    """A whole answer that calls functions; their arguments come in pieces of three characters."""
    told = [CREATED]
    for index, item in enumerate(made):
        told.append(added(index, {**item, "arguments": "", "status": "in_progress"}))
        arguments = item["arguments"]
        pieces = [arguments[at : at + 3] for at in range(0, len(arguments), 3)]
        told += [_arguments("delta", index, item, delta=piece) for piece in pieces]
        told += [_arguments("done", index, item, arguments=arguments), done(index, item)]
    return numbered(*told, event("response.completed", response=response(*made, status="completed", usage=USAGE)))


def _arguments(what, index, item, **fields):
    return event(f"response.function_call_arguments.{what}", item_id=item["id"], output_index=index, **fields)


def final(values):
    """The response that the SDK's helper puts together; it raises where the events do not fit each other."""
    state = ResponseStreamState(input_tools=omit, text_format=omit)
    for value in values:
        state.handle_event(construct_type(type_=ResponseStreamEvent, value=value))
    return state._completed_response


def outcome(state=State.COMPLETED, reason="stop", **fields):
    """An outcome at a fixed time."""
    return Outcome(state=state, reason=reason, ended_at=100.0, **fields)


COMPLETED = outcome()
CANCELLED = outcome(State.CANCELLED, "cancelled")
FAILED = outcome(State.FAILED, "upstream_stalled")
