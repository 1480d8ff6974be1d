"""A client that comes back by itself, for asyncio and without.

::

    from headrace.client import Client, Outcome, Text

    for event in Client().chat("demo", "Tell me about rivers."):
        match event:
            case Text(text=text):
                print(text, end="", flush=True)
            case Outcome(state=state, reason=reason):
                print(f"[{state}: {reason}]")

Lost connections and restarts of the server are picked up after: each event comes once, and the last item is how the
answer ended. :class:`AsyncClient` is the same with ``async for``.
"""

from headrace.client.asynchronous import AsyncAnswer, AsyncClient
from headrace.client.blocking import Answer, Client
from headrace.client.errors import ClientError, Gone, Refused, Unfinished, Unreachable
from headrace.client.outcome import Outcome
from headrace.client.requests import Cancelled, Summary
from headrace.model.events import Event, Extra, Finished, Reasoning, Refusal, Started, Text, ToolCall, Used
from headrace.model.outcome import State, Usage

__all__ = [
    "Answer",
    "AsyncAnswer",
    "AsyncClient",
    "Cancelled",
    "Client",
    "ClientError",
    "Event",
    "Extra",
    "Finished",
    "Gone",
    "Outcome",
    "Reasoning",
    "Refusal",
    "Refused",
    "Started",
    "State",
    "Summary",
    "Text",
    "ToolCall",
    "Unfinished",
    "Unreachable",
    "Usage",
    "Used",
]
