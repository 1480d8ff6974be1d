"""Markdown that grows: its finished blocks are printed once, and only the last one is drawn again."""

from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Heading, Markdown, MarkdownElement
from rich.segment import Segment
from rich.text import Text

from headrace.client.visible import visible

#: Lines of an unfinished block that are laid out: more than any screen shows.
_LAID_OUT = 120
#: Characters of a block that is looked at with each of its lines.
_SMALL = 1000
_MARKS = ("`", "~", "|", "-", "=", "*", "#")


class _Title(Heading):
    """A heading at the left, as everything else is."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        yield self.text


class _Markdown(Markdown):
    """Addresses of links are shown, never hidden behind a word (OSC 8). What entities stand for is made visible."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {**Markdown.elements, "heading_open": _Title}

    def __init__(self, text: str) -> None:
        super().__init__(text, hyperlinks=False, code_theme="monokai")
        for block in self.parsed:
            for token in block.children or (block,):
                token.content = visible(token.content)


class Laid:
    """Markdown for a terminal, without the empty lines and ends of lines that only fill the screen."""

    def __init__(self, text: str, *, most: int | None = None) -> None:
        self._markdown = _Markdown(text)
        self._most = most

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [_filled(line) for line in console.render_lines(self._markdown, options.update(height=None), pad=False)]
        while lines and not lines[0]:
            del lines[0]
        while lines and not lines[-1]:
            del lines[-1]
        for line in lines[-self._most :] if self._most else lines:
            yield from line
            yield Segment.line()


class Growing:
    """Text in pieces to blocks. What a model says is made visible on its way in.

    To see whether another block has begun is to parse what is not finished. So a long block is looked at again only
    when an eighth of it has come anew: all looks together cost a few times what the text costs once.
    """

    def __init__(self) -> None:
        #: What has come of blocks that are not finished.
        self.rest = ""
        #: Characters of it with which it is looked at again.
        self._enough = 0

    def feed(self, piece: str) -> str:
        """Take a piece; returns the markdown of the blocks that it finished. A block begins in a line of its own."""
        self.rest += visible(piece)
        if "\n" not in piece or len(self.rest) < self._enough:
            return ""
        done = self._cut(self._last_begins())
        self._enough = len(self.rest) + max(len(self.rest) - _SMALL, 0) // 8
        return done

    def close(self) -> str:
        """The markdown of what is left."""
        return self._cut(len(self.rest))

    def _last_begins(self) -> int:
        """Where the last block begins: another line may still belong to it."""
        begins = [token.map[0] for token in Markdown(self.rest).parsed if token.level == 0 and token.map]
        if len(set(begins)) < 2:
            return 0
        lines = self.rest.splitlines(keepends=True)
        return len("".join(lines[: begins[-1]]))

    def _cut(self, end: int) -> str:
        done, self.rest = self.rest[:end], self.rest[end:]
        return done


class Unfinished:
    """The last block as it stands: its end, where a screen cannot hold all of it."""

    def __init__(self, text: str) -> None:
        last = text[text.rfind("\n") + 1 :].lstrip()
        # Where the line may be a fence, a rule or a row, the cursor would make another thing of it.
        self._text = _end_of(text) + ("" if last.startswith(_MARKS) else "▍")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Laid(self._text, most=max(console.height - 3, 1))


def _end_of(text: str) -> str:
    """The last lines of a block; of code with its first, which says in what language it is."""
    lines = text.split("\n")
    if len(lines) <= _LAID_OUT:
        return text
    first = lines[:1] if lines[0].startswith(("```", "~~~")) else []
    return "\n".join([*first, *lines[-_LAID_OUT:]])


def _filled(line: list[Segment]) -> list[Segment]:
    """A line to its last visible character; a background is visible."""
    shown = list(line)
    while shown and not shown[-1].text.strip() and not (shown[-1].style and shown[-1].style.bgcolor):
        shown.pop()
    if shown and not (shown[-1].style and shown[-1].style.bgcolor):
        shown[-1] = Segment(shown[-1].text.rstrip(), shown[-1].style)
    return shown


def faint(text: str) -> Text:
    """A line about an answer, that is not of it."""
    return Text(visible(text), style="dim")
