"""A prompt as a request in the Anthropic Messages dialect."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from headrace.model.prompt import Media, Prompt, ToolResult, Turn
from headrace.wire.carried import refusal, said
from headrace.wire.manner import Manner
from headrace.wire.messages.blocks import Block, blocks_of
from headrace.wire.messages.carried import LACKS
from headrace.wire.messages.offers import offers_of
from headrace.wire.messages.room import room_of, thinks
from headrace.wire.schema import closed
from headrace.wire.thinking import effort_of

_JSON_ONLY = "Answer with one JSON object and nothing else: no words before or after it, and no code fence around it."
#: Efforts in Anthropic's words, where they differ: it turns thinking off elsewhere, and knows none below low.
_EFFORTS = {"none": "", "minimal": "low"}
Message = dict[str, Any]


def write(prompt: Prompt, manner: Manner) -> dict[str, Any]:
    """The request's body, without ``model`` and ``stream``. Raises RequestError, with the client's own field."""
    LACKS.check(prompt)
    messages = _trimmed(list(_messages(turn for turn in prompt.turns if turn.role != "system")))
    if not messages:
        raise refusal(prompt.at.get("turns", "messages"), "somebody has to say something beside the system prompt")
    fields = {
        "system": list(_system(prompt)),
        "stop_sequences": _stop(prompt),
        "metadata": said({"user_id": prompt.user}),
        "output_config": {**_effort(prompt, manner), **_format(prompt)},
    }
    room = room_of(prompt, manner, messages)
    sampling = _sampling(prompt) if manner.sampling and not thinks(room) else {}
    return {"messages": messages, **room, **sampling, **offers_of(prompt), **said(fields)}


def _system(prompt: Prompt) -> Iterator[Block]:
    """All system prompts: those in the middle of a history come to the top, because older models take none there."""
    for turn in prompt.turns:
        if turn.role == "system":
            yield from blocks_of(turn.parts)
    if prompt.format and prompt.format.schema is None:
        yield {"type": "text", "text": _JSON_ONLY}


def _messages(turns: Iterable[Turn]) -> Iterator[Message]:
    """The history, each side's neighbouring turns as one; a turn in which nothing is said is left out."""
    spoken = [(turn.role, content) for turn in turns if (content := _content(turn))]
    for role, group in groupby(spoken, itemgetter(0)):
        blocks = [block for _, content in group for block in content]
        yield {"role": role, "content": blocks if role == "assistant" else sorted(blocks, key=_is_no_result)}


def _is_no_result(block: Block) -> bool:
    """Results come first, right after their calls."""
    return bool(block["type"] != "tool_result")


def _content(turn: Turn) -> list[Block]:
    for part in turn.parts if turn.role == "assistant" else ():
        if isinstance(part, Media | ToolResult):
            raise refusal(part.at, "what a model says is text and tool calls only")
    return blocks_of(turn.parts)


def _trimmed(messages: list[Message]) -> list[Message]:
    """The same, where a beginning that the model is to go on from does not end with blanks."""
    last = messages[-1]["content"][-1] if messages else {}
    if last.get("type") == "text" and messages[-1]["role"] == "assistant":
        last["text"] = last["text"].rstrip()
    return messages


def _sampling(prompt: Prompt) -> dict[str, Any]:
    """One of temperature and top_p: newer models refuse both together. Anthropic's temperatures end at 1."""
    temperature = None if prompt.temperature is None else min(prompt.temperature, 1.0)
    top_p = prompt.top_p if temperature is None else None
    return said({"temperature": temperature, "top_p": top_p, "top_k": prompt.top_k})


def _stop(prompt: Prompt) -> list[str]:
    for text in prompt.stop:
        if not text.strip():
            raise refusal(prompt.at.get("stop", "stop"), "it takes no stop sequence of blanks alone")
    return list(prompt.stop)


def _effort(prompt: Prompt, manner: Manner) -> dict[str, str]:
    if prompt.thinking is None or manner.thinking != "effort":
        return {}
    effort = effort_of(prompt.thinking)
    return said({"effort": _EFFORTS.get(effort, effort)})


def _format(prompt: Prompt) -> dict[str, Any]:
    if prompt.format is None or prompt.format.schema is None:
        return {}
    return {"format": {"type": "json_schema", "schema": closed(prompt.format.schema)}}
