"""A place in a client's request: an object in there, and the path by which the client knows it.

What a reader takes from it is of the right type, or RequestError names the path. Null is as if absent.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.errors import RequestError
from headrace.wire.fields import is_count, is_number, is_texts, is_whole_number, wrong
from headrace.wire.json_object import settled


@dataclass(frozen=True, slots=True)
class Place:
    """``at`` is empty for the request itself."""

    value: Mapping[str, Any]
    at: str = ""

    def path(self, field: str) -> str:
        """The path of one field."""
        return f"{self.at}.{field}" if self.at else field

    def wrong(self, field: str, words: str) -> RequestError:
        """The error for one field."""
        return wrong(self.path(field), words)

    def text(self, field: str) -> str:
        """A text; empty where there is none."""
        given = self.value.get(field)
        if not isinstance(given, str | None):
            raise self.wrong(field, "must be a text")
        return given or ""

    def needed(self, field: str) -> str:
        """A text that must not be empty."""
        text = self.text(field)
        if not text:
            raise self.wrong(field, "is missing; it must be a text")
        return text

    def word(self, field: str, words: Collection[str]) -> str:
        """One of ``words``; empty where there is none."""
        text = self.text(field)
        if text and text not in words:
            raise self.wrong(field, f"must be one of {', '.join(words)}")
        return text

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of texts, or one alone."""
        given = self.value.get(field)
        if isinstance(given, str):
            return (given,)
        if given is not None and not is_texts(given):
            raise self.wrong(field, "must be a text or a list of texts")
        return tuple(given or ())

    def flag(self, field: str) -> bool | None:
        """True or false."""
        given = self.value.get(field)
        if not isinstance(given, bool | None):
            raise self.wrong(field, "must be true or false")
        return given

    def number(self, field: str) -> float | None:
        """A number of any kind."""
        given: float | None = self.value.get(field)
        if given is not None and not (is_number(given) and abs(given) < 1 << 63):
            raise self.wrong(field, "must be a number")
        return given

    def whole(self, field: str) -> int | None:
        """A whole number of 64 bits."""
        given: int | None = self.value.get(field)
        if given is not None and not (is_whole_number(given) and -(1 << 63) <= given < 1 << 63):
            raise self.wrong(field, "must be a whole number")
        return given

    def count(self, field: str) -> int | None:
        """A whole number from 1 on."""
        given: int | None = self.value.get(field)
        if given is not None and not is_count(given):
            raise self.wrong(field, "must be a whole number above 0")
        return given

    def inner(self, field: str) -> "Place":
        """The place of an object; an empty one where there is none."""
        given = self.value.get(field)
        if not isinstance(given, dict | None):
            raise self.wrong(field, "must be an object")
        return Place(given or {}, self.path(field))

    def each(self, field: str) -> "tuple[Place, ...]":
        """The places of a list's objects."""
        given = self.value.get(field)
        if given is None:
            return ()
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise self.wrong(field, "must be a list of objects")
        return tuple(Place(each, f"{self.path(field)}[{i}]") for i, each in enumerate(given))

    def json(self, field: str) -> dict[str, Any] | None:
        """An object as it is, with nothing in it that can't be written again."""
        given = self.value.get(field)
        if not isinstance(given, dict | None):
            raise self.wrong(field, "must be an object")
        whole: dict[str, Any] | None = settled(given)
        return whole
