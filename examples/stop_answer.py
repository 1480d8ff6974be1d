"""Stop an answer by its id: the model's connection is closed, and every reader is told.

pip install openai
python examples/stop_answer.py
"""

import os

from openai import APIError, OpenAI

URL = os.environ.get("HEADRACE_URL", "http://127.0.0.1:8003")
client = OpenAI(base_url=f"{URL}/v1", api_key=os.environ.get("HEADRACE_KEY", "none"))

stream = client.chat.completions.create(
    model="demo/counter", messages=[{"role": "user", "content": "Count, please."}], stream=True
)
# Any name of the stream will do: this header's, the `chatcmpl-…` of its chunks, or your own Idempotency-Key.
stream_id = stream.response.headers["headrace-stream-id"]

seen = 0
try:
    for chunk in stream:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
        seen += 1
        if seen == 20:
            # From here, from another process, from another machine: it is the same call.
            print("\nstopping:", client.post(f"/streams/{stream_id}/cancel", cast_to=object))
except APIError as error:
    print(f"\nThe answer ended early, and says so: {error.code}")
