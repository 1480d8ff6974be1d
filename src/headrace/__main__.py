"""``headrace`` and ``python -m headrace``: the command line."""

import importlib
import sys

from headrace import shell


def main() -> None:
    """Run the command line. What only talks to a server starts without all that makes one, in a sixth of the time."""
    if sys.argv[1:2] and sys.argv[1] in shell.COMMANDS:
        shell.app(prog_name="headrace")
    else:
        importlib.import_module("headrace.cli").main()


if __name__ == "__main__":
    main()
