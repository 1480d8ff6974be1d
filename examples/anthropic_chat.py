"""Chat over Anthropic, with its own SDK, in an app of your own: it can be left, rejoined and stopped.

    pip install anthropic
    ANTHROPIC_API_KEY=… uvicorn examples.anthropic_chat:app
    curl -N -i http://127.0.0.1:8000/chat --json '{"message": "Hello"}'
    curl -X POST http://127.0.0.1:8000/streams/THE_HEADRACE_STREAM_ID/cancel

``headrace serve`` with the same variable has chat over Anthropic without a line of code (see ``docs/models.md``).
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from anthropic import APIError, AsyncAnthropic, RateLimitError
from fastapi import FastAPI, Response
from httpx2 import HTTPError
from pydantic import BaseModel, Field

from headrace.fastapi import Event, StreamError, Streams

MODEL = os.environ.get("ANTHROPIC_MODEL", "claude-sonnet-4-5")

#: The asynchronous one: with the other, each wait for a word would stop everybody. Its key is in the environment.
client = AsyncAnthropic(timeout=60)

streams = Streams("sqlite:///streams-data", on_leave="linger=5")

app = FastAPI()
app.include_router(streams.router)


class Question(BaseModel):
    """What is asked."""

    message: str = Field(min_length=1, max_length=100_000)


@contextmanager
def told() -> Iterator[None]:
    """What goes wrong, in words of ours: the text of the SDK's exceptions has addresses and more in it."""
    try:
        yield
    except RateLimitError:
        raise StreamError("Too many requests for now.", code="rate_limit", status=429, retry=True) from None
    except (APIError, HTTPError):
        raise StreamError("The model does not answer.", code="upstream", status=502, retry=True) from None


async def answer(message: str) -> AsyncIterator[Event]:
    """The model's words, and why they end. When this is cancelled, ``async with`` ends the call to the model."""
    with told():
        messages = [{"role": "user", "content": message}]
        async with client.messages.stream(model=MODEL, max_tokens=1024, messages=messages) as stream:
            async for text in stream.text_stream:
                yield Event({"token": text}, event="token")
            stop_reason = (await stream.get_final_message()).stop_reason
    if stop_reason is None:
        raise StreamError("The answer was cut.", code="truncated", retry=True)
    yield Event({"stop_reason": stop_reason}, event="done")


@app.post("/chat")
async def chat(question: Question) -> Response:
    """Answer a question, as server-sent events."""
    return streams.sse(answer(question.message), fingerprint=question.message)
