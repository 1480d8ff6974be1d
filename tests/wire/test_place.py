"""Places in a request: what is taken from one has the right type, or the error names the path."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import RequestError
from headrace.wire.place import Place

TAKEN = {
    "text": lambda place: place.text("a"),
    "needed": lambda place: place.needed("a"),
    "word": lambda place: place.word("a", ("low", "high")),
    "texts": lambda place: place.texts("a"),
    "flag": lambda place: place.flag("a"),
    "number": lambda place: place.number("a"),
    "whole": lambda place: place.whole("a"),
    "count": lambda place: place.count("a"),
    "inner": lambda place: place.inner("a"),
    "each": lambda place: place.each("a"),
    "json": lambda place: place.json("a"),
}
FITS = [
    ("text", "x", "x"),
    ("text", None, ""),
    ("needed", "x", "x"),
    ("word", "low", "low"),
    ("word", None, ""),
    ("texts", "x", ("x",)),
    ("texts", ["x", "y"], ("x", "y")),
    ("texts", None, ()),
    ("flag", False, False),
    ("flag", None, None),
    ("number", 0, 0),
    ("number", 0.5, 0.5),
    ("whole", -1, -1),
    ("count", 1, 1),
    ("count", None, None),
    ("inner", {"b": 1}, Place({"b": 1}, "messages[0].a")),
    ("inner", None, Place({}, "messages[0].a")),
    ("each", [{}, {"b": 1}], (Place({}, "messages[0].a[0]"), Place({"b": 1}, "messages[0].a[1]"))),
    ("each", None, ()),
    ("json", {"big": 10**30}, {"big": str(10**30)}),
    ("json", None, None),
]
BREAKS = [
    ("text", 1),
    ("needed", ""),
    ("needed", None),
    ("word", "medium"),
    ("texts", [1]),
    ("flag", 1),
    ("number", "1"),
    ("number", True),
    ("number", 10**30),
    ("number", float("nan")),
    ("whole", 1.5),
    ("whole", 1 << 63),
    ("count", 0),
    ("inner", []),
    ("each", {}),
    ("each", [1]),
    ("json", "x"),
]


@pytest.mark.parametrize(("kind", "value", "expected"), FITS)
def test_what_fits_is_taken(kind, value, expected):
    assert TAKEN[kind](Place({"a": value}, "messages[0]")) == expected


@pytest.mark.parametrize(("kind", "value"), BREAKS)
def test_what_does_not_is_refused_by_its_path(kind, value):
    with pytest.raises(RequestError) as caught:
        TAKEN[kind](Place({"a": value}, "messages[0]"))
    assert caught.value.param == "messages[0].a"


def test_in_the_request_itself_the_path_is_the_field():
    assert Place({}).path("a") == "a"


@given(st.sampled_from(sorted(TAKEN)), st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_nothing_but_request_errors_comes_of_any_value(kind, value):
    with suppress(RequestError):
        TAKEN[kind](Place({"a": value}))
