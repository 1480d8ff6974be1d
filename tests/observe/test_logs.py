"""The log: what a line holds, what it never does, and that nobody waits for it."""

import json
import logging
import os
import sys
import time

import pytest
from tests.faces.front import MESSAGES, Fake, front

from headrace.config import Settings
from headrace.core.asked import ASKED, STREAM, Asked
from headrace.errors import UpstreamFault
from headrace.observe import logs
from headrace.observe.logs import ConsoleFormatter, JsonFormatter, Sink
from headrace.testing.fake_upstream import chunk, finish


def record(message: str, *values: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    return logging.LogRecord("headrace.x", logging.INFO, "file.py", 1, message, values, info)


@pytest.fixture
def about():
    """A request and a stream."""
    asked, stream = ASKED.set(Asked("req_1", 0.0)), STREAM.set("st_1")
    yield
    STREAM.reset(stream)
    ASKED.reset(asked)


def test_a_json_line_is_one_object(about):
    """With the ids, and an exception's type; whatever the message has in it."""
    line = JsonFormatter().format(record("a %s\nb", '"\x00', error=ValueError("canary")))
    assert "\n" not in line
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "info",
        "logger": "headrace.x",
        "message": 'a "\x00\nb',
        "request": "req_1",
        "stream": "st_1",
        "error": "ValueError",
    }


def test_a_line_for_people_is_one_line(about):
    """An id that the message has already is not said again; control characters move nobody's cursor."""
    line = ConsoleFormatter().format(record("stream st_1: %s", "a\r\n\x1b[2Jb", error=ValueError("canary")))
    assert line.endswith(r"INFO headrace.x: stream st_1: a\r\n\x1b[2Jb request=req_1 error=ValueError")


def test_nothing_is_made_up():
    """Where nothing is known, nothing is said."""
    assert set(json.loads(JsonFormatter().format(record("x")))) == {"time", "level", "logger", "message"}


def read(descriptor: int, until: bytes) -> bytes:
    found = b""
    while until not in found:
        found += os.read(descriptor, 1 << 16)
    return found


def test_a_full_pipe_stops_nobody():
    """What does not fit is dropped and counted; what was waiting comes once somebody reads."""
    reading, writing = os.pipe()
    dropped: list[None] = []
    sink = Sink(writing, lambda: dropped.append(None), waiting=100)
    begun = time.monotonic()
    for number in range(5000):
        sink.emit(record("%d %s", number, "x" * 200))
    assert time.monotonic() - begun < 2
    assert len(dropped) > 4000
    found = read(reading, b"0 xxx")
    assert found.startswith(b"0 xxx")
    os.close(reading)
    sink.flush()
    os.close(writing)


def test_closing_does_not_wait_for_ever(monkeypatch):
    """Nobody reads, and the process ends all the same."""
    monkeypatch.setattr(logs, "CLOSING", 0.05)
    reading, writing = os.pipe()
    sink = Sink(writing, waiting=2000)
    for _ in range(1000):
        sink.emit(record("x" * 200))
    begun = time.monotonic()
    sink.flush()
    assert time.monotonic() - begun < 1
    os.close(reading)  # lets the thread go
    monkeypatch.setattr(logs, "CLOSING", 5.0)
    sink.flush()
    os.close(writing)


def test_it_survives_that_others_configure_logging():
    """As the HTTP server does when it starts: that closes every handler."""
    reading, writing = os.pipe()
    sink = Sink(writing)
    sink.emit(record("before"))
    sink.close()
    sink.emit(record("after"))
    sink.flush()
    assert os.read(reading, 4096) == b"before\nafter\n"
    os.close(reading)
    os.close(writing)


def test_what_waits_is_written_at_the_end():
    """A short-lived process loses nothing."""
    reading, writing = os.pipe()
    sink = Sink(writing)
    for number in range(50):
        sink.emit(record("%d", number))
    sink.flush()
    os.close(writing)
    assert b"".join(iter(lambda: os.read(reading, 4096), b"")) == b"".join(b"%d\n" % number for number in range(50))
    os.close(reading)


def test_a_broken_line_breaks_nothing(capfd):
    """It says where it came from, and nothing on standard error."""
    reading, writing = os.pipe()
    sink = Sink(writing)
    sink.emit(record("%d", "canary"))
    sink.flush()
    assert os.read(reading, 4096) == b"headrace.x: a line that could not be written\n"
    os.close(reading)
    os.close(writing)
    assert capfd.readouterr().err == ""


class Written(logging.Handler):
    """Formats where a line is logged, as the real one does: only there is known what it is about."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def written(format, caplog):
    """Everything that is logged, in a format."""
    caplog.set_level(logging.DEBUG)
    handler = Written(format)
    logging.getLogger().addHandler(handler)
    yield handler.lines
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("format", [ConsoleFormatter(), JsonFormatter()], ids=["console", "json"])
async def test_no_canary_is_logged(written):
    """Prompts, queries, keys, an upstream's words and its own names for things: at the lowest level, on all paths."""
    steps = [[chunk("canary"), finish("canary")], [chunk("canary"), UpstreamFault("canary")]]
    messages = [{"role": "user", "content": "canary"}]
    async with front(Fake(lambda _: steps.pop(0))) as at:
        for _ in range(2):
            body = {"model": "fake", "stream": True, "messages": messages}
            await at.ask("POST", "/v1/chat/completions", body, {"x-api-key": "canary"})
        await at.ask("GET", "/chat/stream?message=canary&ticket=canary")
        await at.ask("GET", "/v1/streams/canary?after=canary")
        await at.ask("CANARY", "/canary")
    lines = [line for line in written if "headrace" in line]
    assert len(lines) >= 6
    assert sum("POST /v1/chat/completions: 200" in line for line in lines) == 2
    assert not [line for line in lines if "canary" in line.lower()]
    assert all(name in "".join(lines) for name in ("st_", "failed"))


@pytest.mark.parametrize("format", [JsonFormatter()])
async def test_lines_of_an_answer_know_its_request(written):
    """The generation outlives the request, and still says whose it is."""
    async with front(Fake([chunk("a"), finish()])) as at:
        body = {"model": "fake", "stream": True, "messages": MESSAGES}
        reply = await at.ask("POST", "/v1/chat/completions", body, {"x-request-id": "mine"})
    (line,) = (found for found in map(json.loads, written) if found["logger"] == "headrace.generation")
    assert line["request"] == "mine"
    assert line["stream"] == reply.headers["headrace-stream-id"]


def test_settings_decide(capfd):
    """The level, the form, and one handler however often it is asked."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure(Settings(log={"format": "json", "level": "warning"}).log)
        sink = logs.configure(Settings(log={"format": "json", "level": "warning"}).log)
        logging.getLogger("headrace.x").info("one")
        logging.getLogger("headrace.x").warning("two")
        assert root.handlers == [sink]
        sink.flush()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    sys.stderr.flush()
    assert [json.loads(line)["message"] for line in capfd.readouterr().err.splitlines()] == ["two"]
