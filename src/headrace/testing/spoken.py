"""One answer as providers of each dialect say it: the bytes of their streams and their whole bodies.

Written out by hand after the vendors' own descriptions, and not with the encoders of :mod:`headrace.wire`, so that a
test over it shows where these are wrong. ``spoken(dialect, answer)`` gives an answer's frames, ``whole_body`` its JSON,
``fault`` an error in the middle of a stream and ``refusal_body`` that of a request.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from headrace.model.dialect import CHAT, MESSAGES, RESPONSES

#: The dialects that providers speak.
UPSTREAMS = (CHAT, RESPONSES, MESSAGES)

#: Where a provider of each is asked, below its base URL.
PATHS = {"/chat/completions": CHAT, "/responses": RESPONSES, "/messages": MESSAGES}

_CHAT_WORDS = {"refusal": "stop"}
_MESSAGES_WORDS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}

Block = tuple[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Use:
    """A tool call, its arguments in pieces."""

    id: str
    name: str
    arguments: Sequence[str]

    @property
    def whole(self) -> str:
        """The arguments."""
        return "".join(self.arguments)


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a model says. ``finish`` is a canonical reason; ``seal`` stands over the reasoning.

    ``input`` and ``output`` count tokens; ``cached`` and ``thought`` are parts of them.
    """

    reasoning: Sequence[str] = ()
    seal: str = ""
    texts: Sequence[str] = ()
    refusal: Sequence[str] = ()
    calls: Sequence[Use] = ()
    finish: str = "stop"
    input: int = 11
    cached: int = 3
    output: int = 7
    thought: int = 2
    model: str = "m-1"

    @property
    def text(self) -> str:
        """All of the text."""
        return "".join(self.texts)


def dialect_at(target: str) -> str:
    """The dialect that a request's target is in. Raises KeyError."""
    path = target.partition("?")[0]
    return next(dialect for end, dialect in PATHS.items() if path.endswith(end))


def spoken(dialect: str, said: Said) -> list[bytes]:
    """The frames of a streamed answer, each with its blank line; the last are the dialect's own end."""
    if dialect == CHAT:
        return [_frame("", chunk) for chunk in _chat(said)] + [b"data: [DONE]\n\n"]
    blocks = _responses(said) if dialect == RESPONSES else _messages(said)
    return [_frame(event, {"type": event, **fields}) for event, fields in blocks]


def whole_body(dialect: str, said: Said) -> bytes:
    """The answer to a request that is not streamed."""
    if dialect == CHAT:
        value = _completion(said)
    elif dialect == RESPONSES:
        value = _response(said, "completed" if said.finish not in _INCOMPLETE else "incomplete", _items(said))
    else:
        value = _message(said, _content(said), said.finish)
    return msgspec.json.encode(value)


def fault(dialect: str, message: str = "Overloaded", code: str = "overloaded") -> bytes:
    """An error in the middle of a stream."""
    if dialect == CHAT:
        return _frame("", {"error": {"message": message, "type": "server_error", "code": code, "param": None}})
    if dialect == RESPONSES:
        error = {"code": code, "message": message}
        failed = {**_response(Said(), "failed", []), "error": error}
        return _frame("response.failed", {"type": "response.failed", "sequence_number": 99, "response": failed})
    return _frame("error", {"type": "error", "error": {"type": f"{code}_error", "message": message}})


def refusal_body(dialect: str, message: str = "No", code: str = "bad_thing", param: str | None = None) -> bytes:
    """The body of an error that a provider answers a request with."""
    if dialect == MESSAGES:
        error: dict[str, Any] = {"type": "invalid_request_error", "message": message}
        return msgspec.json.encode({"type": "error", "error": error, "request_id": "req_1"})
    error = {"message": message, "type": "invalid_request_error", "code": code, "param": param}
    return msgspec.json.encode({"error": error})


def _frame(event: str, value: dict[str, Any]) -> bytes:
    name = b"event: %b\n" % event.encode() if event else b""
    return name + b"data: %b\n\n" % msgspec.json.encode(value)


# -- OpenAI chat -----------------------------------------------------------------------------------------------------


