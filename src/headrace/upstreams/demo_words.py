"""What the demo models say: the tokens of an answer, which depend on its request alone."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from headrace.wire.chat.calls import function_of
from headrace.wire.json_object import encode, objects, settled

#: How far ``demo/counter`` counts where nobody says, and how far at most.
COUNT = 300
COUNT_MOST = 100_000
#: Characters of the user's message that are repeated.
QUOTED = 200
#: Tools that ``demo/tools`` calls at once.
CALLS_MOST = 2
#: How deep a tool's schema is followed, and how many values are made for it.
DEPTH = 8
VALUES = 200

#: Models that show a fault after a few tokens.
FAULTS = frozenset({"demo/stall", "demo/truncate", "demo/error-midstream"})

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"\s*(?:[{_CJK}]|[^\W{_CJK}]{{1,16}}|[^\w\s])|\s+")

_PROSE = """\
You said: {quote}

This is the **demo** model: its text is canned, but its *stream* is real. Headrace keeps every token, so you can

- leave the page and come back to the same answer,
- watch it from a second window,
- stop it, from anywhere.

```python
from openai import OpenAI

client = OpenAI(base_url="http://localhost:8003/v1", api_key="none")
stream = client.chat.completions.create(
    model="demo", messages=[{{"role": "user", "content": "Hello"}}], stream=True
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="")
```

| model | what it does |
|---|---|
| `demo/echo` | repeats what you said |
| `demo/counter` | counts, so that a lost token shows |
| `demo/stall` | falls silent in the middle |

Name a provider's key in the configuration, and its models appear beside this one.
"""
_ABOUT_FAULTS = "Here I begin, as any model would, and then something happens that you can watch from every client."
_THOUGHT = "The user said: {quote} That is short enough to repeat, and I should not say more than I know."
_CONCLUSION = "I have thought about it. You said: {quote}"
_NO_TOOLS = "I would call your tools here, but this request has none that I may call. You said: {quote}"
_TOLD = "Your tools have answered: {quote}"


class Piece(NamedTuple):
    """One token: of the text, of the reasoning, or of a call's arguments; the first of a call has the tool's name."""

    text: str
    kind: str = "content"
    call: int = 0
    name: str = ""


def pieces(model: str, body: Mapping[str, Any], limit: int | None, stops: Sequence[str]) -> Iterator[Piece]:
    """The tokens that a model answers a request with. ``limit`` is what the request allows."""
    calls = _calls(body) if model == "demo/tools" else []
    if calls:
        for number, (name, arguments) in enumerate(calls):
            for place, token in enumerate(tokens(arguments)):
                yield Piece(token, "arguments", number, "" if place else name)
        return
    if model == "demo/reasoning":
        yield from (Piece(token, "reasoning_content") for token in tokens(_THOUGHT.format(quote=_quote(body, "user"))))
    yield from map(Piece, tokens(_cut(_text(model, body, limit), stops)))


def tokens(text: str) -> Iterator[str]:
    """The text in tokens of the demo's own."""
    return (match.group() for match in _TOKEN.finditer(text))


def tokens_in(body: Mapping[str, Any]) -> int:
    """How many tokens a request's messages have."""
    return sum(1 for text in _texts(body, None) for _ in tokens(text))


def _text(model: str, body: Mapping[str, Any], limit: int | None) -> str:
    if model == "demo/echo":
        return next(_texts(body, "user"), "")
    if model == "demo/counter":
        # One more than was asked for, so that the limit is what ends it.
        return " ".join(map(str, range(1, (min(limit + 1, COUNT_MOST) if limit else COUNT) + 1)))
    if model in FAULTS:
        return _ABOUT_FAULTS
    if model == "demo/reasoning":
        return _CONCLUSION.format(quote=_quote(body, "user"))
    if model == "demo/tools":
        told = _quote(body, "tool") if _has_results(body) else ""
        return _TOLD.format(quote=told) if told else _NO_TOOLS.format(quote=_quote(body, "user"))
    return _PROSE.format(quote=_quote(body, "user"))


