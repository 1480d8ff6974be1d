"""Conditions: the tables of RFC 9110, and headers that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.wire.preconditions import Validator, Verdict, judged, range_counts

STRONG = Validator('"a,b"', 784111777, weak=False)
WEAK = STRONG._replace(weak=True)
THEN, BEFORE, AFTER = (f"Sun, 06 Nov 1994 08:49:{second} GMT" for second in (37, 36, 38))
GO_ON, NOT_MODIFIED, FAILED = Verdict


def test_a_validator_is_told_as_headers_have_it():
    """A weak one says that it is."""
    assert (STRONG.etag, STRONG.last_modified) == ('"a,b"', THEN)
    assert WEAK.etag == 'W/"a,b"'


@pytest.mark.parametrize(
    ("headers", "there", "verdict"),
    [
        ({}, STRONG, GO_ON),
        ({"if-none-match": '"a,b"'}, STRONG, NOT_MODIFIED),
        ({"if-none-match": '"x", W/"a,b"'}, STRONG, NOT_MODIFIED),
        ({"if-none-match": '"a,b"'}, WEAK, NOT_MODIFIED),
        ({"if-none-match": " * "}, STRONG, NOT_MODIFIED),
        ({"if-none-match": "*"}, None, GO_ON),
        ({"if-none-match": '"x"'}, STRONG, GO_ON),
        ({"if-none-match": "a,b"}, STRONG, GO_ON),
        ({"if-none-match": '"x"', "if-modified-since": THEN}, STRONG, GO_ON),
        ({"if-modified-since": THEN}, STRONG, NOT_MODIFIED),
        ({"if-modified-since": "Sunday, 06-Nov-94 08:49:37 GMT"}, STRONG, NOT_MODIFIED),
        ({"if-modified-since": "Sun Nov  6 08:49:37 1994"}, STRONG, NOT_MODIFIED),
        ({"if-modified-since": BEFORE}, STRONG, GO_ON),
        ({"if-modified-since": "yesterday"}, STRONG, GO_ON),
        ({"if-match": '"a,b"'}, STRONG, GO_ON),
        ({"if-match": '"a,b"'}, WEAK, FAILED),
        ({"if-match": 'W/"a,b"'}, STRONG, FAILED),
        ({"if-match": '"x"'}, STRONG, FAILED),
        ({"if-match": "*"}, WEAK, GO_ON),
        ({"if-match": "*"}, None, FAILED),
        ({"if-match": '"a,b"', "if-unmodified-since": BEFORE}, STRONG, GO_ON),
        ({"if-match": '"a,b"', "if-none-match": '"a,b"'}, STRONG, NOT_MODIFIED),
        ({"if-unmodified-since": BEFORE}, STRONG, FAILED),
        ({"if-unmodified-since": THEN}, STRONG, GO_ON),
        ({"if-unmodified-since": "?"}, STRONG, GO_ON),
        ({"if-modified-since": AFTER, "if-unmodified-since": AFTER}, None, GO_ON),
    ],
)
def test_conditions_lead_where_the_standard_says(headers, there, verdict):
    """Each alone, and which counts before which."""
    assert judged(headers, there) is verdict


@pytest.mark.parametrize(
    ("header", "there", "counts"),
    [
        (None, WEAK, True),
        ('"a,b"', STRONG, True),
        (THEN, STRONG, True),
        ('W/"a,b"', STRONG, False),
        ('W/"a,b"', WEAK, False),
        ('"a,b"', WEAK, False),
        (THEN, WEAK, False),
        (AFTER, STRONG, False),
        ('"x"', STRONG, False),
        ("", STRONG, False),
    ],
)
def test_a_range_counts_for_what_is_surely_the_same(header, there, counts):
    """Parts of two states are never put together."""
    assert range_counts(header, there) is counts


@given(st.dictionaries(st.sampled_from(["if-modified-since", "if-unmodified-since", "if-match"]), st.text(max_size=40)))
def test_any_header_is_judged(headers):
    """Dates that are none raise nothing."""
    assert judged(headers, STRONG) in Verdict


@given(st.from_regex(r"\A[A-Z][a-z]{2}, [0-9]{1,9} [A-Z][a-z]{2} [0-9]{1,9} [0-9:]{1,12} [-+A-Z0-9]{1,9}\Z"))
def test_what_looks_like_a_date_raises_nothing(date):
    """Days, years and zones that no calendar has, too."""
    assert judged({"if-modified-since": date}, STRONG) in Verdict
