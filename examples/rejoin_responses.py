"""Lose the connection in the middle of a response and read on, with the stock OpenAI SDK: by its id and its own call.

Every event of a response has a `sequence_number`; `responses.retrieve(id, stream=True, starting_after=N)` gets what
comes after it. That works with every model, whatever API its provider speaks.

    pip install openai
    python examples/rejoin_responses.py         # HEADRACE_URL says where the server is, if not on this machine
"""

import os
import sys
import time
import uuid
from collections.abc import Iterator

from openai import APIConnectionError, InternalServerError, OpenAI
from openai.types.responses import ResponseStreamEvent

URL = os.environ.get("HEADRACE_URL", "http://127.0.0.1:8003")
client = OpenAI(base_url=f"{URL}/v1", api_key=os.environ.get("HEADRACE_KEY", "none"), max_retries=0)

ENDS = {"response.completed", "response.failed", "response.incomplete"}


def read_on(model: str, text: str, tries: int = 10) -> Iterator[ResponseStreamEvent]:
    """Yield the events of one response, each once and in order, over as many connections as that takes."""
    # Where even the first event is lost, the same request with the same key finds the same response.
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    id, seen = "", -1
    for attempt in range(tries):
        try:
            if id:
                stream = client.responses.retrieve(id, stream=True, starting_after=seen)
            else:
                stream = client.responses.create(model=model, input=text, stream=True, extra_headers=headers)
            with stream:
                for event in stream:
                    if event.type == "response.created":
                        id = event.response.id
                    seen = event.sequence_number
                    yield event
                    if event.type in ENDS:
                        return
                    if attempt == 0 and seen == 20:
                        print(" [the connection is lost]", file=sys.stderr)
                        break  # here for show; a real one raises APIConnectionError
        except (APIConnectionError, InternalServerError):
            time.sleep(min(2**attempt / 4, 5))
    raise ConnectionError(f"no whole answer in {tries} tries")


for event in read_on("demo/counter", "Count, please."):
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
print()
if event.type != "response.completed":
    # What is printed is all there will be: it failed, was stopped, or the server was killed meanwhile.
    sys.exit(f"The response ended early: {event.response.status}")
