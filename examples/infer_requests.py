"""Read NDJSON lines with `requests` and nothing else.

A line is an object with the fields of a chat completion. An answer that fails after it has begun has no line of its
own for that: the connection is cut, and `requests` raises.

    pip install requests
    python examples/infer_requests.py
"""

import json
import os
import sys

import requests

URL = os.environ.get("HEADRACE_URL", "http://127.0.0.1:8003")
HEADERS = {"Authorization": f"Bearer {os.environ['HEADRACE_KEY']}"} if "HEADRACE_KEY" in os.environ else {}

request = {"message": " ".join(sys.argv[1:]) or "Hello", "model": "demo/echo"}
with requests.post(f"{URL}/infer", json=request, headers=HEADERS, stream=True, timeout=30) as reply:
    reply.raise_for_status()
    for line in reply.iter_lines():
        if not line:
            continue  # a keep-alive
        choice = json.loads(line)["choices"][0]
        print(choice["message"]["content"], end="", flush=True)
print(f"\n({choice['finish_reason']})")
