"""The load, run against what stands before the mock upstream."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import compiled, cores, end
from relays import Relay, Start, mock_upstream

PROGRAMS = ("mock_upstream", "load", "requests")


@dataclass(frozen=True)
class Instrument:
    """The compiled programs, by name."""

    programs: Mapping[str, Path]

    @classmethod
    def built(cls, folder: Path) -> "Instrument":
        return cls({name: compiled(name, folder) for name in PROGRAMS})

    @contextlib.contextmanager
    def between(self, start: Start, *, rate: int, chunks: int) -> Iterator[Relay]:
        """A relay before an upstream that sends so many chunks, so many a second: all started now and ended after."""
        with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
            mock = mock_upstream(self.programs["mock_upstream"], rate=rate, chunks=chunks)
            with mock as upstream, start(upstream, Path(name)) as target:
                yield target

    def run(self, target: Relay, options: Mapping[str, object], program: str = "load") -> dict[str, Any]:
        """What the load has found."""
        done = subprocess.run(self._command(program, target, options), check=True, capture_output=True, text=True)
        if done.stderr:
            print(done.stderr.strip(), file=sys.stderr)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    @contextlib.contextmanager
    def holding(self, target: Relay, options: Mapping[str, object]) -> Iterator[int]:
        """Streams that stay open meanwhile; how many have got their first chunk."""
        command = self._command("load", target, {**options, "--hold": 1})
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            line = process.stdout.readline().split() if process.stdout else []
            yield int(line[1]) if line[:1] == [b"open"] else 0
        finally:
            process.communicate()
            end(process)

    def _command(self, program: str, target: Relay, options: Mapping[str, object]) -> list[str]:
        relay_core, own_core = cores()
        repeated = [("--pid", pid) for pid in target.pids] + [("--header", line) for line in target.headers]
        given = [("--port", target.port), ("--core", relay_core), *repeated, *options.items()]
        return [
            *("taskset", "-c", str(own_core), str(self.programs[program])),
            *(str(text) for pair in given for text in pair),
        ]
