"""Chat over Azure OpenAI, with its own SDK, in an app of your own: it can be left, rejoined and stopped.

    pip install openai
    export AZURE_OPENAI_ENDPOINT=https://NAME.openai.azure.com AZURE_OPENAI_API_KEY=… AZURE_OPENAI_MODEL=DEPLOYMENT
    uvicorn examples.azure_chat:app
    curl -N -i http://127.0.0.1:8000/chat --json '{"message": "Hello"}'
    curl -X POST http://127.0.0.1:8000/streams/THE_HEADRACE_STREAM_ID/cancel

``headrace serve`` with the same variables has chat over Azure without a line of code (see ``docs/models.md``).
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from fastapi import FastAPI, Response
from httpx2 import HTTPError
from openai import APIError, AsyncAzureOpenAI, RateLimitError
from pydantic import BaseModel, Field

from headrace.fastapi import Event, StreamError, Streams

MODEL = os.environ.get("AZURE_OPENAI_MODEL", "gpt-4o-mini")

#: Key and endpoint are read from the environment.
client = AsyncAzureOpenAI(api_version=os.environ.get("AZURE_OPENAI_API_VERSION", "2024-10-21"), timeout=60)

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
    finish_reason = None
    with told():
        messages = [{"role": "user", "content": message}]
        async with await client.chat.completions.create(model=MODEL, messages=messages, stream=True) as chunks:
            async for chunk in chunks:
                for choice in chunk.choices:  # the first chunk has none: it tells what the filter saw in the prompt
                    finish_reason = choice.finish_reason or finish_reason
                    if choice.delta.content:
                        yield Event({"token": choice.delta.content}, event="token")
    if finish_reason is None:
        raise StreamError("The answer was cut.", code="truncated", retry=True)
    yield Event({"finish_reason": finish_reason}, event="done")


@app.post("/chat")
async def chat(question: Question) -> Response:
    """Answer a question, as server-sent events."""
    return streams.sse(answer(question.message), fingerprint=question.message)
