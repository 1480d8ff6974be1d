"""A request of the AI SDK's ``useChat`` as a prompt.

The page decides what its requests hold beside the messages. Settings have the names that the SDK gives them on a
server; fields that are none of these are the page's own, and are left out.
"""

from typing import Any, get_args

from headrace.model.prompt import Format, Prompt, Role, Thinking, Tool, Turn, Words
from headrace.wire.fields import wrong
from headrace.wire.place import Place
from headrace.wire.thinking import EFFORTS
from headrace.wire.ui.parts import turns_of

#: The fields of a prompt, by the client's names for them.
_NAMES = {
    "tools": "tools",
    "choice": "toolChoice",
    "choice_name": "toolChoice.toolName",
    "format": "responseFormat",
    "thinking": "reasoning",
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "stop": "stopSequences",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}


def read(body: dict[str, Any]) -> Prompt:
    """The prompt of a request. Raises RequestError, with the field, for what has no place in a prompt."""
    asked = Place(body)
    choice, choice_name = _choice(asked)
    return Prompt(
        turns=tuple(_turns(asked)),
        tools=tuple(_tools(asked)),
        choice=choice,  # type: ignore[arg-type]  # one of its words
        choice_name=choice_name,
        format=_format(asked.inner("responseFormat")),
        thinking=_thinking(asked),
        max_tokens=asked.count("maxOutputTokens"),
        temperature=asked.number("temperature"),
        top_p=asked.number("topP"),
        top_k=asked.count("topK"),
        stop=asked.texts("stopSequences"),
        seed=asked.whole("seed"),
        presence_penalty=asked.number("presencePenalty"),
        frequency_penalty=asked.number("frequencyPenalty"),
        at=_NAMES,
    )


def _turns(asked: Place) -> list[Turn]:
    system = asked.text("system")
    turns = [Turn(role="system", parts=(Words(text=system, at="system"),), at="system")] if system else []
    for message in asked.each("messages"):
        role = message.needed("role")
        if role not in get_args(Role):
            raise message.wrong("role", "must be 'system', 'user' or 'assistant'")
        turns += turns_of(role, message)  # type: ignore[arg-type]  # it is one
    if not any(turn.role != "system" for turn in turns):
        raise wrong("messages", "must hold at least one message that says something")
    return turns


def _tools(asked: Place) -> list[Tool]:
    """Tools as a list, or by their names."""
    given = asked.value.get("tools")
    if isinstance(given, dict):
        named = asked.inner("tools")
        return [_tool(name, named.inner(name)) for name in given]
    return [_tool(tool.needed("name"), tool) for tool in asked.each("tools")]


def _tool(name: str, tool: Place) -> Tool:
    schema = tool.json("inputSchema") or tool.json("parameters") or {}
    return Tool(name=name, description=tool.text("description"), schema=schema, strict=tool.flag("strict"), at=tool.at)


def _choice(asked: Place) -> tuple[str, str]:
    given = asked.value.get("toolChoice")
    if isinstance(given, dict):
        choice = asked.inner("toolChoice")
        kind = choice.word("type", ("auto", "none", "required", "tool"))
        return (kind, choice.needed("toolName")) if kind == "tool" else (kind, "")
    return asked.word("toolChoice", ("auto", "none", "required")), ""


def _format(given: Place) -> Format | None:
    if given.word("type", ("json", "text")) != "json":
        return None
    return Format(schema=given.json("schema"), name=given.text("name"), description=given.text("description"))


def _thinking(asked: Place) -> Thinking | None:
    effort = asked.word("reasoning", ("provider-default", *EFFORTS))
    return Thinking(effort=effort, shown=True) if effort not in ("", "provider-default") else None
