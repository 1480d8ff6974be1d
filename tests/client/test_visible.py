"""What a terminal may be shown: text, and nothing that it obeys."""

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.client.visible import Page, visible


@given(st.text())
def test_no_control_character_is_left(text):
    """Of all there are: a tab and a line feed stay, and what is written is text."""
    found = visible(text)
    assert not [char for char in found if unicodedata.category(char) in ("Cc", "Cs") and char not in "\t\n"]
    assert len(found.encode()) >= len(found)


@given(st.text(alphabet="a\x1b[31m\r\n\x9b\u202e\u200d"), st.integers(1, 5))
def test_pieces_are_as_the_whole(text, size):
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert "".join(map(visible, pieces)) == visible(text)


@pytest.mark.parametrize("text", ["é 日本 👩‍👩‍👧 🇳🇴", "a\tb\n", "עברית", "q̃"])
def test_text_of_any_language_is_as_it_was(text):
    """Emoji that are made of several stay one."""
    assert visible(text) == text


class Terminal(io.BytesIO):
    """A file that is a terminal."""

    def isatty(self):
        return True


def test_a_pipe_gets_what_the_model_wrote():
    for out, told in [(io.BytesIO(), b"a\x1b[1m\r\n"), (Terminal(), "a\ufffd[1m\n".encode())]:
        Page(out).write("a\x1b[1m\r\n")
        assert out.getvalue() == told
