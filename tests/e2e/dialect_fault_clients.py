"""The stock Python clients of every dialect, raw and with their helpers: what each can see of an answer that fails."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai
import requests
from tests.e2e.dialect_clients import KEY

from headrace.wire.sse import Decoder

#: Beyond all deadlines of the server.
SECONDS = 8.0


@dataclass
class Result:
    """What a client saw. ``finish`` is how the answer says that it ended; ``shown`` is all that could be read.

    ``calls`` counts the tool calls that a client would run; ``cut`` says that the body did not come to its end.
    """

    text: str = ""
    finish: str | None = None
    calls: int = 0
    error: str = ""
    code: str | None = None
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    shown: str = ""
    cut: bool = False
    stream: str = ""


class Clients:
    """The SDKs of one server. Made for a thread pool; ``close`` at the end."""

    def __init__(self, url: str, prompt: str) -> None:
        self.url = url
        self.prompt = prompt
        self._openai = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=SECONDS)
        self._anthropic = anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0, timeout=SECONDS)

    def close(self) -> None:
        """Let go of their connections."""
        self._openai.close()
        self._anthropic.close()

    def play(self, client: str, model: str) -> Result:
        """One answer through one client."""
        result = Result()
        try:
            _PLAYS[client](self, model, result)
        except (openai.OpenAIError, anthropic.AnthropicError) as error:
            _fail(result, error)
        return result

    # -- OpenAI chat -------------------------------------------------------------------------------------------------

    def chat(self, model: str, result: Result) -> None:
        """The raw stream."""
        stream = self._openai.chat.completions.create(**self._chat(model), stream=True)
        result.stream = stream.response.headers["headrace-stream-id"]
        for chunk in stream:
            _take_chunk(result, chunk)

    def chat_helper(self, model: str, result: Result) -> None:
        """The helper, and what it has in the end."""
        with self._openai.chat.completions.stream(**self._chat(model)) as events:
            for event in events:
                if event.type == "chunk":
                    _take_chunk(result, event.chunk)
                result.calls += event.type == "tool_calls.function.arguments.done"
            final = events.get_final_completion()
        assert (final.choices[0].message.content or "") == result.text

    def chat_whole(self, model: str, result: Result) -> None:
        """Not streamed."""
        reply = self._openai.chat.completions.create(**self._chat(model))
        result.shown = reply.model_dump_json(warnings=False)
        result.text, result.finish = reply.choices[0].message.content or "", reply.choices[0].finish_reason

    def _chat(self, model: str) -> dict[str, Any]:
        return {"model": model, "messages": [{"role": "user", "content": self.prompt}]}

    # -- OpenAI Responses --------------------------------------------------------------------------------------------

    def responses(self, model: str, result: Result) -> None:
        """The raw stream."""
        stream = self._openai.responses.create(model=model, input=self.prompt, stream=True)
        result.stream = stream.response.headers["headrace-stream-id"]
        for event in stream:
            _take_event(result, event)

    def responses_helper(self, model: str, result: Result) -> None:
        """The helper; it has a final response of nothing but a completed one."""
        with self._openai.responses.stream(model=model, input=self.prompt) as events:
            for event in events:
                _take_event(result, event)
            try:
                final = events.get_final_response()
            except RuntimeError:
                assert result.error
                return
        assert (final.status, final.output_text) == ("completed", result.text)

    def responses_whole(self, model: str, result: Result) -> None:
        """Not streamed."""
        reply = self._openai.responses.create(model=model, input=self.prompt)
        result.shown = reply.model_dump_json(warnings=False)
        result.text, result.finish = reply.output_text, reply.status

    # -- Anthropic Messages ------------------------------------------------------------------------------------------

    def messages(self, model: str, result: Result) -> None:
        """The raw stream."""
        stream = self._anthropic.messages.create(**self._messages(model), stream=True)
        result.stream = stream.response.headers["headrace-stream-id"]
        for event in stream:
            _take_message_event(result, event)

    def messages_helper(self, model: str, result: Result) -> None:
        """The helper, and what it has in the end."""
        with self._anthropic.messages.stream(**self._messages(model)) as events:
            for event in events:
                _take_message_event(result, event)
            final = events.get_final_message()
        assert "".join(getattr(block, "text", "") for block in final.content) == result.text

    def messages_whole(self, model: str, result: Result) -> None:
        """Not streamed."""
        reply = self._anthropic.messages.create(**self._messages(model))
        result.shown = reply.model_dump_json(warnings=False)
        result.text = "".join(getattr(block, "text", "") for block in reply.content)
        result.finish = reply.stop_reason

    def _messages(self, model: str) -> dict[str, Any]:
        return {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": self.prompt}]}

    # -- the AI SDK's chat -------------------------------------------------------------------------------------------

    def ui(self, model: str, result: Result) -> None:
        """A reader of the parts."""
        parts = [{"type": "text", "text": self.prompt}]
        body = {"id": f"chat-{model}", "model": model, "messages": [{"id": "u", "role": "user", "parts": parts}]}
        self._read(result, "POST", "/api/chat", take_part, {**body, "trigger": "submit-message"})

    # -- any of them, by bytes ---------------------------------------------------------------------------------------

    def replay(self, stream: str, dialect: str) -> Result:
        """A stream as it is shown in a dialect, whatever it was started in."""
        result = Result(stream=stream)
        self._read(result, "GET", f"/v1/streams/{stream}?as={dialect}", TAKES[dialect])
        return result

    def fetch(self, path: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        """An object: status, body and headers."""
        reply = requests.get(f"{self.url}{path}", timeout=SECONDS)
        return reply.status_code, reply.json(), dict(reply.headers)

    def _read(
        self,
        result: Result,
        method: str,
        path: str,
        take: Callable[[Result, str, dict[str, Any]], None],
        body: object = None,
    ) -> None:
        with requests.request(method, f"{self.url}{path}", json=body, stream=True, timeout=SECONDS) as reply:
            result.headers, result.status = dict(reply.headers), reply.status_code
            result.stream = reply.headers["headrace-stream-id"]
            decoder = Decoder()
            try:
                for data in reply.iter_content(None):
                    result.shown += data.decode(errors="replace")
                    for frame in decoder.feed(data):
                        if frame.data == b"[DONE]":
                            result.finish = f"{result.finish} and done"
                        else:
                            take(result, frame.event, json.loads(frame.data))
            except requests.exceptions.ChunkedEncodingError:
                result.cut = True


# -- what each event adds ----------------------------------------------------------------------------------------------


def _take_chunk(result: Result, chunk: Any) -> None:
    for choice in chunk.choices:
        result.text += choice.delta.content or ""
        result.finish = choice.finish_reason or result.finish
    result.shown += chunk.model_dump_json(warnings=False)


def _take_event(result: Result, event: Any) -> None:
    result.shown += event.model_dump_json(warnings=False)
    take_response(result, "", event.model_dump(warnings=False))


def _take_message_event(result: Result, event: Any) -> None:
    if event.type in {"text", "input_json", "thinking", "signature", "citation"}:  # the helper's own, beside the others
        return
    result.shown += event.model_dump_json(warnings=False)
    take_message(result, "", event.model_dump(warnings=False))


def take_chat(result: Result, _: str, value: dict[str, Any]) -> None:
    """A chunk, as JSON."""
    if error := value.get("error"):
        result.error, result.code = "error", error["code"]
    for choice in value.get("choices", ()):
        result.text += choice["delta"].get("content") or ""
        result.finish = choice.get("finish_reason") or result.finish


def take_response(result: Result, _: str, value: dict[str, Any]) -> None:
    """An event of Responses, as JSON."""
    match value["type"]:
        case "response.output_text.delta":
            result.text += value["delta"]
        case "response.output_item.done":
            result.calls += value["item"]["type"] == "function_call"
        case "response.completed" | "response.incomplete" | "response.failed":
            response = value["response"]
            result.finish = response["status"]
            if response["status"] == "failed":
                result.error, result.code = "response.failed", response["error"]["code"]


def take_message(result: Result, _: str, value: dict[str, Any]) -> None:
    """An event of Messages, as JSON."""
    match value:
        case {"type": "content_block_delta", "delta": {"text": str(text)}}:
            result.text += text
        case {"type": "message_delta", "delta": {"stop_reason": str(reason)}}:
            result.finish = reason
        case {"type": "message_stop"}:
            result.finish = f"{result.finish} and done"
        case {"type": "error", "error": dict(error)}:
            result.error, result.code = "error", error["code"]


def take_part(result: Result, _: str, value: dict[str, Any]) -> None:
    """A part of a UI message stream, as JSON."""
    match value["type"]:
        case "text-delta":
            result.text += value["delta"]
        case "tool-input-available" | "tool-input-error":
            result.calls += 1
        case "finish":
            result.finish = value["finishReason"]
        case "error":
            result.error = value["errorText"]
        case "abort":
            result.error = "abort"


def _fail(result: Result, error: Any) -> None:
    result.error = type(error).__name__
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    result.code = getattr(error, "code", None) or inner.get("code")
    result.shown += f"{error!r}{error}{body}"
    if isinstance(error, (openai.APIStatusError, anthropic.APIStatusError)):
        result.status = error.status_code
        result.headers = dict(error.response.headers)
        result.shown += f"{result.headers}"


#: How the events of each dialect are read.
TAKES: Mapping[str, Callable[[Result, str, dict[str, Any]], None]] = {
    "chat": take_chat,
    "responses": take_response,
    "messages": take_message,
    "ui": take_part,
}

_PLAYS: Mapping[str, Callable[[Clients, str, Result], None]] = {
    "chat": Clients.chat,
    "chat helper": Clients.chat_helper,
    "chat whole": Clients.chat_whole,
    "responses": Clients.responses,
    "responses helper": Clients.responses_helper,
    "responses whole": Clients.responses_whole,
    "messages": Clients.messages,
    "messages helper": Clients.messages_helper,
    "messages whole": Clients.messages_whole,
    "ui": Clients.ui,
}