def _quote(body: Mapping[str, Any], role: str) -> str:
    """The last message of a role, in one line and not too long."""
    quote = " ".join(next(_texts(body, role), "").split())
    return quote if len(quote) <= QUOTED else quote[: QUOTED - 1] + "…"


def _cut(text: str, stops: Sequence[str]) -> str:
    """The text up to the first of the stop sequences."""
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


def _texts(body: Mapping[str, Any], role: str | None) -> Iterator[str]:
    """The text of each message (of one role), the last message first. What is not of the expected shape is left out."""
    for message in reversed(objects(body.get("messages"))):
        if role not in (None, message.get("role")):
            continue
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"text": content}]
        yield "".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


# -- calls of tools --------------------------------------------------------------------------------------------------


def _calls(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The names and arguments of the tools to call: none once a tool has answered, or it would never end."""
    asked = body.get("tool_choice")
    if _has_results(body) or asked == "none":
        return []
    only = function_of(asked).get("name") if isinstance(asked, dict) else None
    functions = [function_of(tool) for tool in objects(body.get("tools"))]
    named = [one for one in functions if isinstance(one.get("name"), str) and only in (None, one["name"])]
    most = 1 if body.get("parallel_tool_calls") is False else CALLS_MOST
    said = _quote(body, "user")
    return [(one["name"], _arguments(one.get("parameters"), said)) for one in named[:most]]


def _has_results(body: Mapping[str, Any]) -> bool:
    return any(message.get("role") == "tool" for message in objects(body.get("messages")))


def _arguments(schema: object, said: str) -> str:
    root = schema if isinstance(schema, dict) else {}
    return encode(settled(_Filling(root, said).filled(root, 0))).decode()


class _Filling:
    """Values for a schema: what it names itself, else the simplest of a type, and the user's words for a text.

    A schema may lead to itself: it is followed so deep and no deeper, and so many values are made and no more.
    """

    def __init__(self, root: Mapping[str, Any], said: str) -> None:
        self._root = root
        self._said = said
        self._left = VALUES

    def filled(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        """An object with the properties that its schema requires."""
        properties, required = schema.get("properties"), schema.get("required")
        if not isinstance(properties, dict) or not isinstance(required, list) or depth > DEPTH:
            return {}
        names = [name for name in required[: self._left] if isinstance(name, str)]
        return {name: self._value(properties.get(name), depth + 1) for name in names}

    def _value(self, given: object, depth: int) -> Any:  # noqa: ANN401  (any JSON)
        schema = self._followed(given)
        self._left = max(0, self._left - 1)
        if (named := _named(schema)) is not _NOTHING:
            return named
        options = [*objects(schema.get("anyOf")), *objects(schema.get("oneOf"))]
        if options and depth <= DEPTH:
            return self._value(options[0], depth + 1)
        kind = schema.get("type")
        kind = kind[0] if isinstance(kind, list) and kind else kind
        if kind == "object" or "properties" in schema:
            return self.filled(schema, depth)
        if kind == "array":
            return [self._value(schema["items"], depth + 1)] if "items" in schema and depth <= DEPTH else []
        simple = {"integer": 1, "number": 1, "boolean": True, "null": None}
        return simple[kind] if isinstance(kind, str) and kind in simple else self._said

    def _followed(self, schema: object) -> dict[str, Any]:
        """The schema that a reference leads to, or itself."""
        found: Any = schema
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if isinstance(reference, str) and reference.startswith("#/"):
            found = self._root
            for name in reference[2:].split("/"):
                found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}


_NOTHING: Any = ...


def _named(schema: Mapping[str, Any]) -> Any:  # noqa: ANN401  (any JSON)
    """The value that a schema names, or ``_NOTHING``."""
    for field in ("const", "default", "minimum"):
        if field in schema:
            return schema[field]
    for field in ("enum", "examples"):
        if isinstance(schema.get(field), list) and schema[field]:
            return schema[field][0]
    return _NOTHING
