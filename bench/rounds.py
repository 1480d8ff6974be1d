"""Rounds: in each, every relay meets every scenario that is planned for it."""

import sys
import time
from dataclasses import dataclass, field

from instrument import Instrument
from peers import NAMES as PEERS
from plan import Task
from processes import DoesNotListen
from relays import Start
from report import NOISE
from samples import Results, Sample
from scenarios import Scenario


@dataclass
class Quiet:
    """Repeats what was disturbed: a run at most so often, all of them for so many seconds."""

    tries: int
    seconds: float

    def measure(self, scenario: Scenario, start: Start, instrument: Instrument) -> Sample:
        """The least disturbed run; the first, where nothing else ran on the relay's core."""
        samples = [scenario.measure(instrument, start)]
        while samples[-1].others > NOISE and len(samples) < self.tries and self.seconds > 0:
            began = time.monotonic()
            samples.append(scenario.measure(instrument, start))
            self.seconds -= time.monotonic() - began
        return min(samples, key=lambda sample: sample.others)


@dataclass
class Rounds:
    """Measures, and keeps what was found. A peer that does not start joins the ``absent``."""

    instrument: Instrument
    relays: dict[str, Start]
    absent: dict[str, str]
    quiet: Quiet
    results: Results
    took: dict[tuple[Task, str], float] = field(default_factory=dict)

    def run(self, tasks: list[Task], rounds: int, seconds: float) -> None:
        """So many rounds, as far as they fit into the time by what they took before; one at least."""
        end = time.monotonic() + seconds
        for number in range(rounds):
            meetings = self._meetings(tasks, number)
            if number and time.monotonic() + sum(self.took.get(meeting, 0.0) for meeting in meetings) > end:
                return
            for task, relay in meetings:
                self._meet(task, relay, f"round {number + 1}")

    def _meetings(self, tasks: list[Task], number: int) -> list[tuple[Task, str]]:
        return [(task, name) for task in tasks if number < task.rounds for name in task.relays if name in self.relays]

    def _meet(self, task: Task, relay: str, when: str) -> None:
        if relay in self.absent:
            return
        began = time.monotonic()
        quiet = self.quiet if task.retried else Quiet(1, 0)
        try:
            sample = quiet.measure(task.scenario, self.relays[relay], self.instrument)
        except DoesNotListen:
            if relay not in PEERS:
                raise
            self.absent[relay] = "it did not start"
            return
        self.results.add(task.scenario.name, relay, sample)
        self.took[task, relay] = time.monotonic() - began
        said = f"{when}, {task.scenario.name}, {relay}, {self.took[task, relay]:.0f} s"
        print(f"{said}: {sample.line()}", file=sys.stderr)
