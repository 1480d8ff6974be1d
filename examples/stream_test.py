"""Read NDJSON from ``/infer`` with ``requests``: each line is printed as it arrives, first raw and then parsed.

    pip install requests
    python examples/stream_test.py
    python examples/stream_test.py Tell me a story

An answer that fails after it has begun has no line of its own for that: the connection is cut, and ``requests`` raises.
"""

import json
import os
import sys

import requests

URL = os.environ.get("HEADRACE_URL", "http://127.0.0.1:8003")
HEADERS = {"Authorization": f"Bearer {os.environ['HEADRACE_KEY']}"} if "HEADRACE_KEY" in os.environ else {}

request = {"message": " ".join(sys.argv[1:]) or "Hello", "model": os.environ.get("HEADRACE_MODEL", "demo/echo")}

# `timeout` is that of a silence, not of the whole answer; `stream=True` keeps requests from waiting for its end.
with requests.post(f"{URL}/infer", json=request, headers=HEADERS, stream=True, timeout=60) as reply:
    reply.raise_for_status()
    for line in reply.iter_lines(chunk_size=None):  # a number here is how many bytes are waited for
        if not line:
            continue  # a keep-alive
        print("raw:   ", line.decode(), flush=True)
        choice = json.loads(line)["choices"][0]
        print("parsed:", choice["message"]["content"], flush=True)
print("ended: ", choice["finish_reason"])
