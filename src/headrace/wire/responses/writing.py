"""A prompt as a request in the OpenAI Responses dialect."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from headrace.model.prompt import Format, Prompt, Thinking, Turn, Words
from headrace.wire.carried import said
from headrace.wire.manner import Manner
from headrace.wire.responses.carried import LACKS
from headrace.wire.responses.input_items import items_of, own_seal
from headrace.wire.responses.offers import offers_of
from headrace.wire.schema import is_strict
from headrace.wire.thinking import effort_of

#: OpenAI refuses a lower limit; agents send 1 to see whether anybody is there.
_MIN_TOKENS = 16
_SEALED = "reasoning.encrypted_content"


def write(prompt: Prompt, manner: Manner) -> dict[str, Any]:
    """The request's body, without ``model`` and ``stream``. Raises RequestError, with the client's own field.

    The upstream is to store nothing: no client of another dialect has asked for that, and none could find it there.
    """
    LACKS.check(prompt)
    thinking = prompt.thinking if manner.thinking else None
    instructions = _instructions(prompt.turns)
    fields = {
        "instructions": "\n\n".join(map(_text, instructions)),
        "text": _text_config(prompt.format) if prompt.format else None,
        "reasoning": _reasoning(thinking) if thinking else None,
        "include": [_SEALED] if _wants_seals(prompt, thinking) else None,
        "max_output_tokens": max(prompt.max_tokens, _MIN_TOKENS) if prompt.max_tokens else None,
        "temperature": prompt.temperature if manner.sampling else None,
        "top_p": prompt.top_p if manner.sampling else None,
        "user": prompt.user,
    }
    return {
        "input": items_of(prompt.turns[len(instructions) :]),
        "store": False,
        **offers_of(prompt),
        **said(fields),
    }


def _instructions(turns: Sequence[Turn]) -> list[Turn]:
    """The system prompts in front of the conversation; none where there is nothing behind them to be the input."""
    first = list(takewhile(_is_system_text, turns))
    return first if len(first) < len(turns) else []


def _is_system_text(turn: Turn) -> bool:
    return turn.role == "system" and all(isinstance(part, Words) for part in turn.parts)


def _text(turn: Turn) -> str:
    return "\n\n".join(part.text for part in turn.parts if isinstance(part, Words))


def _text_config(format: Format) -> dict[str, Any]:
    if format.schema is None:
        return {"format": {"type": "json_object"}}
    strict = format.strict if format.strict is not None else is_strict(format.schema)
    return {
        "format": {
            "type": "json_schema",
            "name": format.name or "answer",
            "schema": format.schema,
            "strict": strict,
            **said({"description": format.description}),
        }
    }


def _reasoning(thinking: Thinking) -> dict[str, Any]:
    return said({"effort": effort_of(thinking), "summary": "auto" if thinking.shown else None})


def _wants_seals(prompt: Prompt, thinking: Thinking | None) -> bool:
    """Whether the client can hand the model's reasoning back: it asks to see it, or has done so already.

    Models that do not reason refuse to be asked, so that it can't be done always.
    """
    if thinking is not None and thinking.shown and thinking.effort != "none":
        return True
    return any(own_seal(part) for turn in prompt.turns for part in turn.parts)
