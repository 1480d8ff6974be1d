"""Lose the connection in the middle of an answer and read on, with the stock OpenAI SDK.

The same call is made again with the same `Idempotency-Key`, by which Headrace finds the answer that is already being
written; no second one is ever started. The SDK hides the ids of its events, so the answer is read from its start and
the chunks that were seen are left out: they are the same, whatever API the model's provider speaks.

    pip install openai
    python examples/rejoin_openai.py            # HEADRACE_URL says where the server is, if not on this machine
"""

import os
import sys
import time
import uuid
from collections.abc import Iterator

from openai import APIConnectionError, APIError, InternalServerError, OpenAI
from openai.types.chat import ChatCompletionChunk

URL = os.environ.get("HEADRACE_URL", "http://127.0.0.1:8003")
client = OpenAI(base_url=f"{URL}/v1", api_key=os.environ.get("HEADRACE_KEY", "none"), max_retries=0)


def read_on(model: str, text: str, tries: int = 10) -> Iterator[ChatCompletionChunk]:
    """Yield the chunks of one answer, each once and in order, over as many connections as that takes."""
    messages = [{"role": "user", "content": text}]
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    seen = 0
    for attempt in range(tries):
        try:
            stream = client.chat.completions.create(model=model, messages=messages, stream=True, extra_headers=headers)
            with stream:
                for number, chunk in enumerate(stream, 1):
                    if number <= seen:
                        continue
                    seen = number
                    yield chunk
                    if attempt == 0 and seen == 20:
                        print(" [the connection is lost]", file=sys.stderr)
                        break  # here for show; a real one raises APIConnectionError
                else:
                    return
        except (APIConnectionError, InternalServerError):
            time.sleep(min(2**attempt / 4, 5))
    raise ConnectionError(f"no whole answer in {tries} tries")


try:
    for chunk in read_on("demo/counter", "Count, please."):
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()
except APIError as error:
    # `interrupted` where the server was killed meanwhile: what is printed is all there will be.
    sys.exit(f"\nThe answer ended early: {error.code}")