def _chat(said: Said) -> Iterator[dict[str, Any]]:
    head = {"id": "chatcmpl-spoken", "object": "chat.completion.chunk", "created": 1795000000, "model": said.model}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]}

    yield chunk({"role": "assistant", "content": ""})
    yield from (chunk({"reasoning_content": text}) for text in said.reasoning)
    yield from (chunk({"content": text}) for text in said.texts)
    yield from (chunk({"refusal": text}) for text in said.refusal)
    for index, call in enumerate(said.calls):
        named = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield chunk({"tool_calls": [{"index": index, **named}]})
        for piece in call.arguments:
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, _CHAT_WORDS.get(said.finish, said.finish))
    yield {**head, "choices": [], "usage": _chat_usage(said)}


def _completion(said: Said) -> dict[str, Any]:
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.whole}}
        for call in said.calls
    ]
    message: dict[str, Any] = {"role": "assistant", "content": said.text or None}
    message |= {"refusal": "".join(said.refusal) or None}
    message |= {"reasoning_content": "".join(said.reasoning)} if said.reasoning else {}
    message |= {"tool_calls": calls} if calls else {}
    finish = _CHAT_WORDS.get(said.finish, said.finish)
    return {
        "id": "chatcmpl-spoken",
        "object": "chat.completion",
        "created": 1795000000,
        "model": said.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": _chat_usage(said),
    }


def _chat_usage(said: Said) -> dict[str, Any]:
    return {
        "prompt_tokens": said.input,
        "completion_tokens": said.output,
        "total_tokens": said.input + said.output,
        "prompt_tokens_details": {"cached_tokens": said.cached},
        "completion_tokens_details": {"reasoning_tokens": said.thought},
    }


