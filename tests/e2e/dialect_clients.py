"""The stock Python clients of three dialects, and a reader of the fourth: what each makes of an answer, in one form."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import anthropic
import openai
import requests
from tests.e2e.dialect_house import PIXEL, SCHEMA

from headrace.wire.sse import Decoder

SECONDS = 15.0
KEY = "sk-client"


@dataclass
class Seen:
    """What a client has made of an answer. ``said`` is text and refusal; ``finish`` is in the client's own word."""

    said: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    finish: str = ""
    usage: tuple[int, int] | None = None
    error: str = ""
    status: int = 0
    id: str = ""
    stream: str = ""


Client = Callable[..., Seen]


@cache  # a client that is let go with a connection in its pool warns of it
def openai_client(url: str) -> openai.OpenAI:
    """The stock client."""
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=SECONDS)


@cache
def anthropic_client(url: str) -> anthropic.Anthropic:
    """The stock client."""
    return anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0, timeout=SECONDS)


# -- what is asked ---------------------------------------------------------------------------------------------------


def chat_request(asks: str) -> dict[str, Any]:
    """A chat request."""
    content: Any = "hi"
    more: dict[str, Any] = {}
    if asks == "image":
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
        content = [{"type": "text", "text": "hi"}, image]
    elif asks == "tools":
        function = {"description": "d", "parameters": SCHEMA}
        more["tools"] = [{"type": "function", "function": {"name": name, **function}} for name in ("weather", "time")]
    elif asks == "schema":
        more["response_format"] = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}
    elif asks == "thinking":
        more["reasoning_effort"] = "high"
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]
    return {"messages": messages, **more}


def responses_request(asks: str) -> dict[str, Any]:
    """A Responses request."""
    content: Any = "hi"
    more: dict[str, Any] = {}
    if asks == "image":
        image = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PIXEL}"}
        content = [{"type": "input_text", "text": "hi"}, image]
    elif asks == "tools":
        function = {"description": "d", "parameters": SCHEMA, "strict": True}
        more["tools"] = [{"type": "function", "name": name, **function} for name in ("weather", "time")]
    elif asks == "schema":
        more["text"] = {"format": {"type": "json_schema", "name": "s", "schema": SCHEMA}}
    elif asks == "thinking":
        more["reasoning"] = {"effort": "high", "summary": "auto"}
    return {"instructions": "Be brief.", "input": [{"role": "user", "content": content}], **more}


