"""Which gates there are."""

import importlib
from collections.abc import Mapping

from headrace.gates.gate import Gate

#: What each of them does, in the order in which they are run. Each has a module of its name, with a ``gate``.
GATES: Mapping[str, str] = {
    "kill": "kill -9 in the middle of answers: nothing lost, doubled or called complete",
    "power": "power cuts: what was promised to be on the disk is there, and a loss is told",
}


def gate(name: str) -> Gate:
    """The gate of that name. Raises KeyError where there is none."""
    if name not in GATES:
        raise KeyError(name)
    found: Gate = importlib.import_module(f"headrace.gates.{name}").gate  # each needs what the others do not
    return found
