"""The tools that a Responses request offers to a model, and which of them it must call: read and written."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from headrace.model.prompt import Prompt, Tool
from headrace.wire.carried import refusal, said
from headrace.wire.place import Place

Choice = Literal["", "auto", "none", "required", "tool"]

_MODES: dict[str, Choice] = {"auto": "auto", "none": "none", "required": "required"}
_CHOICE = "tool_choice"
#: Items of ``input`` that bring tools along.
_BRINGERS = frozenset({"additional_tools", "tool_search_output"})
#: The schema of a function without parameters.
_NOTHING = {"type": "object", "properties": {}}


def tools_in(request: Place) -> tuple[Tool, ...]:
    """The functions of a request; of those it allows, where it does not allow all. Raises RequestError.

    Tools of other types are run by OpenAI, or come back as calls that no other model makes: agents send them along with
    their functions and do without.
    """
    tools = {tool.name: tool for given in _given(request) if (tool := _tool(given))}
    allowed = _allowed(request)
    if allowed is None:
        return tuple(tools.values())
    names = {each.text("name") for each in allowed.each("tools") if each.text("type") == "function"}
    return tuple(tool for tool in tools.values() if tool.name in names)


def _given(request: Place) -> Iterator[Place]:
    yield from request.each("tools")
    if isinstance(request.value.get("input"), list):
        for item in request.each("input"):
            if item.text("type") in _BRINGERS:
                yield from item.each("tools")


def _tool(given: Place) -> Tool | None:
    if given.needed("type") != "function":
        return None
    return Tool(
        name=given.needed("name"),
        description=given.text("description"),
        schema=given.json("parameters") or {},
        strict=given.flag("strict"),
        at=given.at,
    )


def choice_in(request: Place, tools: Sequence[Tool]) -> tuple[Choice, str]:
    """Whether one of ``tools`` must be called, and the name of the one that must. Raises RequestError."""
    choice, name = _choice(request)
    if choice == "tool" and name not in {tool.name for tool in tools}:
        raise request.wrong(_CHOICE, "names a function that is not among the tools")
    if choice == "required" and not tools:
        raise refusal(_CHOICE, "there is no function among the tools")
    return (choice, name) if tools else ("", "")


def _choice(request: Place) -> tuple[Choice, str]:
    given = request.value.get(_CHOICE)
    if given is None:
        return "", ""
    if isinstance(given, str):
        return _MODES.get(request.word(_CHOICE, _MODES), ""), ""
    if allowed := _allowed(request):
        return _MODES.get(allowed.word("mode", _MODES), "auto"), ""
    choice = request.inner(_CHOICE)
    if choice.needed("type") != "function":
        raise refusal(_CHOICE, "only a function can be forced")
    return "tool", choice.needed("name")


def _allowed(request: Place) -> Place | None:
    given = request.value.get(_CHOICE)
    if not isinstance(given, dict) or given.get("type") != "allowed_tools":
        return None
    return request.inner(_CHOICE)


def offers_of(prompt: Prompt) -> dict[str, Any]:
    """The fields of a request that are about tools; none where there are no tools."""
    if not prompt.tools:
        return {}
    forced = {"type": "function", "name": prompt.choice_name} if prompt.choice == "tool" else None
    fields = {
        "tools": [_function_of(tool) for tool in prompt.tools],
        "tool_choice": forced or prompt.choice,
        "parallel_tool_calls": prompt.parallel,
    }
    return said(fields)


def _function_of(tool: Tool) -> dict[str, Any]:
    """A function. Where nothing is said it is strict here, which no schema of other dialects is meant to be."""
    return {
        "type": "function",
        "name": tool.name,
        **said({"description": tool.description}),
        "parameters": tool.schema or _NOTHING,
        "strict": bool(tool.strict),
    }
