"""The examples of text, counters, feeds, bars and logs: each does what it says."""

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest
from tests.e2e.page_server import PageServer
from tests.examples.example_server import ExampleServer, events

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

WORDS = "Each of these words is sent when it is there, and not when all of them are. "


def test_text_comes_word_by_word(tmp_path: Path) -> None:
    """From both kinds of generators; and one that sleeps in its thread delays no other."""
    with ExampleServer("text", tmp_path) as server:
        for path in ("/stream/text", "/stream/async"):
            with server.reply("GET", path) as reply:
                pieces = list(iter(lambda reply=reply: reply.read1(), b""))
            assert b"".join(pieces).decode() == WORDS
            assert len(pieces) > 8
        begin = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            assert {body.decode() for _, body in pool.map(server.get, ["/stream/text"] * 8)} == {WORDS}
        assert time.monotonic() - begin < 4 * 0.05 * len(WORDS.split())


def test_a_counter_ends_and_says_so(tmp_path: Path) -> None:
    """The last event is the one that lets a page close its source."""
    with ExampleServer("sse_counter", tmp_path) as server:
        with server.reply("GET", "/sse/numbers?to=3") as reply:
            assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert reply.headers["x-accel-buffering"] == "no"
            *counted, end = events(reply)
        assert [json.loads(event["data"]) for event in counted] == [{"number": n, "of": 3} for n in (1, 2, 3)]
        assert end == {"event": "close", "data": "{}"}
        assert server.get("/sse/numbers?to=0")[0] == 422


def test_a_feed_goes_on_where_it_was_lost(tmp_path: Path) -> None:
    """After a lost connection, and after the server was killed, which the client is told."""
    with ExampleServer("resumable_feed", tmp_path) as server:
        with server.reply("GET", "/sse/resumable") as reply:
            first = list(islice(events(reply), 5))
        with server.reply("GET", "/sse/resumable", headers={"Last-Event-ID": first[-1]["id"]}) as reply:
            second = list(islice(events(reply), 5))
        server.stop(signal.SIGKILL)
        server.start()
        with server.reply("GET", "/sse/resumable", headers={"Last-Event-ID": second[-1]["id"]}) as reply:
            third = list(events(reply))
    kept = [event for event in third if "event" not in event]
    assert [json.loads(event["data"])["news"] for event in (*first, *second, *kept)] == [
        *range(1, 11 + len(kept)),
    ]
    assert [event["event"] for event in third[len(kept) :]] == ["error", "close"]
    assert json.loads(third[-2]["data"])["code"] == "interrupted"


def test_a_job_outlives_its_reply(tmp_path: Path) -> None:
    """It is watched from elsewhere, from its beginning, to its end; another is stopped."""
    with ExampleServer("progress_bar", tmp_path) as server:
        with server.reply("POST", "/jobs") as reply:
            job = reply.headers["location"]
            next(events(reply))
        with server.reply("GET", job) as reply:
            *steps, end = events(reply)
        assert [json.loads(event["data"])["percent"] for event in steps] == [*range(1, 101)]
        assert end["event"] == "close"
        with server.reply("POST", "/jobs") as reply:
            with server.reply("POST", f"{reply.headers['location']}/cancel") as stopped:
                assert json.load(stopped) == {"cancelled": True, "state": "cancelled"}
            assert [event["event"] for event in list(events(reply))[-2:]] == ["cancelled", "close"]


#: Starts a job, reloads the page in the middle of it, and waits for its end; then starts another, and stops it.
DRIVE = """
await until(() => the("start")?.onclick);
the("start").click();
await until(() => the("bar").value > 20);
const job = sessionStorage.job;
frame.contentWindow.old = true;
frame.contentWindow.location.reload();
await until(() => !frame.contentWindow.old && the("bar")?.value === 100);
const told = [the("told").value, sessionStorage.job === job];
the("start").click();
await until(() => the("bar").value > 5 && the("bar").value < 50);
the("stop").click();
await until(() => the("told").value === "stopped");
await fetch("%s/result", { method: "POST", mode: "no-cors", body: JSON.stringify([...told, the("bar").value]) });
"""


@pytest.mark.browser
def test_a_bar_outlives_a_reload(tmp_path: Path) -> None:
    """In Chromium: the same job goes on after it, and the button stops the next one."""
    with PageServer() as pages:
        script = DRIVE % pages.origin
        app = "tests.examples.driven:app"
        with ExampleServer("bar", tmp_path, app=app, EXAMPLE="examples.progress_bar", DRIVE=script) as server:
            pages.origin = server.url
            told, same, percent = json.loads(pages.shown_in_browser("/drive.html", tmp_path, timeout=40))
    assert (told, same) == ("step 100 of 100", True)
    assert 5 < percent < 100


def test_a_log_is_followed(tmp_path: Path) -> None:
    """Lines when they are whole, after the one that was seen last, and from the start of a file that was rotated."""
    log = tmp_path / "my.log"
    log.write_text("old\n")
    with ExampleServer("log_tail", tmp_path, LOG_FILE=str(log)) as server:
        with server.reply("GET", "/sse/live") as reply:
            lines = events(reply)
            append(log, "one\nha")
            assert next(lines) == {"data": "one", "id": "8"}
            append(log, "lf\n")
            assert next(lines) == {"data": "half", "id": "13"}
        with server.reply("GET", "/sse/live", headers={"Last-Event-ID": "4"}) as reply:
            lines = events(reply)
            assert [event["data"] for event in islice(lines, 2)] == ["one", "half"]
            log.write_text("new\n")
            assert next(lines) == {"data": "new", "id": "4"}


def append(file: Path, text: str) -> None:
    """Write at a file's end."""
    with file.open("a") as open_file:
        open_file.write(text)
