"""Paths of files: what is let through can only lead down."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.wire.traversals import TRAVERSALS

from headrace.errors import NotFound
from headrace.wire.file_path import MAX_DEPTH, names_in


@pytest.mark.parametrize(
    "path", ["a", "a.txt", "a/b/c.txt", "报告.csv", "100%.txt", "a b.txt", "%2e%2e", "a..b", "con-1", 'a "b"?.mp4']
)
def test_an_ordinary_path_is_its_names(path):
    """As they are written."""
    assert list(names_in(path)) == path.split("/")


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "./a", ".env", "a/.git/config", "a.", "a ", "..."),
        *("a\\b", "..\\a", "C:", "C:a", "a:stream", "a::$DATA", "a\0b", "a\nb", "a\x7f", "a\u202eb", "a\u2028"),
        *("\ud800", "a\ufffdb", "nul", "NUL.txt", "con", "Con.tar.gz", "com1", "lpt9.txt", "aux ", "COM\u00b9"),
        *("x" * 256, "é" * 128, "a/" * MAX_DEPTH + "b", "a/b/" * 1000),
    ],
)
def test_any_other_path_leads_nowhere(path):
    """It is not found, like all that is not there."""
    with pytest.raises(NotFound):
        names_in(path)


@settings(max_examples=2000)
@example("..%2f")
@given(st.text() | st.lists(st.sampled_from(["..", ".", "/", "\\", "%2e", "a", "\0", ":", " "])).map("".join))
def test_what_is_let_through_leads_down(path):
    """No name goes up, stays, is absolute or is two names on any system."""
    try:
        names = names_in(path)
    except NotFound:
        return
    assert "/".join(names) == path
    for name in names:
        assert name.strip(". ")
        assert not set(name) & set("/\\:\0")


def test_the_corpus_is_large_and_each_of_it_is_there_once():
    """What the tests of the route ask for."""
    assert len(TRAVERSALS) == len(set(TRAVERSALS)) >= 500
