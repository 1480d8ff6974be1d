"""A prompt as a request in the OpenAI chat dialect."""

from collections.abc import Iterator
from typing import Any

from headrace.model.prompt import Declined, Format, Media, Prompt, ToolResult, ToolUse, Turn, Words
from headrace.wire.carried import refusal, said
from headrace.wire.chat.carried import LACKS
from headrace.wire.chat.offers import offers_of
from headrace.wire.chat.parts import content_of
from headrace.wire.manner import Manner
from headrace.wire.schema import is_strict
from headrace.wire.thinking import effort_of
from headrace.wire.turns import joined

#: Characters of an end user's name that OpenAI takes; Claude Code's are longer. It helps to find abuse, and no more.
MAX_USER = 64

Message = dict[str, Any]


def write(prompt: Prompt, manner: Manner) -> dict[str, Any]:
    """The request's body, without ``model`` and ``stream``. Raises RequestError, with the client's own field."""
    LACKS.check(prompt)
    fields = {
        manner.max_tokens_field: prompt.max_tokens,
        "temperature": prompt.temperature if manner.sampling else None,
        "top_p": prompt.top_p if manner.sampling else None,
        "stop": list(prompt.stop),
        "seed": prompt.seed,
        "presence_penalty": prompt.presence_penalty,
        "frequency_penalty": prompt.frequency_penalty,
        "user": prompt.user if len(prompt.user) <= MAX_USER else "",
        "reasoning_effort": effort_of(prompt.thinking) if prompt.thinking and manner.thinking else None,
        "response_format": _format(prompt.format) if prompt.format else None,
    }
    messages = [message for turn in joined(prompt.turns) for message in _messages(turn)]
    if not messages:
        raise refusal(prompt.at.get("turns", "messages"), "somebody has to say something")
    return {"messages": messages, **offers_of(prompt), **said(fields)}


def _messages(turn: Turn) -> Iterator[Message]:
    if turn.role == "assistant":
        return _assistant(turn)
    return _system(turn) if turn.role == "system" else _user(turn)


def _system(turn: Turn) -> Iterator[Message]:
    text = "\n\n".join(_text(part) for part in turn.parts)
    if text:
        yield {"role": "system", "content": text}


def _text(part: object) -> str:
    if isinstance(part, Words | Declined):
        return part.text
    raise refusal(getattr(part, "at", ""), "here stands text only")


def _assistant(turn: Turn) -> Iterator[Message]:
    """One message. What the model thought has no place in it."""
    calls = [_call(part) for part in turn.parts if isinstance(part, ToolUse)]
    for part in turn.parts:
        if isinstance(part, Media | ToolResult):
            raise refusal(part.at, "what a model says is text and tool calls only")
    text = "".join(part.text for part in turn.parts if isinstance(part, Words))
    declined = "".join(part.text for part in turn.parts if isinstance(part, Declined))
    if text or declined or calls:
        yield {"role": "assistant", "content": text or None, **said({"refusal": declined, "tool_calls": calls})}


def _call(part: ToolUse) -> dict[str, Any]:
    return {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments}}


def _user(turn: Turn) -> Iterator[Message]:
    """The results first, right after their calls, then what the user says.

    A result is text alone, so what else is in one comes after it as if the user had said it.
    """
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    yield from map(_result, results)
    shown = [part for result in results for part in result.content if isinstance(part, Media)]
    content = content_of([*shown, *(part for part in turn.parts if isinstance(part, Words | Media))])
    if content:
        yield {"role": "user", "content": content}


def _result(part: ToolResult) -> Message:
    text = "\n".join(each.text for each in part.content if isinstance(each, Words))
    if not text and part.content:
        text = "What it came to follows."
    return {"role": "tool", "tool_call_id": part.id, "content": f"Error: {text}" if part.failed else text}


def _format(format: Format) -> dict[str, Any]:
    if format.schema is None:
        return {"type": "json_object"}
    strict = format.strict if format.strict is not None else is_strict(format.schema) or None
    shape = {"description": format.description, "strict": strict}
    return {
        "type": "json_schema",
        "json_schema": {"name": format.name or "answer", "schema": format.schema, **said(shape)},
    }
