"""Ask any model with the stock Anthropic SDK, tools included: here one whose provider speaks OpenAI's chat.

Headrace converts the request, and the answer back. Where the provider speaks Anthropic's API, nothing is converted.

    pip install anthropic
    python examples/anthropic_over_openai.py                       # the demo, which calls tools
    HEADRACE_MODEL=gpt-4.1 python examples/anthropic_over_openai.py   # a model of yours
"""

import os

from anthropic import Anthropic

URL = os.environ.get("HEADRACE_URL", "http://127.0.0.1:8003")
MODEL = os.environ.get("HEADRACE_MODEL", "demo/tools")
# This SDK puts /v1 behind the base URL by itself.
client = Anthropic(base_url=URL, api_key=os.environ.get("HEADRACE_KEY", "none"))

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"name": "weather", "description": "The weather in a city, now.", "input_schema": CITY}]


def weather(city: str) -> str:
    """Where you would ask somebody who knows."""
    return f"It is sunny in {city}."


messages = [{"role": "user", "content": "Oslo"}]
while True:
    with client.messages.stream(model=MODEL, max_tokens=1024, tools=TOOLS, messages=messages) as stream:
        for text in stream.text_stream:
            print(text, end="", flush=True)
        answer = stream.get_final_message()
    messages.append({"role": "assistant", "content": answer.content})
    calls = [block for block in answer.content if block.type == "tool_use"]
    for call in calls:
        print(f"[{call.name}: {call.input}]")
    if not calls:
        break
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": weather(**call.input)} for call in calls]
    messages.append({"role": "user", "content": results})
print(f"\n({answer.stop_reason}, {answer.usage.output_tokens} tokens)")
