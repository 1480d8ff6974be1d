"""A request in the Anthropic Messages dialect as a prompt."""

from collections.abc import Iterator
from typing import Any

from headrace.model.prompt import Format, Prompt, Thinking, Turn
from headrace.wire.messages.carried import FIELDS
from headrace.wire.messages.offers import choice_in, tools_in
from headrace.wire.messages.parts import ROLES, content_in
from headrace.wire.place import Place
from headrace.wire.thinking import EFFORTS

#: The client's names of a prompt's fields, where they differ.
_NAMES = {
    "turns": "messages",
    "choice": "tool_choice",
    "choice_name": "tool_choice",
    "parallel": "tool_choice.disable_parallel_tool_use",
    "format": "output_config.format",
    "stop": "stop_sequences",
    "user": "metadata.user_id",
}
_THINKING = ("enabled", "adaptive", "disabled", "between_tools")


def read(body: dict[str, Any]) -> Prompt:
    """The prompt of a request. Raises RequestError, with the field, for what has no place in a prompt."""
    FIELDS.check(body)
    request = Place(body)
    choice, name, parallel = choice_in(request)
    return Prompt(
        turns=(*_system(request), *map(_turn, request.each("messages"))),
        tools=tools_in(request),
        choice=choice,
        choice_name=name,
        parallel=parallel,
        format=_format(request),
        thinking=_thinking(request),
        max_tokens=request.count("max_tokens"),
        temperature=request.number("temperature"),
        top_p=request.number("top_p"),
        top_k=request.whole("top_k"),
        stop=request.texts("stop_sequences"),
        user=request.inner("metadata").text("user_id"),
        at=_NAMES,
    )


def _system(request: Place) -> Iterator[Turn]:
    parts = tuple(content_in(request, "system", "system"))
    if parts:
        yield Turn(role="system", parts=parts, at="system")


def _turn(message: Place) -> Turn:
    role = message.needed("role")
    if role not in ROLES:
        raise message.wrong("role", f"must be one of {', '.join(ROLES)}")
    return Turn(role=ROLES[role], parts=tuple(content_in(message, "content", role)), at=message.at)


def _format(request: Place) -> Format | None:
    said = request.inner("output_config").inner("format")
    if not said.value:
        said = request.inner("output_format")
    if not said.word("type", ("json_schema",)):
        return None
    return Format(schema=said.json("schema") or {})


def _thinking(request: Place) -> Thinking | None:
    said = request.inner("thinking")
    effort = request.inner("output_config").word("effort", EFFORTS)
    kind = said.word("type", _THINKING)
    if kind == "disabled":
        return Thinking(budget=0)
    if not (kind or effort):
        return None
    shown = bool(kind) and said.text("display") != "omitted"
    return Thinking(effort=effort, budget=said.count("budget_tokens"), shown=shown)
