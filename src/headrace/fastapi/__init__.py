"""Streaming replies for FastAPI, which a client can leave, rejoin, watch and cancel.

::

    from headrace.fastapi import Streams

    streams = Streams("sqlite:///streams.db")
    app.include_router(streams.router)            # rejoin, watch, cancel

    @app.post("/report")
    async def report(job: Job):
        return streams.sse(run(job))              # also .ndjson(rows) .csv(rows) .text(words) .bytes(chunks)

``run`` is an ordinary generator, asynchronous or not. Without a store, ``sse``, ``ndjson``, ``csv``, ``text`` and
``bytes_`` of this module are the same replies, sent and forgotten. ``JsonLines``, ``Blocks`` and ``Progress`` put what
comes in other pieces.
"""

from headrace.core.deadlines import Limits
from headrace.errors import ConfigError
from headrace.fastapi.errors import StreamError
from headrace.fastapi.forms import Event
from headrace.fastapi.reframing import Blocks, JsonLines, Progress
from headrace.fastapi.streams import Stream, Streams
from headrace.wire.ndjson import MalformedLine

__all__ = [
    "Blocks",
    "ConfigError",
    "Event",
    "JsonLines",
    "Limits",
    "MalformedLine",
    "Progress",
    "Stream",
    "StreamError",
    "Streams",
    "bytes_",
    "csv",
    "ndjson",
    "sse",
    "text",
]

_plain = Streams(None)

sse = _plain.sse
ndjson = _plain.ndjson
csv = _plain.csv
text = _plain.text
bytes_ = _plain.bytes
