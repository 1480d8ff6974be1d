"""A request in the OpenAI Responses dialect as a prompt."""

from typing import Any

from headrace.model.prompt import Format, Prompt, Thinking, Turn, Words
from headrace.wire.place import Place
from headrace.wire.responses.carried import FIELDS
from headrace.wire.responses.offers import choice_in, tools_in
from headrace.wire.responses.turns import turns_in

#: Where a prompt's fields stand in a request, where they have other names there.
_AT = {
    "turns": "input",
    "max_tokens": "max_output_tokens",
    "choice": "tool_choice",
    "choice_name": "tool_choice",
    "parallel": "parallel_tool_calls",
    "format": "text.format",
    "thinking": "reasoning",
}
_FORMATS = ("text", "json_object", "json_schema")


def read(body: dict[str, Any]) -> Prompt:
    """The prompt of a request. Raises RequestError, with the field, for what has no place in a prompt."""
    FIELDS.check(body)
    request = Place(body)
    tools = tools_in(request)
    choice, name = choice_in(request, tools)
    return Prompt(
        turns=_turns(request),
        tools=tools,
        choice=choice,
        choice_name=name,
        parallel=request.flag("parallel_tool_calls") if tools else None,
        format=_format(request.inner("text").inner("format")),
        thinking=_thinking(request.inner("reasoning")),
        max_tokens=request.count("max_output_tokens"),
        temperature=request.number("temperature"),
        top_p=request.number("top_p"),
        user=request.text("user") or request.text("safety_identifier"),
        at=_AT,
    )


def _turns(request: Place) -> tuple[Turn, ...]:
    turns = turns_in(request)
    if not turns:
        raise request.wrong("input", "must hold at least one message")
    text = request.text("instructions")
    if not text:
        return turns
    return (Turn(role="system", parts=(Words(text=text, at="instructions"),), at="instructions"), *turns)


def _format(given: Place) -> Format | None:
    """What the answer must look like; None for text."""
    kind = given.word("type", _FORMATS)
    if kind == "json_object":
        return Format()
    if kind != "json_schema":
        return None
    schema = given.json("schema")
    if schema is None:
        raise given.wrong("schema", "is missing; it must be an object")
    strict = given.flag("strict")
    return Format(schema=schema, name=given.text("name"), description=given.text("description"), strict=strict)


def _thinking(given: Place) -> Thinking | None:
    """What is asked of the model's reasoning; None for nothing."""
    effort = given.text("effort")
    shown = bool(given.text("summary") or given.text("generate_summary"))
    return Thinking(effort=effort, shown=shown) if effort or shown else None
