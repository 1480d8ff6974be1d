"""JSON schemas of answers, as providers want them."""

import pytest

from headrace.wire.schema import closed, is_strict

POINT = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"], "additionalProperties": False}
OPEN = {key: value for key, value in POINT.items() if key != "additionalProperties"}


def _with(schema, **changes):
    return {**schema, **changes}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (POINT, True),
        (OPEN, False),
        (_with(POINT, required=[]), False),
        (_with(POINT, required="x"), False),
        (_with(POINT, properties=["x"]), False),
        (_with(POINT, properties={"x": OPEN}), False),
        (_with(POINT, properties={"x": {"type": "array", "items": POINT}}), True),
        (_with(POINT, properties={"x": {"anyOf": [POINT, OPEN]}}), False),
        (_with(POINT, **{"$defs": {"enum": OPEN}}), False),
        (_with(POINT, default={"type": "object"}), True),
        ({}, True),
    ],
)
def test_strict_is_a_schema_whose_objects_need_all_their_fields_and_no_others(schema, strict):
    assert is_strict(schema) is strict


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (OPEN, _with(OPEN, additionalProperties=False)),
        (_with(OPEN, additionalProperties=True), _with(OPEN, additionalProperties=True)),
        ({"anyOf": [OPEN]}, {"anyOf": [POINT]}),
        ({"properties": {"default": OPEN, "type": OPEN}}, {"properties": {"default": POINT, "type": POINT}}),
        ({"$defs": {"p": OPEN}, "items": OPEN}, {"$defs": {"p": POINT}, "items": POINT}),
        ({"default": {"type": "object"}, "enum": [OPEN]}, {"default": {"type": "object"}, "enum": [OPEN]}),
        ({"type": "string"}, {"type": "string"}),
    ],
)
def test_a_closed_schema_says_that_there_are_no_other_fields(schema, expected):
    assert closed(schema) == expected
