"""JSON schemas of answers: what providers that hold a model to one want of it."""

from collections.abc import Iterator, Mapping
from typing import Any


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Whether OpenAI takes a schema as a strict one: each object names all its fields, and needs them."""
    return all(_is_strict(each) for each in _objects(schema))


def _is_strict(schema: Mapping[str, Any]) -> bool:
    fields, needed = schema.get("properties") or {}, schema.get("required") or []
    if not isinstance(fields, dict) or not isinstance(needed, list):
        return False
    return schema.get("additionalProperties") is False and all(name in needed for name in fields)


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema in which no object has fields beside those it names, unless it says so: Anthropic wants it said."""
    made = {name: _closed(name, value) for name, value in schema.items()}
    if schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


def _closed(name: str, value: Any) -> Any:  # noqa: ANN401  (any JSON)
    if name in _VALUES:
        return value
    if isinstance(value, list):
        return [_closed("", each) for each in value]
    if not isinstance(value, dict):
        return value
    return {each: _closed("", value[each]) for each in value} if name in _BY_NAME else closed(value)


#: Under these stand values, and no schemas.
_VALUES = frozenset({"const", "enum", "default", "examples", "required"})
#: Under these stand schemas by the names of fields.
_BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions"})


def _objects(schema: object, name: str = "") -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, list):
        for each in schema:
            yield from _objects(each)
    elif isinstance(schema, dict):
        by_name = name in _BY_NAME
        if schema.get("type") == "object" and not by_name:
            yield schema
        for inner, each in schema.items():
            if by_name or inner not in _VALUES:
                yield from _objects(each, "" if by_name else inner)