# -- OpenAI Responses ------------------------------------------------------------------------------------------------

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def _response(said: Said, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    ended = status in {"completed", "incomplete"}
    usage = {
        "input_tokens": said.input,
        "input_tokens_details": {"cached_tokens": said.cached, "cache_write_tokens": 0},
        "output_tokens": said.output,
        "output_tokens_details": {"reasoning_tokens": said.thought},
        "total_tokens": said.input + said.output,
    }
    return {
        "id": "resp_spoken",
        "object": "response",
        "created_at": 1795000000,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": _INCOMPLETE[said.finish]} if status == "incomplete" else None,
        "instructions": None,
        "max_output_tokens": None,
        "model": said.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage if ended else None,
        "user": None,
        "metadata": {},
    }


def _items(said: Said) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if said.reasoning or said.seal:
        summary = [{"type": "summary_text", "text": "".join(said.reasoning)}] if said.reasoning else []
        items.append({"type": "reasoning", "id": "rs_0", "summary": summary, "encrypted_content": said.seal or None})
    content: list[dict[str, Any]] = []
    if said.texts:
        content.append({"type": "output_text", "text": said.text, "annotations": [], "logprobs": []})
    if said.refusal:
        content.append({"type": "refusal", "refusal": "".join(said.refusal)})
    if content:
        items.append({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": content})
    for number, call in enumerate(said.calls):
        fields = {"id": f"fc_{number}", "call_id": call.id, "name": call.name, "arguments": call.whole}
        items.append({"type": "function_call", "status": "completed", **fields})
    return items


def _responses(said: Said) -> list[Block]:
    items = _items(said)
    blocks: list[Block] = [
        ("response.created", {"response": _response(said, "in_progress", [])}),
        ("response.in_progress", {"response": _response(said, "in_progress", [])}),
    ]
    calls = iter(said.calls)
    for index, item in enumerate(items):
        blocks += _item_blocks(said, index, item, calls)
    status = "incomplete" if said.finish in _INCOMPLETE else "completed"
    blocks.append((f"response.{status}", {"response": _response(said, status, items)}))
    return [(event, {"sequence_number": number, **fields}) for number, (event, fields) in enumerate(blocks)]


def _item_blocks(said: Said, index: int, item: dict[str, Any], calls: Iterator[Use]) -> list[Block]:
    opened = {**item, "status": "in_progress"} if "status" in item else dict(item)
    blocks: list[Block] = []
    place = {"item_id": item["id"], "output_index": index}
    if item["type"] == "reasoning":
        opened |= {"summary": [], "encrypted_content": None}
        blocks += _summary(said, place) if said.reasoning else []
    elif item["type"] == "message":
        opened["content"] = []
        blocks += _parts(said, place)
    else:
        opened["arguments"] = ""
        call = next(calls)
        event = "response.function_call_arguments"
        blocks += [(f"{event}.delta", {**place, "delta": piece, "obfuscation": "x"}) for piece in call.arguments]
        blocks.append((f"{event}.done", {**place, "name": call.name, "arguments": call.whole}))
    added = ("response.output_item.added", {"output_index": index, "item": opened})
    done = ("response.output_item.done", {"output_index": index, "item": item})
    return [added, *blocks, done]


def _summary(said: Said, place: dict[str, Any]) -> list[Block]:
    place = {**place, "summary_index": 0}
    text = "".join(said.reasoning)
    event = "response.reasoning_summary"
    return [
        (f"{event}_part.added", {**place, "part": {"type": "summary_text", "text": ""}}),
        *((f"{event}_text.delta", {**place, "delta": piece}) for piece in said.reasoning),
        (f"{event}_text.done", {**place, "text": text}),
        (f"{event}_part.done", {**place, "part": {"type": "summary_text", "text": text}}),
    ]


def _parts(said: Said, place: dict[str, Any]) -> list[Block]:
    blocks: list[Block] = []
    if said.texts:
        at = {**place, "content_index": 0}
        empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        blocks += [("response.content_part.added", {**at, "part": empty})]
        blocks += [("response.output_text.delta", {**at, "delta": piece, "logprobs": []}) for piece in said.texts]
        blocks += [("response.output_text.done", {**at, "text": said.text, "logprobs": []})]
        blocks += [("response.content_part.done", {**at, "part": {**empty, "text": said.text}})]
    if said.refusal:
        at = {**place, "content_index": int(bool(said.texts))}
        text = "".join(said.refusal)
        blocks += [("response.content_part.added", {**at, "part": {"type": "refusal", "refusal": ""}})]
        blocks += [("response.refusal.delta", {**at, "delta": piece}) for piece in said.refusal]
        blocks += [("response.refusal.done", {**at, "refusal": text})]
        blocks += [("response.content_part.done", {**at, "part": {"type": "refusal", "refusal": text}})]
    return blocks


# -- Anthropic Messages ----------------------------------------------------------------------------------------------


def _message(said: Said, content: list[dict[str, Any]], finish: str | None) -> dict[str, Any]:
    usage = {
        "input_tokens": said.input - said.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": said.cached,
        "output_tokens": said.output if finish else 1,
        "service_tier": "standard",
    }
    return {
        "id": "msg_spoken",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": content,
        "stop_reason": _MESSAGES_WORDS.get(finish, finish) if finish else None,
        "stop_sequence": None,
        "usage": usage,
    }


def _content(said: Said) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    if said.reasoning:
        content.append({"type": "thinking", "thinking": "".join(said.reasoning), "signature": said.seal})
    elif said.seal:
        content.append({"type": "redacted_thinking", "data": said.seal})
    if said.texts or said.refusal:
        content.append({"type": "text", "text": said.text + "".join(said.refusal), "citations": None})
    for call in said.calls:
        input = msgspec.json.decode(call.whole or "{}")
        content.append({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
    return content


def _messages(said: Said) -> list[Block]:
    blocks: list[Block] = [("message_start", {"message": _message(said, [], None)}), ("ping", {})]
    calls = iter(said.calls)
    for index, block in enumerate(_content(said)):
        blocks += _content_blocks(said, index, block, calls)
    delta = {"stop_reason": _MESSAGES_WORDS.get(said.finish, said.finish), "stop_sequence": None}
    usage = {
        "input_tokens": said.input - said.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": said.cached,
        "output_tokens": said.output,
    }
    return [*blocks, ("message_delta", {"delta": delta, "usage": usage}), ("message_stop", {})]


def _content_blocks(said: Said, index: int, block: dict[str, Any], calls: Iterator[Use]) -> list[Block]:
    deltas: list[dict[str, Any]] = []
    opened = dict(block)
    if block["type"] == "thinking":
        opened |= {"thinking": "", "signature": ""}
        deltas += [{"type": "thinking_delta", "thinking": piece} for piece in said.reasoning]
        deltas += [{"type": "signature_delta", "signature": said.seal}] if said.seal else []
    elif block["type"] == "text":
        opened["text"] = ""
        deltas += [{"type": "text_delta", "text": piece} for piece in (*said.texts, *said.refusal)]
    elif block["type"] == "tool_use":
        opened["input"] = {}
        pieces = ["", *next(calls).arguments]
        deltas += [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return [
        ("content_block_start", {"index": index, "content_block": opened}),
        *(("content_block_delta", {"index": index, "delta": delta}) for delta in deltas),
        ("content_block_stop", {"index": index}),
    ]
