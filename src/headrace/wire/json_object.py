"""JSON objects from people we do not trust: clients' bodies, and what upstreams send."""

import json
import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, NoReturn

import msgspec

from headrace.errors import RequestError

#: How deep a request may nest.
MAX_DEPTH = 64
#: How many objects and arrays a request may hold: each costs far more memory than its two bytes.
MAX_CONTAINERS = 250_000

#: Bytes of a body that are looked at first.
_BEGINNING = 16 << 10

_BOM = b"\xef\xbb\xbf"
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_BRACKET = re.compile(rb"([\[\]{}])")
_STEP: Mapping[int, int] = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def parse(body: bytes) -> dict[str, Any]:
    """A request's JSON object. Of a key that comes twice the last value counts. Raises RequestError.

    Depth and number of containers are checked before anything is built, in time linear in the body. The caller bounds
    the body's size.
    """
    body = body.removeprefix(_BOM)
    if not body.strip():
        raise RequestError("The request body is empty; a JSON object is needed.")
    check_nesting(body)
    try:
        value = _decode(body)
    except ValueError:
        raise RequestError("The request body is not valid JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise RequestError("The request body must be a JSON object.")
    return value


def check_nesting(body: bytes) -> None:
    """Raise RequestError where a body nests deeper than ``MAX_DEPTH`` or has more than ``MAX_CONTAINERS``.

    Of what is not JSON it may say either thing or nothing. It looks at a beginning first: megabytes of brackets are not
    worth more time than the first of them.
    """
    if _openers(body) <= MAX_DEPTH:
        return
    for part in (body[:_BEGINNING], body):
        brackets = _brackets(part)
        if _openers(brackets) > MAX_CONTAINERS:
            raise RequestError("The request body holds too many objects and arrays.")
        if _is_deep(brackets):
            raise RequestError(f"The request body is nested deeper than {MAX_DEPTH} levels.")


def has_more_than(most: int, array: bytes) -> bool:
    """Whether a JSON array has more than so many values, told without building one of them."""
    if array.count(b",") < most:
        return False
    depth = commas = 0
    for piece in _BRACKET.split(_outside_strings(array)):
        if depth == 1:
            commas += piece.count(b",")
        depth += _STEP.get(piece[0], 0) if piece else 0
    return commas >= most


def too_deep(data: bytes) -> bool:
    """Whether JSON nests deeper than ``MAX_DEPTH``; of what is not JSON it may say either."""
    return _openers(data) > MAX_DEPTH and _is_deep(_brackets(data))


def lenient(data: bytes) -> object:
    """A value that an upstream sent, or None where it is not JSON or nests deeper than ``MAX_DEPTH``.

    Halves of surrogate pairs are let through: servers written in JavaScript cut a pair in two between frames. The text
    made of the pieces goes through :func:`healed`.
    """
    if too_deep(data):
        return None
    try:
        return _decode(data)
    except ValueError:
        pass
    try:
        value: object = json.loads(data.decode(), parse_constant=_refuse)
    except ValueError:
        return None
    return value


def healed(text: str) -> str:
    """The text with halves of surrogate pairs joined where they meet, else replaced by U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def objects(value: object) -> list[dict[str, Any]]:
    """The objects of a JSON array; none where it is no array."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


class Pieces(list[str]):
    """Pieces of a text, joined by :func:`settled`: to join them one by one would take quadratic time."""


def settled(value: Any) -> Any:  # noqa: ANN401  (any JSON)
    """The value with its pieces of text joined, and with nothing in it that JSON in UTF-8 cannot say."""
    if isinstance(value, Pieces):
        return healed("".join(value))
    if isinstance(value, str):
        return healed(value)
    if isinstance(value, dict):
        return {healed(name): settled(each) for name, each in value.items()}
    if isinstance(value, list):
        return [settled(each) for each in value]
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return str(value)
    return value


def _openers(data: bytes) -> int:
    return data.count(b"[") + data.count(b"{")


def _brackets(data: bytes) -> bytes:
    """The brackets outside of strings: without escaped quotes, that is every second piece between quotes."""
    return _outside_strings(data).translate(None, _NOT_BRACKETS)


def _outside_strings(data: bytes) -> bytes:
    return b"".join(data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])


def _is_deep(brackets: bytes) -> bool:
    return any(map(MAX_DEPTH.__lt__, accumulate(map(_STEP.__getitem__, brackets))))


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
