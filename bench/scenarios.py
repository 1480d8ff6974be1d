"""What is measured: each scenario runs once against a relay, and gives a sample."""

import math
import time
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from dialects import asked, asked_whole
from instrument import Instrument
from processes import memory
from relays import Start
from samples import Sample

#: The p99, in milliseconds, up to which a load counts as carried.
IN_TIME = 50.0


class Scenario(Protocol):
    """One thing to measure. ``kind`` says in which table it stands."""

    kind: ClassVar[str]

    @property
    def name(self) -> str: ...
    @property
    def streams(self) -> int: ...
    def measure(self, instrument: Instrument, start: Start) -> Sample: ...


@dataclass(frozen=True)
class Steady:
    """Streams that run side by side: CPU and latency are read while all of them flow.

    ``grace``: what they get to end after the upstream's time; those that have not are not whole.
    """

    streams: int
    rate: int
    seconds: float
    grace: float = 15.0
    kind: ClassVar[str] = "steady"

    @property
    def name(self) -> str:
        return f"{self.streams:,} × {self.rate}/s"

    def measure(self, instrument: Instrument, start: Start) -> Sample:
        return flowing(self, instrument, start, asked())


@dataclass(frozen=True)
class Pair(Steady):
    """The same, where the client speaks another dialect than the upstream."""

    client: str = "chat"
    upstream: str = "chat"
    kind: ClassVar[str] = "pair"

    @property
    def name(self) -> str:
        return f"{self.client} over {self.upstream}"

    def measure(self, instrument: Instrument, start: Start) -> Sample:
        return flowing(self, instrument, start, asked(self.client, self.upstream))


def flowing(load: Steady, instrument: Instrument, start: Start, what: dict[str, object]) -> Sample:
    """Streams at a steady rate; the window is open while all of them flow."""
    ramp, chunks = 1.0, int(load.rate * load.seconds)
    options = {
        **what,
        "--streams": load.streams,
        "--chunks": chunks,
        "--ramp": ramp,
        "--from": ramp + 1,
        "--to": load.seconds - 0.5,
        "--limit": ramp + load.seconds + load.grace,
    }
    with instrument.between(start, rate=load.rate, chunks=chunks) as target:
        found = instrument.run(target, options)
    share = found["chunks"] / max(found["window_s"], 1e-9) / (load.streams * load.rate)
    return Sample.of(found, target, share=min(share, 1.0))


@dataclass(frozen=True)
class FirstByte:
    """Short streams again and again over kept-alive connections: the time from question to first token."""

    streams: int
    repeat: int
    kind: ClassVar[str] = "first"

    @property
    def name(self) -> str:
        return f"first byte at {self.streams}"

    def measure(self, instrument: Instrument, start: Start) -> Sample:
        options = {
            **asked(),
            "--streams": self.streams,
            "--chunks": 10,
            "--repeat": self.repeat,
            "--ramp": 0.5,
            "--limit": self.repeat * 0.5 + 20,
        }
        with instrument.between(start, rate=50, chunks=10) as target:
            return Sample.of(instrument.run(target, options), target)


@dataclass(frozen=True)
class Short:
    """Whole answers over kept-alive connections that each ask again at once: what a relay's core carries of them."""

    seconds: float
    streams: int = 32
    kind: ClassVar[str] = "short"

    @property
    def name(self) -> str:
        return f"{self.streams} at once"

    def measure(self, instrument: Instrument, start: Start) -> Sample:
        window = {"--from": 1.0, "--to": 1.0 + self.seconds, "--limit": self.seconds + 20}
        with instrument.between(start, rate=0, chunks=1) as target:
            found = instrument.run(target, {**asked_whole(), "--streams": self.streams, **window}, "requests")
        return Sample.of(found, target)


@dataclass(frozen=True)
class Idle:
    """Streams that are open and silent after their first chunk: what each holds in memory."""

    streams: int
    kind: ClassVar[str] = "idle"

    @property
    def name(self) -> str:
        return f"{self.streams:,} idle"

    def measure(self, instrument: Instrument, start: Start) -> Sample:
        options = {
            **asked(),
            "--streams": self.streams,
            "--chunks": 2,
            "--header": "Headrace-On-Leave: cancel",
            "--ramp": self.streams / 400,
            "--limit": 60,
        }
        with instrument.between(start, rate=0, chunks=2) as target:
            before = memory(target.pids)
            with instrument.holding(target, options) as count:
                time.sleep(1.0)
                held = memory(target.pids) - before
        return Sample({"kb": held / max(count, 1) / 1024, "open": count}, lost=self.streams - count)


@dataclass(frozen=True)
class Saturation:
    """How many streams one core carries: all of them whole, none of their chunks later than 50 ms but one in a hundred.

    The steps are searched by halves.
    """

    rate: int
    seconds: float
    streams: int = 3000
    kind: ClassVar[str] = "saturation"
    STEPS: ClassVar[tuple[int, ...]] = (10, 20, 50, 100, 150, 200, 300, 400, 500, 750, 1000, 1500, 2000, 2500, 3000)

    @property
    def name(self) -> str:
        return f"n × {self.rate}/s"

    def measure(self, instrument: Instrument, start: Start) -> Sample:
        low, high, others, best = 0, len(self.STEPS), 0.0, Sample({"most": 0.0})
        while low < high:
            middle = (low + high) // 2
            load = Steady(self.STEPS[middle], self.rate, self.seconds, grace=2.0)
            found = load.measure(instrument, start)
            others = max(others, found.others)
            if carried(found):
                low, best = middle + 1, Sample({"most": float(load.streams), **found.figures})
            else:
                high = middle
        return replace(best, others=others)


def carried(sample: Sample) -> bool:
    """Whether everything came, and in time."""
    return not sample.lost and sample.figures["share"] >= 0.99 and sample.figures.get("p99", math.inf) <= IN_TIME
