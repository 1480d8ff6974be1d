"""Rows as CSV: an encoder whose cells no spreadsheet takes for formulas.

The form is that of RFC 4180: commas, CRLF, quotes where a cell needs them. That alone makes nothing harmless: a
spreadsheet computes a quoted cell that begins like a formula all the same (CWE-1236, OWASP ASVS 1.2.10). So text that
begins so gets an apostrophe in front, which a spreadsheet takes for "this is text"; numbers stay what they are.
"""

import csv
import io
from collections.abc import Iterable
from datetime import date, datetime, time
from enum import Enum
from numbers import Number

import msgspec

#: What a formula may begin with, in ASCII and in full width; and what may stand before it and be skipped.
_FORMULA = frozenset("=+-@\t\r\n\0＝＋－＠")  # noqa: RUF001

_PLAIN = frozenset({int, float})


def encode(rows: Iterable[Iterable[object]]) -> bytes:
    """The rows, in UTF-8. What is half a surrogate pair becomes ``?``.

    None is an empty cell, a truth value ``true`` or ``false``, a time its ISO form; numbers are left as they are, and
    what is none of these becomes text (lists and tables: their JSON). Raises TypeError for what has no JSON either.
    """
    text = io.StringIO(newline="")
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode(errors="replace")


def cell(value: object) -> str | int | float:
    """A value as it may stand in a cell: a number as it is, all else as text that is no formula."""
    if type(value) is str:
        return _harmless(value)
    if type(value) in _PLAIN:
        return value  # type: ignore[return-value]  # an int or a float
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return cell(value.value)
    if isinstance(value, Number):
        return str(value)
    return _harmless(_text(value))


def _text(value: object) -> str:
    match value:
        case str():
            return str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            return value.decode(errors="replace")
    text = msgspec.json.encode(value).decode()
    return text[1:-1] if text.startswith('"') else text


def _harmless(text: str) -> str:
    return "'" + text if text[:1] in _FORMULA else text
