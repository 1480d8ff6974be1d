"""``headrace`` and ``python -m headrace``: the command line."""

import gc
import importlib
import os
import sys

from headrace import shell


def main() -> None:
    """Run the command line. What only talks to a server starts without all that makes one, in a sixth of the time."""
    _open_missing()
    if sys.argv[1:2] and sys.argv[1] in shell.COMMANDS:
        shell.app(prog_name="headrace")
        return
    gc.disable()  # nothing of what is imported is ever garbage, and looking for some takes a fifth of the time
    cli = importlib.import_module("headrace.cli")
    gc.enable()
    cli.main()


def _open_missing() -> None:
    """Open as nothing what is closed of the standard streams (``2>&-``).

    Else the next file or connection would get the number of one of them, and what is logged or printed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8"))


if __name__ == "__main__":
    main()
