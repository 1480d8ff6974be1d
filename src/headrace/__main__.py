"""``headrace`` and ``python -m headrace``: the command line."""

import gc
import importlib
import sys

from headrace import shell


def main() -> None:
    """Run the command line. What only talks to a server starts without all that makes one, in a sixth of the time."""
    if sys.argv[1:2] and sys.argv[1] in shell.COMMANDS:
        shell.app(prog_name="headrace")
        return
    gc.disable()  # nothing of what is imported is ever garbage, and looking for some takes a fifth of the time
    cli = importlib.import_module("headrace.cli")
    gc.enable()
    cli.main()


if __name__ == "__main__":
    main()
