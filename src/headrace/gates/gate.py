"""A gate: an experiment with a seed, whose figures each have a bound.

A gate is a coroutine that is given a :class:`Run` and leaves its figures in it. It starts what it needs (servers of
this installation, upstreams with a script), breaks it in the ways that it is about, and counts. It raises only where
the experiment itself was not possible.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from headrace.testing.child import end_all
from headrace.testing.server import COMMAND, HeadraceServer

#: What is kept in words.
NOTES = 20


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was measured; at most ``most``, at least ``least``. With neither, it is told and not judged."""

    name: str
    value: float
    most: float | None = None
    least: float | None = None
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is within its bounds. What is not a number is not."""
        within = self.most is None or self.value <= self.most
        return within and (self.least is None or self.value >= self.least) and self.value == self.value


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one gate. ``size`` is how much of the whole experiment it was; 1 is all of it.

    ``notes`` say in words what some of that was which should not have been.
    """

    gate: str
    holds: bool
    seed: int
    size: float
    seconds: float
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()


class Run:
    """One run of a gate, in an empty ``folder`` of its own.

    ``size`` is how much of the whole experiment is wanted, between 0 and 1. ``command`` starts the command line that
    is examined. What is drawn from ``random`` depends on the seed alone.
    """

    def __init__(self, folder: Path, seed: int, size: float, *, command: Sequence[str] = COMMAND) -> None:
        self.folder = folder
        self.seed = seed
        self.size = size
        self.command = command
        self.random = random.Random(seed)  # noqa: S311 - an experiment has to be repeatable, not unguessable
        self.figures: list[Figure] = []
        self.notes: list[str] = []

    def of(self, whole: int, *, least: int = 1) -> int:
        """How many, where the whole experiment has ``whole``."""
        return max(least, round(whole * self.size))

    def zero(self, name: str, value: float, unit: str = "") -> None:
        """Something that must never happen, and how often it did."""
        self.figures.append(Figure(name, value, most=0, unit=unit))

    def figure(
        self, name: str, value: float, unit: str = "", *, most: float | None = None, least: float | None = None
    ) -> None:
        """Something that was measured, with its bounds."""
        self.figures.append(Figure(name, value, most, least, unit))

    def note(self, text: str) -> None:
        """Say what was not as it should be, for whoever looks into it; the first few are kept."""
        if len(self.notes) < NOTES:
            self.notes.append(text)

    def server(self, name: str, toml: str = "", **options: object) -> HeadraceServer:
        """A server that is examined, with a folder of its own below this run's; not started yet."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return HeadraceServer(folder, toml, command=self.command, **options)  # type: ignore[arg-type]


#: An experiment.
Gate = Callable[[Run], Awaitable[None]]


async def run(name: str, gate: Gate, made: Run) -> Report:
    """Run a gate to its end. One that has measured nothing does not hold."""
    began = time.monotonic()
    await gate(made)
    return Report(
        gate=name,
        holds=bool(made.figures) and all(figure.holds for figure in made.figures),
        seed=made.seed,
        size=made.size,
        seconds=round(time.monotonic() - began, 1),
        figures=tuple(made.figures),
        notes=tuple(made.notes),
    )


def run_alone(name: str, gate: Gate, made: Run) -> Report:
    """The same, in a process that is there for that alone: all that it has started has ended, whatever ends it."""
    try:
        return asyncio.run(run(name, gate, made))
    finally:
        end_all()
