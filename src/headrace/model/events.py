"""The canonical events: what an answer says, in no dialect's words.

The vocabulary is smaller than any dialect. It has no block or output indices: encoders number their own blocks. What
fits nowhere is :class:`Extra`, which only a face of the same dialect emits.
"""

from typing import Any

import msgspec

from headrace.errors import ErrorDetail
from headrace.model.outcome import Usage


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The root of all canonical events."""


class Started(Event, frozen=True, kw_only=True):
    """The upstream began to answer. ``created`` is in Unix seconds."""

    id: str = ""
    model: str = ""
    created: int = 0


class Text(Event, frozen=True, kw_only=True):
    """A piece of the answer's text. ``choice`` counts the alternatives that a request with ``n`` asked for."""

    text: str
    choice: int = 0


class Reasoning(Event, frozen=True, kw_only=True):
    """A piece of the model's reasoning, or the ``signature`` over what came before."""

    text: str = ""
    signature: str = ""
    choice: int = 0


class Refusal(Event, frozen=True, kw_only=True):
    """A piece of a refusal's text."""

    text: str
    choice: int = 0


class ToolCall(Event, frozen=True, kw_only=True):
    """A piece of a tool call. ``call`` counts an answer's calls; ``id`` and ``name`` come with the first piece."""

    call: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    choice: int = 0


class Used(Event, frozen=True, kw_only=True):
    """What the answer has used so far; the last one counts."""

    usage: Usage


class Finished(Event, frozen=True, kw_only=True):
    """One choice came to its end.

    ``reason`` is one of ``stop``, ``length``, ``tool_calls``, ``content_filter``, ``refusal``, or an upstream's own.
    ``stop_sequence`` is the one that was hit, where the dialect tells.
    """

    reason: str
    stop_sequence: str = ""
    choice: int = 0


class Failed(Event, frozen=True, kw_only=True):
    """The upstream reported an error in the middle of its answer."""

    detail: ErrorDetail


class Extra(Event, frozen=True, kw_only=True):
    """A frame that only its own dialect understands."""

    dialect: str
    payload: Any
