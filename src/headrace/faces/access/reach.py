"""How far a key reaches: what each part of the HTTP surface asks of the grants of whoever comes.

A part is known by the tag of its routes. One of the names that it asks for is enough; none is asked for where any key
will do. A part that stands here under no tag is closed to keys that are not good for everything.
"""

from collections.abc import Mapping
from typing import Any

from headrace.errors import Forbidden
from headrace.model.grants import Grants, Route

#: What starts answers; whoever may have them begun may read and stop them as the streams that they are.
_ANSWERS: tuple[Route, ...] = ("chat", "responses", "messages", "ui", "simple", "proxy")

ASKED: Mapping[str, tuple[Route, ...]] = {
    "OpenAI chat": ("chat",),
    "OpenAI Responses": ("responses",),
    "Anthropic Messages": ("messages",),
    "AI SDK": ("ui",),
    "Conversations": ("ui",),
    "Simple chat": ("simple",),
    "Streams": ("streams", *_ANSWERS),
    "Topics": ("topics",),
    "Exports": ("exports",),
    "Files": ("files",),
    "Proxy": ("proxy",),
    "Pass-through": ("passthrough",),
    "Models": (),
    "Page": (),
}


def check(grants: Grants, scope: Mapping[str, Any]) -> None:
    """Let a request through to the route that was found for it. Raises Forbidden."""
    if grants.routes is None:
        return
    asked = [ASKED.get(tag) for tag in getattr(scope.get("route"), "tags", ())]
    if not any(names is not None and (not names or grants.reaches(names)) for names in asked):
        raise Forbidden("This API key is not good for this route.")
