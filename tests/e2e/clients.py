"""The client of end-to-end tests, and requests for it."""

from typing import Any

from headrace.testing.client import PATIENCE, Client, Event

__all__ = ["PATIENCE", "Client", "Event", "chat"]


def chat(model: str = "m", text: str = "x", **more: Any) -> dict[str, Any]:
    """A streaming chat request."""
    return {"model": model, "stream": True, "messages": [{"role": "user", "content": text}], **more}
