"""``data:`` URLs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.wire.data_url import DataUrl, parse

CASES = {
    "data:image/png;base64,AAAA": DataUrl("image/png", "AAAA"),
    "DATA:Image/PNG;BASE64,AAAA": DataUrl("image/png", "AAAA"),
    "data:text/plain;charset=utf-8;base64,aGk=": DataUrl("text/plain", "aGk="),
    "data:;base64,aGk=": DataUrl("text/plain", "aGk="),
    "data:text/html,%3Cp%3E": DataUrl("text/html", "PHA+"),
    "data:,hi": DataUrl("text/plain", "aGk="),
    "data:image/png;base64,A%2BA%3D": DataUrl("image/png", "A+A="),
    "data:image/png;base64": None,
    "https://example.org/data:,": None,
    "": None,
}


@pytest.mark.parametrize("url", CASES)
def test_the_file_in_a_url(url):
    assert parse(url) == CASES[url]


def test_written_and_parsed_again_it_is_the_same():
    file = DataUrl("image/webp", "UklGRg==")
    assert parse(str(file)) == file


@given(st.text().map("data:".__add__) | st.text())
def test_any_text_is_a_file_or_none(url):
    assert isinstance(parse(url), DataUrl | None)
