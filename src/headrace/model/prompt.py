"""The prompt: what a client asks a model, in no dialect's words.

Made only where a request has to be said in another dialect; between a client and an upstream that speak the same one
the client's own body passes. What has a place in one dialect alone is not in here: a reader refuses it by name, or
leaves it out where the users of the other dialects would expect that.

Every value that a writer may have to refuse knows where it stands in the client's request (``at``, such as
``messages[2].content[0]``), so that the error names the client's own field.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Role = Literal["system", "user", "assistant"]
MediaKind = Literal["image", "audio", "file"]


class Part(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A piece of a turn."""

    at: str = ""


class Words(Part, frozen=True, kw_only=True):
    """Text."""

    text: str


class Media(Part, frozen=True, kw_only=True):
    """An image, a sound or a file: by ``url``, by an upstream's own ``file_id``, or as ``data`` (base64).

    ``media_type`` is there with ``data``; ``detail`` is how closely an image is to be looked at (low, high, auto).
    """

    kind: MediaKind
    media_type: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""
    name: str = ""
    detail: str = ""


class Thought(Part, frozen=True, kw_only=True):
    """The model's own earlier reasoning. ``seal`` is the text of a :class:`~headrace.wire.seal.Seal`."""

    text: str = ""
    seal: str = ""


class Declined(Part, frozen=True, kw_only=True):
    """The model's own earlier refusal."""

    text: str


class ToolUse(Part, frozen=True, kw_only=True):
    """A tool call that the model made; ``arguments`` are JSON as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolResult(Part, frozen=True, kw_only=True):
    """What the call ``id`` came to. Stands in a user's turn."""

    id: str
    content: tuple[Words | Media, ...] = ()
    failed: bool = False


AnyPart = Words | Media | Thought | Declined | ToolUse | ToolResult


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What one side said. Turns of one role may follow each other; a writer joins them where its dialect wants that."""

    role: Role
    parts: tuple[AnyPart, ...]
    at: str = ""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the model may call. ``schema`` is the JSON schema of its arguments."""

    name: str
    description: str = ""
    schema: dict[str, Any] = {}
    strict: bool | None = None
    at: str = ""


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """The answer is to be JSON; with a ``schema``, of that shape."""

    schema: dict[str, Any] | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    """How much the model is to reason: by ``effort``, or by a ``budget`` in tokens; both absent is as it likes.

    An effort is one of none, minimal, low, medium, high, xhigh and max. ``shown`` asks for what it thinks, or a summary
    of that.
    """

    effort: str = ""
    budget: int | None = None
    shown: bool = False


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """A request. What is None or empty was not said; no default is invented here.

    ``choice`` says whether a tool must be called: ``auto``, ``none``, ``required``, or ``tool`` for the one called
    ``choice_name``. ``parallel`` is whether several may be called at once. ``at`` maps the names of these fields to the
    client's own.
    """

    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    choice: Literal["", "auto", "none", "required", "tool"] = ""
    choice_name: str = ""
    parallel: bool | None = None
    format: Format | None = None
    thinking: Thinking | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    user: str = ""
    at: Mapping[str, str] = {}