def messages_request(asks: str) -> dict[str, Any]:
    """A Messages request."""
    content: Any = "hi"
    more: dict[str, Any] = {"max_tokens": 4096}
    if asks == "image":
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
        content = [{"type": "text", "text": "hi"}, image]
    elif asks == "tools":
        more["tools"] = [{"name": n, "description": "d", "input_schema": SCHEMA} for n in ("weather", "time")]
    elif asks == "schema":
        more["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
    elif asks == "thinking":
        more["thinking"] = {"type": "enabled", "budget_tokens": 2048}
    return {"system": "Be brief.", "messages": [{"role": "user", "content": content}], **more}


def ui_request(asks: str) -> dict[str, Any]:
    """A request of ``useChat``."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": "hi"}]
    more: dict[str, Any] = {}
    if asks == "image":
        parts.append({"type": "file", "mediaType": "image/png", "url": f"data:image/png;base64,{PIXEL}"})
    elif asks == "tools":
        more["tools"] = {name: {"description": "d", "inputSchema": SCHEMA} for name in ("weather", "time")}
    messages = [{"id": "u1", "role": "user", "parts": parts}]
    return {"trigger": "submit-message", "system": "Be brief.", "messages": messages, **more}


# -- streamed --------------------------------------------------------------------------------------------------------


def chat(url: str, model: str, asks: str = "") -> Seen:
    """The raw stream of ``chat.completions``."""
    seen = Seen()
    with _caught(seen, openai.APIError):
        stream = openai_client(url).chat.completions.create(
            model=model, stream=True, stream_options={"include_usage": True}, **chat_request(asks)
        )
        seen.stream = stream.response.headers["headrace-stream-id"]
        read_chat(seen, stream)
    return seen


def read_chat(seen: Seen, stream: Any) -> None:
    """Read chunks until they end."""
    calls: dict[int, list[str]] = {}
    for chunk in stream:
        seen.id = seen.id or chunk.id
        for choice in chunk.choices:
            delta = choice.delta
            seen.said += (delta.content or "") + (delta.refusal or "")
            seen.reasoning += getattr(delta, "reasoning_content", None) or ""
            seen.finish = choice.finish_reason or seen.finish
            for piece in delta.tool_calls or ():
                call = calls.setdefault(piece.index, ["", "", ""])
                call[0] += piece.id or ""
                call[1] += piece.function.name or ""
                call[2] += piece.function.arguments or ""
        if chunk.usage:
            seen.usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
    seen.calls = [(id, name, json.loads(arguments)) for id, name, arguments in calls.values()]


def responses(url: str, model: str, asks: str = "") -> Seen:
    """The raw stream of ``responses``, put together by what its events say of their items."""
    seen = Seen()
    with _caught(seen, openai.APIError):
        stream = openai_client(url).responses.create(model=model, stream=True, **responses_request(asks))
        seen.stream = stream.response.headers["headrace-stream-id"]
        read_responses(seen, stream)
    return seen


def read_responses(seen: Seen, stream: Any) -> None:
    """Read events until they end."""
    arguments: dict[int, str] = {}
    for event in stream:
        match event.type:
            case "response.created":
                seen.id = event.response.id
            case "response.output_text.delta" | "response.refusal.delta":
                seen.said += event.delta
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                seen.reasoning += event.delta
            case "response.function_call_arguments.delta":
                arguments[event.output_index] = arguments.get(event.output_index, "") + event.delta
            case "response.output_item.done" if event.item.type == "function_call":
                item = event.item
                assert arguments.get(event.output_index, item.arguments) == item.arguments
                seen.calls.append((item.call_id, item.name, json.loads(item.arguments)))
            case "error":
                seen.error = event.code
            case "response.completed" | "response.incomplete" | "response.failed":
                read_response(seen, event.response)


def read_response(seen: Seen, response: Any) -> None:
    """Read how a response ended."""
    reason = response.incomplete_details.reason if response.incomplete_details else ""
    seen.finish = reason or response.status
    if response.status == "cancelled":
        seen.error = "cancelled"
    if response.error:
        seen.error = response.error.code
    if response.usage:
        seen.usage = (response.usage.input_tokens, response.usage.output_tokens)


def messages(url: str, model: str, asks: str = "") -> Seen:
    """The raw stream of ``messages``."""
    seen = Seen()
    with _caught(seen, anthropic.APIError):
        stream = anthropic_client(url).messages.create(model=model, stream=True, **messages_request(asks))
        seen.stream = stream.response.headers["headrace-stream-id"]
        read_messages(seen, stream)
    return seen


def read_messages(seen: Seen, stream: Any) -> None:
    """Read events until they end."""
    blocks: dict[int, Any] = {}
    arguments: dict[int, str] = {}
    used: dict[str, int] = {}
    for event in stream:
        match event.type:
            case "message_start":
                seen.id = event.message.id
                used |= _counts(event.message.usage)
            case "content_block_start":
                blocks[event.index] = event.content_block
            case "content_block_delta":
                delta = event.delta
                seen.said += getattr(delta, "text", "")
                seen.reasoning += getattr(delta, "thinking", "")
                arguments[event.index] = arguments.get(event.index, "") + getattr(delta, "partial_json", "")
            case "content_block_stop":
                block = blocks[event.index]
                if block.type == "tool_use":
                    seen.calls.append((block.id, block.name, json.loads(arguments.get(event.index) or "{}")))
            case "message_delta":
                seen.finish = event.delta.stop_reason
                used |= _counts(event.usage)
            case "message_stop":
                seen.usage = (sum(n for name, n in used.items() if name != "output_tokens"), used["output_tokens"])


def _counts(usage: Any) -> dict[str, int]:
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
    return {name: value for name in names if (value := getattr(usage, name, None)) is not None}


def ui(url: str, model: str, asks: str = "", chat: str = "") -> Seen:
    """The parts of a UI message stream; what reads them in earnest is in Node."""
    body = {"id": chat or f"chat-{model}", "model": model, **ui_request(asks)}
    with requests.post(f"{url}/api/chat", json=body, stream=True, timeout=SECONDS) as reply:
        seen = Seen(status=0 if reply.ok else reply.status_code, stream=reply.headers.get("headrace-stream-id", ""))
        if reply.ok:
            read_ui(seen, reply)
    return seen


def read_ui(seen: Seen, reply: requests.Response) -> None:
    """Read parts until they end."""
    names: dict[str, str] = {}
    for part in _parts(reply):
        match part["type"]:
            case "start":
                seen.id = part["messageId"]
            case "text-delta":
                seen.said += part["delta"]
            case "reasoning-delta":
                seen.reasoning += part["delta"]
            case "tool-input-start":
                names[part["toolCallId"]] = part["toolName"]
            case "tool-input-available":
                seen.calls.append((part["toolCallId"], names[part["toolCallId"]], part["input"]))
            case "finish":
                seen.finish = part["finishReason"]
                usage = part["messageMetadata"]["usage"]
                seen.usage = (usage["inputTokens"], usage["outputTokens"])
            case "error":
                seen.error = part["errorText"]
            case "abort":
                seen.error = "cancelled"


def _parts(reply: requests.Response) -> Iterator[Mapping[str, Any]]:
    decoder = Decoder()
    for data in reply.iter_content(None):
        for frame in decoder.feed(data):
            if frame.data != b"[DONE]":
                yield json.loads(frame.data)


# -- not streamed ----------------------------------------------------------------------------------------------------


def chat_whole(url: str, model: str, asks: str = "") -> Seen:
    """A completion."""
    seen = Seen()
    with _caught(seen, openai.APIError):
        reply = openai_client(url).chat.completions.create(model=model, **chat_request(asks))
        message = reply.choices[0].message
        seen.id, seen.finish = reply.id, reply.choices[0].finish_reason
        seen.said = (message.content or "") + (message.refusal or "")
        seen.reasoning = getattr(message, "reasoning_content", None) or ""
        calls = message.tool_calls or ()
        seen.calls = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in calls]
        seen.usage = (reply.usage.prompt_tokens, reply.usage.completion_tokens)
    return seen


def responses_whole(url: str, model: str, asks: str = "") -> Seen:
    """A response."""
    seen = Seen()
    with _caught(seen, openai.APIError):
        reply = openai_client(url).responses.create(model=model, **responses_request(asks))
        seen.id = reply.id
        for item in reply.output:
            if item.type == "message":
                seen.said += "".join(getattr(p, "text", "") or getattr(p, "refusal", "") for p in item.content)
            elif item.type == "reasoning":
                seen.reasoning += "".join(part.text for part in item.summary)
            elif item.type == "function_call":
                seen.calls.append((item.call_id, item.name, json.loads(item.arguments)))
        read_response(seen, reply)
    return seen


def messages_whole(url: str, model: str, asks: str = "") -> Seen:
    """A message."""
    seen = Seen()
    with _caught(seen, anthropic.APIError):
        reply = anthropic_client(url).messages.create(model=model, **messages_request(asks))
        seen.id, seen.finish = reply.id, reply.stop_reason
        for block in reply.content:
            seen.said += getattr(block, "text", "")
            seen.reasoning += getattr(block, "thinking", "")
            if block.type == "tool_use":
                seen.calls.append((block.id, block.name, block.input))
        used = _counts(reply.usage)
        seen.usage = (sum(n for name, n in used.items() if name != "output_tokens"), used["output_tokens"])
    return seen


class _caught:  # noqa: N801 - reads as the contextlib functions do
    """Notes the error of an SDK."""

    def __init__(self, seen: Seen, kind: type[Exception]) -> None:
        self._seen = seen
        self._kind = kind

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, self._kind):
            return False
        status = getattr(error, "status_code", 0) or 0
        self._seen.status = status if status != 200 else 0
        self._seen.error = _code(error)
        return True


def _code(error: Any) -> str:
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    return str(getattr(error, "code", None) or inner.get("code") or inner.get("type") or type(error).__name__)


STREAMED: Mapping[str, Client] = {"chat": chat, "responses": responses, "messages": messages, "ui": ui}
WHOLE: Mapping[str, Client] = {"chat": chat_whole, "responses": responses_whole, "messages": messages_whole}
