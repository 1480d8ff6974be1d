"""The log: lines for people or JSON, with the request and the stream that they are about, and never in anybody's way.

It is the standard library's: a formatter and a handler are all that is missing there. What stands in a line is the
caller's duty; nothing of an exception is written but its type, for its text may hold anything.
"""

import atexit
import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from headrace.config.observing import Log
from headrace.core.asked import ASKED, STREAM

#: Lines that may wait for somebody to take them.
WAITING = 10_000
#: Seconds that the last of them get when the process ends.
CLOSING = 1.0

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
#: Others' loggers whose lines hold URLs, at the levels below warnings.
_FOREIGN = ("alembic", "asyncio", "opentelemetry", "urllib3")


def _when(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _context() -> dict[str, str]:
    """What the line is about, where that is known."""
    asked, stream = ASKED.get(), STREAM.get()
    return {**({"request": asked.id} if asked else {}), **({"stream": stream} if stream else {})}


def _error(record: logging.LogRecord) -> dict[str, str]:
    kind = record.exc_info[0] if record.exc_info else None
    return {"error": kind.__name__} if kind else {}


class ConsoleFormatter(logging.Formatter):
    """A line for people. What would break it, or move their cursor, is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one line."""
        line = f"{_when(record)} {record.levelname} {record.name}: {record.getMessage()}"
        about = {**_context(), **_error(record)}
        line += "".join(f" {name}={value}" for name, value in about.items() if value not in line)
        if line.isprintable():
            return line
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


class JsonFormatter(logging.Formatter):
    """An object."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one line."""
        line = {
            "time": _when(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_context(),
            **_error(record),
        }
        return msgspec.json.encode(line).decode()


class Sink(logging.Handler):
    """Writes lines to a descriptor, in a thread: where nobody takes them they wait, and then they are dropped.

    ``dropped`` is called for each of those. It works on after ``close``, as the standard library's own handlers do:
    whoever else configures logging (the HTTP server does) closes all that are there.
    """

    def __init__(self, descriptor: int, dropped: Callable[[], None] = lambda: None, waiting: int = WAITING) -> None:
        super().__init__()
        self.dropped = dropped
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes | threading.Event] = queue.Queue(waiting)
        threading.Thread(target=self._write, name="headrace-log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line over; never waits."""
        try:
            line = self.format(record)
        except (TypeError, ValueError):  # a message that does not fit its arguments
            line = f"{record.name}: a line that could not be written"
        try:
            self._lines.put_nowait(line.encode(errors="backslashreplace") + b"\n")
        except queue.Full:
            self.dropped()

    def flush(self) -> None:
        """Write what waits, for a moment."""
        written = threading.Event()
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(written)
            written.wait(CLOSING)

    def _write(self) -> None:
        while line := self._lines.get():
            if isinstance(line, threading.Event):
                line.set()
                continue
            with contextlib.suppress(OSError):  # whoever read them has left
                while line:
                    # Not sys.stderr: a thread that is stuck within it would stop the interpreter from ending.
                    line = line[os.write(self._descriptor, line) :]


def configure(settings: Log) -> Sink:
    """Have everything logged as the settings say, on standard error."""
    sink = Sink(2)
    sink.setFormatter(JsonFormatter() if settings.format == "json" else ConsoleFormatter())
    # What no line of ours tells is not looked up for each (the standard library's HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - it is how this is switched off
    root = logging.getLogger()
    root.handlers[:] = [sink]
    atexit.register(sink.flush)
    root.setLevel(_LEVELS[settings.level])
    for name in _FOREIGN:
        logging.getLogger(name).setLevel(max(logging.WARNING, _LEVELS[settings.level]))
    return sink


def count_dropped(count: Callable[[], None]) -> None:
    """Have dropped lines counted from now on, where the log is ours."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Sink):
            handler.dropped = count
