"""What is asked in each dialect, and how its end is known."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

CHAT = "/v1/chat/completions"
ASKED = "Say something long."
MESSAGES = [{"role": "user", "content": ASKED}]


@dataclass(frozen=True)
class Client:
    """What is asked in a dialect, where, and what its end looks like. ``repeats``: the end holds the whole text."""

    path: str
    body: Mapping[str, object]
    end: str
    repeats: bool = False


CLIENTS = {
    "chat": Client(CHAT, {"stream_options": {"include_usage": True}, "messages": MESSAGES}, "[DONE]"),
    "responses": Client("/v1/responses", {"input": ASKED}, "response.completed", repeats=True),
    "messages": Client("/v1/messages", {"max_tokens": 4096, "messages": MESSAGES}, "message_stop"),
    "ui": Client(
        "/api/chat",
        {"id": "#####", "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": ASKED}]}]},
        "[DONE]",
    ),
}
#: The model of the upstream that speaks a dialect.
MODELS = {"chat": "bench", "responses": "bench-responses", "messages": "bench-messages"}


def asked_whole() -> dict[str, object]:
    """The options that ask for a whole chat completion."""
    return {"--path": CHAT, "--body": json.dumps({"model": MODELS["chat"], "messages": MESSAGES})}


def followed(stream: str) -> dict[str, object]:
    """The options that read a stream of chat chunks by its id."""
    return {"--method": "GET", "--path": f"/v1/streams/{stream}", "--end": CLIENTS["chat"].end}


def asked(client: str = "chat", upstream: str = "chat") -> dict[str, object]:
    """The load's options that say what is asked for as a stream, and how its end is known."""
    known = CLIENTS[client]
    body = {"model": MODELS[upstream], "stream": True, **known.body}
    return {"--path": known.path, "--body": json.dumps(body), "--end": known.end, "--repeats": int(known.repeats)}
