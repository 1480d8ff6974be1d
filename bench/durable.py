"""What only a durable stream can be asked: many readers of one, and finished ones once more."""

import http.client
import json
from dataclasses import dataclass
from typing import ClassVar

from dialects import CHAT, MESSAGES, MODELS, asked, followed
from instrument import Instrument
from relays import Relay, Start
from samples import Sample


@dataclass(frozen=True)
class Readers:
    """Many who follow one stream: CPU for each chunk that is delivered, the stream's own share in it."""

    streams: int
    seconds: float
    rate: int = 50
    kind: ClassVar[str] = "readers"

    @property
    def name(self) -> str:
        return f"{self.streams} readers"

    def measure(self, instrument: Instrument, start: Start) -> Sample:
        chunks = int(self.rate * self.seconds)
        with instrument.between(start, rate=self.rate, chunks=chunks) as target:
            options = {
                **followed(begun(target)),
                "--streams": self.streams,
                "--chunks": chunks,
                "--ramp": 0.5,
                "--from": 1.5,
                "--to": self.seconds - 0.5,
                "--limit": self.seconds * 2 + 10,
            }
            found = instrument.run(target, options)
        share = found["chunks"] / max(found["window_s"], 1e-9) / (self.streams * self.rate)
        return Sample.of(found, target, share=min(share, 1.0))


def begun(target: Relay) -> str:
    """The id of a stream that goes on although its first reader leaves."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=10)
    headers = dict(line.split(": ", 1) for line in target.headers)
    body = json.dumps({"model": MODELS["chat"], "stream": True, "messages": MESSAGES})
    connection.request("POST", CHAT, body, {**headers, "Content-Type": "application/json", "Headrace-On-Leave": "keep"})
    stream = connection.getresponse().headers["Headrace-Stream-Id"]
    connection.close()
    return str(stream)


@dataclass(frozen=True)
class Replay:
    """Finished streams, read from their beginning by as many clients at once."""

    streams: int
    chunks: int = 100
    kind: ClassVar[str] = "replay"
    #: How many are written at once.
    WRITERS: ClassVar[int] = 50

    @property
    def name(self) -> str:
        return f"{self.streams:,} streams × {self.chunks} chunks"

    def measure(self, instrument: Instrument, start: Start) -> Sample:
        writing = {"--streams": self.WRITERS, "--repeat": self.streams // self.WRITERS, "--ramp": 0.5}
        with instrument.between(start, rate=100_000, chunks=self.chunks) as target:
            instrument.run(target, {**asked(), **writing, "--chunks": self.chunks, "--limit": 120})
            again = {**followed("chatcmpl-bench000#####"), "--streams": self.streams, "--chunks": self.chunks}
            found = instrument.run(target, {**again, "--limit": 120})
        return Sample.of(found, target, megabytes=found["bytes"] / max(found["window_s"], 1e-9) / 1e6)
