"""Draw ``docs/terminal.svg``: a conversation with the demo, as ``headrace chat`` shows it.

make run                                   # in another terminal
python scripts/terminal_picture.py
"""

import io
import re
from pathlib import Path

from rich.console import Console
from rich.text import Text

from headrace.client import Client
from headrace.client.talk import Talk
from headrace.client.terminal import Terminal

PICTURE = Path(__file__).parent.parent / "docs/terminal.svg"
TYPED = ["What is durable about it?", "/model demo/truncate", "Go on.", "/quit"]


def main() -> None:
    """Talk, and draw what was shown."""
    console = Console(record=True, color_system="truecolor", width=88, file=io.StringIO(), highlight=False)
    typed = iter(TYPED)

    def read(prompt: str) -> str:
        line = next(typed)
        console.print(Text.assemble((prompt, "bold green"), line))
        return line

    def client(*_: object) -> Client:
        return Client()

    Terminal(client, Talk("demo"), console, read=read).run()
    drawn = console.export_svg(title="headrace chat")
    # A picture asks nobody for its letters.
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
