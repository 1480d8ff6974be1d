"""The tools that Messages offers to a model, and which of them it must call: read and written."""

from typing import Any, Literal

from headrace.model.prompt import Prompt, Tool
from headrace.wire.carried import refusal, said
from headrace.wire.place import Place

Choice = Literal["", "auto", "none", "required", "tool"]

_CHOICES: dict[str, Choice] = {"auto": "auto", "any": "required", "none": "none", "tool": "tool"}
_TYPES = {choice: type for type, choice in _CHOICES.items()}
_ONE = "disable_parallel_tool_use"


def tools_in(request: Place) -> tuple[Tool, ...]:
    """The tools of a request. Raises RequestError."""
    return tuple(map(_tool, request.each("tools")))


def _tool(given: Place) -> Tool:
    if (given.text("type") or "custom") != "custom":
        raise refusal(given.path("type"), "tools of this type are Anthropic's own")
    return Tool(
        name=given.needed("name"),
        description=given.text("description"),
        schema=given.json("input_schema") or {},
        strict=given.flag("strict"),
        at=given.at,
    )


def choice_in(request: Place) -> tuple[Choice, str, bool | None]:
    """Whether a tool must be called, the name of the one that must, and whether there may be several at once."""
    given = request.inner("tool_choice")
    choice = _CHOICES.get(given.word("type", _CHOICES), "")
    name = given.needed("name") if choice == "tool" else ""
    one = given.flag(_ONE)
    return choice, name, None if one is None else not one


def offers_of(prompt: Prompt) -> dict[str, Any]:
    """The fields of a request that are about tools; none where there are no tools, as Anthropic wants it."""
    if not prompt.tools:
        return {}
    return said({"tools": [_tool_of(tool) for tool in prompt.tools], "tool_choice": _choice_of(prompt)})


def _tool_of(tool: Tool) -> dict[str, Any]:
    schema = {"type": "object", **tool.schema} if tool.schema else {"type": "object", "properties": {}}
    return {"name": tool.name, "input_schema": schema, **said({"description": tool.description}), **_strict(tool)}


def _strict(tool: Tool) -> dict[str, Any]:
    """Said only where it is wished: older models do not know it."""
    return {"strict": True} if tool.strict else {}


def _choice_of(prompt: Prompt) -> dict[str, Any]:
    alone = prompt.parallel is False and prompt.choice != "none"
    kind = prompt.choice or ("auto" if alone else "")
    if not kind:
        return {}
    return {"type": _TYPES[kind], **said({"name": prompt.choice_name}), **({_ONE: True} if alone else {})}
