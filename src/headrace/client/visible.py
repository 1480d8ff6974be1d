"""Text of a model or a server, made fit for a terminal: nothing in it moves a cursor, sets a title or hides itself.

A terminal obeys what is written to it (CWE-150), so every control character becomes U+FFFD, whatever follows it; a tab
and a line feed stay. So does every mark that turns a line's direction (CVE-2021-42574) or cannot be seen.
"""

import re
from typing import BinaryIO

_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """The text as it may be shown. Pieces may be given one by one: no sequence has to be seen whole."""
    return _CONTROLS.sub("\ufffd", text.replace("\r", ""))


class Page:
    """Where text goes out: made visible on a terminal, as it is into a pipe or a file."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.terminal = out.isatty()

    def write(self, text: str) -> None:
        """Write at once. Raises BrokenPipeError where whoever read it has left."""
        self._out.write((visible(text) if self.terminal else text).encode(errors="replace"))
        self._out.flush()
