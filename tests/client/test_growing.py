"""Markdown that grows: what is finished is handed out once, and nothing is left out."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.markdown import Markdown

from headrace.client.growing import Growing, Laid, Unfinished
from headrace.client.visible import visible

ANSWER = """\
# A title

A paragraph of
two lines.

- one
- two

  still two

```python
a = 1

# no title
b = 2
```
| a | b |
|---|---|
| 1 | 2 |

The end."""


def shown(renderable, width=40, height=10):
    out = io.StringIO()
    Console(file=out, width=width, height=height, color_system=None).print(renderable)
    return out.getvalue()


def blocks(pieces):
    growing = Growing()
    found = [growing.feed(piece) for piece in pieces] + [growing.close()]
    assert growing.rest == ""
    return [block for block in found if block.strip()]


def test_a_block_is_finished_when_the_next_one_begins():
    """Code, a list and a table in one piece each; what the end finishes comes with the last of them."""
    found = blocks(ANSWER)
    assert "".join(found) == ANSWER
    assert [block.split("\n")[0] for block in found] == [
        "# A title",
        "A paragraph of",
        "- one",
        "```python",
        "| a | b |",
    ]


@given(st.text(alphabet="a`-#|>*_[]() \n\t1.", max_size=60), st.integers(1, 7))
def test_nothing_is_left_out(text, size):
    """Whatever it is, and whatever pieces it comes in."""
    growing = Growing()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert "".join([*map(growing.feed, pieces), growing.close()]) == text


def test_a_long_list_is_not_parsed_for_each_of_its_items(monkeypatch):
    """What is parsed is a few times what came; what follows the list still finishes it."""
    parsed = []
    monkeypatch.setattr("headrace.client.growing.Markdown", lambda text: parsed.append(text) or Markdown(text))
    pieces = [f"- item {number}\n" for number in range(2000)]
    growing = Growing()
    assert not any(growing.feed(piece) for piece in pieces)
    assert sum(map(len, parsed)) < 20 * sum(map(len, pieces))
    after = [growing.feed(piece) for piece in ["\nThe end.\n"] * 200]
    assert next(done for done in after if done).startswith("".join(pieces))


def test_it_looks_the_same_as_whole():
    """Blocks apart by one empty line are what the text as a whole is; no line ends in spaces."""
    apart = "\n".join(shown(Laid(block)) for block in blocks(ANSWER))
    assert [line for line in apart.splitlines() if line] == [line for line in shown(Laid(ANSWER)).splitlines() if line]
    assert "\n\n\n" not in shown(Laid("a\n\n- b\n"))
    assert not any(line.endswith(" ") for line in shown(Laid("a\n\n- b\n\nc")).splitlines())


@pytest.mark.parametrize(
    ("text", "cursor"), [("Some te", True), ("- one\n- ", False), ("```\nx\n```", False), ("", True)]
)
def test_a_cursor_stands_where_it_makes_nothing_else_of_the_text(text, cursor):
    assert ("▍" in shown(Unfinished(text))) is cursor


def test_what_is_unfinished_fits_the_screen():
    """Its end does; of long code still as code."""
    code = "```python\n" + "".join(f"line_{number}\n" for number in range(500))
    lines = shown(Unfinished(code), height=10).splitlines()
    assert len(lines) == 7
    assert "line_499" in "".join(lines)
    assert "```" not in "".join(lines)


def test_links_are_shown_with_their_address():
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=True).print(Laid("[click](http://evil.test/x) ![i](http://evil.test/y)"))
    assert "http://evil.test/x" in out.getvalue()
    assert "\x1b]8" not in out.getvalue()


@pytest.mark.parametrize(
    "text",
    ["a &#8238;b", "# &#x202e;b", "- *&rlm;b*", "| a |\n|---|\n| &#8238;b |", "[&#8203;b](http://x.test/&#8238;)"],
)
def test_what_an_entity_stands_for_is_visible(text):
    """A mark that turns the line or hides itself comes that way too, after its text was made visible."""
    out = shown(Laid(text))
    assert "\ufffdb" in out
    assert visible(out) == out
