"""The tools that OpenAI chat offers to a model, and which of them it must call: read and written."""

from typing import Any, Literal

from headrace.errors import RequestError
from headrace.model.prompt import Prompt, Tool
from headrace.wire.carried import refusal, said
from headrace.wire.place import Place

Choice = Literal["", "auto", "none", "required", "tool"]

_MODES: dict[str, Choice] = {"auto": "auto", "none": "none", "required": "required"}
_CHOICE = "tool_choice"
_WORDS = "must be 'none', 'auto', 'required' or name a function"
_CUSTOM = "a custom tool has free text as its input"


def tools_in(request: Place) -> tuple[Tool, ...]:
    """The tools of a request; of those it allows, where it does not allow all. Raises RequestError."""
    tools = tuple(map(_tool, request.each("tools")))
    allowed = _allowed(request)
    if allowed is None:
        return tools
    names = {each.inner("function").needed("name") for each in allowed.each("tools")}
    return tuple(tool for tool in tools if tool.name in names)


def _tool(given: Place) -> Tool:
    if given.needed("type") != "function":
        raise refusal(given.at, _CUSTOM if given.value["type"] == "custom" else "only functions are known there")
    function = given.inner("function")
    return Tool(
        name=function.needed("name"),
        description=function.text("description"),
        schema=function.json("parameters") or {},
        strict=function.flag("strict"),
        at=given.at,
    )


def choice_in(request: Place) -> tuple[Choice, str]:
    """Whether a tool must be called, and the name of the one that must. Raises RequestError."""
    given = request.value.get(_CHOICE)
    if given is None:
        return "", ""
    if isinstance(given, str):
        return _mode(request, given), ""
    if allowed := _allowed(request):
        return _mode(request, allowed.text("mode") or "auto"), ""
    choice = request.inner(_CHOICE)
    if choice.needed("type") == "custom":
        raise refusal(choice.at, _CUSTOM)
    if choice.value["type"] != "function":
        raise _wrong(request)
    return "tool", choice.inner("function").needed("name")


def _allowed(request: Place) -> Place | None:
    given = request.value.get(_CHOICE)
    if not isinstance(given, dict) or given.get("type") != "allowed_tools":
        return None
    return request.inner(_CHOICE).inner("allowed_tools")


def _mode(request: Place, mode: str) -> Choice:
    if mode not in _MODES:
        raise _wrong(request)
    return _MODES[mode]


def _wrong(request: Place) -> RequestError:
    return request.wrong(_CHOICE, _WORDS)


def offers_of(prompt: Prompt) -> dict[str, Any]:
    """The fields of a request that are about tools; none where there are no tools, as OpenAI wants it."""
    if not prompt.tools:
        return {}
    choice = {"type": "function", "function": {"name": prompt.choice_name}} if prompt.choice == "tool" else None
    fields = {
        "tools": [{"type": "function", "function": _function_of(tool)} for tool in prompt.tools],
        "tool_choice": choice or prompt.choice,
        "parallel_tool_calls": prompt.parallel,
    }
    return said(fields)


def _function_of(tool: Tool) -> dict[str, Any]:
    fields = {"description": tool.description, "parameters": tool.schema or None, "strict": tool.strict}
    return {"name": tool.name, **said(fields)}
