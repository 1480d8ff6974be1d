"""A request in the OpenAI chat dialect as a prompt."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from headrace.model.prompt import AnyPart, Declined, Format, Prompt, Role, Thinking, ToolResult, ToolUse, Turn, Words
from headrace.wire.carried import refusal
from headrace.wire.chat.carried import FIELDS, MESSAGE
from headrace.wire.chat.offers import choice_in, tools_in
from headrace.wire.chat.parts import content_in, words_in
from headrace.wire.place import Place
from headrace.wire.thinking import EFFORTS

#: The client's names of a prompt's fields, where they differ.
_NAMES = {
    "turns": "messages",
    "choice": "tool_choice",
    "choice_name": "tool_choice",
    "parallel": "parallel_tool_calls",
    "format": "response_format",
    "thinking": "reasoning_effort",
}


def read(body: dict[str, Any]) -> Prompt:
    """The prompt of a request. Raises RequestError, with the field, for what has no place in a prompt."""
    FIELDS.check(body)
    request = Place(body)
    limit = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
    choice, name = choice_in(request)
    effort = request.word("reasoning_effort", EFFORTS)
    return Prompt(
        turns=tuple(map(_turn, request.each("messages"))),
        tools=tools_in(request),
        choice=choice,
        choice_name=name,
        parallel=request.flag("parallel_tool_calls"),
        format=_format(request.inner("response_format")),
        thinking=Thinking(effort=effort) if effort else None,
        max_tokens=request.count(limit),
        temperature=request.number("temperature"),
        top_p=request.number("top_p"),
        stop=request.texts("stop"),
        seed=request.whole("seed"),
        presence_penalty=request.number("presence_penalty"),
        frequency_penalty=request.number("frequency_penalty"),
        user=request.text("user") or request.text("safety_identifier"),
        at={**_NAMES, "max_tokens": limit},
    )


def _turn(message: Place) -> Turn:
    MESSAGE.check(message.value, message.at)
    role = message.needed("role")
    if role == "function":
        raise refusal(message.path("role"), "results are read in the newer form only; use the role 'tool'")
    if role not in _ROLES:
        raise message.wrong("role", f"must be one of {', '.join(_ROLES)}")
    side, parts = _ROLES[role]
    return Turn(role=side, parts=tuple(parts(message)), at=message.at)


def _answered(message: Place) -> Iterator[AnyPart]:
    yield from content_in(message, ("text", "refusal"))
    if declined := message.text("refusal"):
        yield Declined(text=declined, at=message.path("refusal"))
    yield from map(_call, message.each("tool_calls"))


def _call(call: Place) -> ToolUse:
    if call.word("type", ("function", "custom")) == "custom":
        raise refusal(call.at, "a call of a custom tool has free text as its input")
    function = call.inner("function")
    arguments = function.text("arguments") or "{}"
    return ToolUse(id=call.needed("id"), name=function.needed("name"), arguments=arguments, at=call.at)


def _result(message: Place) -> Iterator[AnyPart]:
    yield ToolResult(id=message.needed("tool_call_id"), content=tuple(words_in(message)), at=message.at)


def _asked(message: Place) -> Iterator[AnyPart]:
    return content_in(message, ("text", "image_url", "input_audio", "file"))


def _instructions(message: Place) -> Iterator[Words]:
    return words_in(message)


_ROLES: Mapping[str, tuple[Role, Callable[[Place], Iterator[AnyPart]]]] = {
    "system": ("system", _instructions),
    "developer": ("system", _instructions),
    "user": ("user", _asked),
    "assistant": ("assistant", _answered),
    "tool": ("user", _result),
}


def _format(said: Place) -> Format | None:
    kind = said.word("type", ("text", "json_object", "json_schema"))
    if kind == "json_object":
        return Format()
    if kind != "json_schema":
        return None
    shape = said.inner("json_schema")
    return Format(
        schema=shape.json("schema") or {},
        name=shape.text("name"),
        description=shape.text("description"),
        strict=shape.flag("strict"),
    )
