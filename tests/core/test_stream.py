"""Ids, cursors and where a stream ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.log import Head
from headrace.core.stream import NOTHING_SEEN, TRANSITIONS, Cursor, new_id, parse_event_id, past_end
from headrace.errors import OffsetAhead, RequestError
from headrace.model.outcome import Outcome, State
from headrace.model.request import Meta

META = Meta(owner="local", dialect="test", created=1.0)
DONE = Outcome(state=State.COMPLETED, reason="stop", ended_at=1.0)


def test_ids_are_long_and_differ() -> None:
    """An id holds 130 random bits in URL-safe letters."""
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(id) == 29 and id.startswith("st_") and id.isascii() for id in ids)


@given(st.integers(0, 10**12), st.integers(0, 1000))
def test_what_a_cursor_writes_it_reads(step: int, part: int) -> None:
    """The written form is read back as the same place."""
    cursor = Cursor(step, part)
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1.",
        ".1",
        "0.1",
        "1.0",
        "1.2.3",
        "٣",
        "1e3",
        "0x1",
        "9" * 16,
        "1" * 10_000,
        "a\0",
        "1\0",
        "1'; DROP",
        "²",
    ],
)
def test_a_cursor_that_is_none_is_refused(text: str) -> None:
    """Only digits, and a dot between two numbers."""
    with pytest.raises(RequestError):
        Cursor.parse(text)


@given(st.text(max_size=40))
def test_no_event_id_makes_anything_but_a_request_error(text: str) -> None:
    """Whatever a client sends as Last-Event-ID is read or refused."""
    try:
        stream, cursor = parse_event_id(text)
    except RequestError:
        return
    assert cursor.step >= 0
    assert not stream or text.startswith(stream)


def test_an_event_id_may_name_its_stream() -> None:
    """Both forms are understood."""
    assert parse_event_id("12") == ("", Cursor(12))
    assert parse_event_id("st_x:13.2") == ("st_x", Cursor(12, 2))
    with pytest.raises(RequestError):
        parse_event_id(":12")


@pytest.mark.parametrize(
    ("cursor", "outcome", "expected"),
    [
        (NOTHING_SEEN, DONE, False),
        (Cursor(0), DONE, False),
        (Cursor(3), DONE, False),
        (Cursor(3, 1), DONE, False),
        (Cursor(4), DONE, True),
        (Cursor(3), None, False),
    ],
)
def test_the_end_has_a_place_after_the_last_record(cursor: Cursor, outcome: Outcome | None, expected: bool) -> None:
    """A closed log of three records ends at 4."""
    assert past_end(Head("st_x", META, "test", 3, outcome), cursor) is expected


@pytest.mark.parametrize(
    ("cursor", "outcome"), [(Cursor(5), DONE), (Cursor(4, 1), DONE), (Cursor(4), None), (Cursor(3, 1), None)]
)
def test_a_cursor_beyond_that_is_refused(cursor: Cursor, outcome: Outcome | None) -> None:
    """What nobody can have seen has been lost, or never was."""
    with pytest.raises(OffsetAhead):
        past_end(Head("st_x", META, "test", 3, outcome), cursor)


def test_a_stream_ends_once() -> None:
    """No state that is an end leads anywhere."""
    ends = TRANSITIONS[State.OPEN]
    assert ends == set(State) - {State.OPEN}
    assert not any(end in TRANSITIONS for end in ends)
