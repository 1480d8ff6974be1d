"""Which gates there are."""

import importlib
from collections.abc import Mapping

from headrace.gates.gate import Gate
from headrace.testing.child import ServerFailed, installed
from headrace.testing.nginx import SHIPPED

#: What each of them does, in the order in which they are run. Each has a module of its name, with a ``gate``.
GATES: Mapping[str, str] = {
    "kill": "kill -9 in the middle of answers: nothing lost, doubled or called complete",
    "slow": "a thousand readers that take nothing, and fifty live ones beside them",
    "leave": "leave and stop answers in every moment: the upstream is closed, and nothing stays behind",
    "drain": "SIGTERM under load: it ends in time, and nothing that is unfinished looks finished",
    "storm": "two thousand readers that are cut by a restart and come back at once",
    "secrets": "canaries in keys, prompts, answers and tickets: they are only where they belong",
    "exhaustion": "disks full and broken, no descriptors, a locked database, a wrong clock",
    "soak": "ten minutes of everything at once: nothing grows, and nothing is left",
    "power": "power cuts: what was promised to be on the disk is there, and a loss is told",
    "nodes": "two nodes on one Redis: kill -9, and a Redis that breaks; readers go on, or are told",
    "rolling": "rolling restarts under load: answers end whole, or are told to be interrupted",
    "resume": "resumptions at every place of any answer, and cursors that are made up",
    "malformed": "answers broken in every way: none crashes, hangs, or is taken for whole",
    "simulation": "the core on a clock of its own, in drawn orders: all promises hold, whatever fails",
    "corruption": "flipped bits, lost pages and cut files: never a wrong byte, nothing deleted",
}

#: The programs of the machine without which a gate is not possible.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "nodes": ("redis-server", "nginx"),
    "rolling": ("redis-server", "nginx"),
}


def gate(name: str) -> Gate:
    """The gate of that name. Raises KeyError where there is none."""
    if name not in GATES:
        raise KeyError(name)
    found: Gate = importlib.import_module(f"headrace.gates.{name}").gate  # each needs what the others do not
    return found


def lacking(name: str) -> str:
    """What a gate needs and is not here, in a sentence; empty where all of it is."""
    needs = NEEDS.get(name, ())
    if "nginx" in needs and not SHIPPED.is_file():
        return "it is run in a checkout, for nginx's configuration"
    try:
        for program in needs:
            installed(program)
    except ServerFailed as error:
        return str(error)
    return ""
