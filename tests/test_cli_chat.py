"""``headrace chat``, ``ps`` and ``cancel``, in a terminal and in a pipe, with a server that dies under them."""

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from tests.client.terminal_window import Window
from tests.e2e.scripted import UpstreamThread
from tests.e2e.server import HeadraceServer, free_port, upstream_toml

from headrace.client import Unreachable
from headrace.client.exchange import DEFAULT_URL
from headrace.shell import INTERRUPTED, REFUSED, UNREACHABLE, _asking
from headrace.testing.scripted_upstream import Stall, answer, head, sse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

#: What a hostile model says: a title, a cleared screen, an answer typed for the user, a hidden link, a turned line.
HOSTILE = (
    "\x1b]0;owned\x07 \x1b[2J\x1b[31mred\x1b[c \x9b31m \x1b]8;;http://evil.test\x1b\\link\x08\x7f \u202egnp.exe end"
)
DRAIN = "[server]\ndrain = 0.5\n"
_DRAWN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def play(request, _):
    """By its question: a part of an answer and then silence, what a hostile model says, or an answer."""
    messages = request.json()["messages"]
    question = messages[-1]["content"]
    if "silence" in question:
        return [head(body="close"), sse("This is ", "the beginning"), Stall()]
    if "long" in question:
        return [answer(*["word " * 200] * 1000)]
    if "hostile" in question:
        return [answer(HOSTILE, "\n\n```\n" + HOSTILE, "\n```\n")]
    return [answer("You said **", f"{len(messages)}", "** things.", usage=(3, 5))]


@pytest.fixture(scope="module")
def upstream():
    with UpstreamThread(play) as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory, upstream):
    with HeadraceServer(tmp_path_factory.mktemp("chat"), DRAIN + upstream_toml(f"{upstream.url}/v1")) as started:
        yield started


def window(server, *arguments, **env):
    return Window(*arguments, env={"HEADRACE_URL": server.url, **env}, cwd=server.folder)


def shell(server, *arguments, given=b"", status=0, **env):
    """A command whose output is a pipe: what it prints, and what it says of errors."""
    done = subprocess.run(
        [sys.executable, "-m", "headrace", *arguments],
        input=given,
        env={"PATH": "/usr/bin", "HEADRACE_URL": server.url, **env},
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done.stdout.decode(), done.stderr.decode()


@contextmanager
def asking(server, question):
    """A question whose answer goes into a pipe, as a process."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "headrace", "chat", "-m", "m", question]
    env = {"PATH": "/usr/bin", "HEADRACE_URL": server.url}
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def listed(server):
    """What ``ps`` knows."""
    return [json.loads(line) for line in shell(server, "ps", "--all", "--json")[0].splitlines()]


def plain(shown):
    """What is shown without what draws it."""
    return _DRAWN.sub("", shown)


def until(holds):
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ctrl_c_stops_the_upstream_and_not_the_program(server, upstream):
    """The model's connection is closed; the next question is answered, with what was said before."""
    with window(server, "chat", "-m", "m") as terminal:
        terminal.wait_for("> ")
        terminal.type("silence\r")
        terminal.wait_for("the beginning")
        until(lambda: upstream.server.open == 1)
        terminal.type("\x03")
        terminal.wait_for("stopped")
        until(lambda: upstream.server.open == 0)
        terminal.wait_for("> ")
        terminal.type("go on\r")
        terminal.wait_for("5 tokens")
        terminal.wait_for("> ")
        terminal.type("\x03")
        terminal.wait_for("> ")
        terminal.type("\x04")
        assert terminal.wait() == 0
    assert "You said 3 things." in plain(terminal.shown)
    assert listed(server)[1]["state"] == "cancelled"


def test_the_commands_of_a_conversation(server, upstream):
    """Another model, the same again, from anew; and how to leave."""
    with window(server, "chat", "-m", "m") as terminal:
        for typed, told in [
            ("one", "You said"),
            ("/retry", "You said"),
            ("two \\\rlines", "You said"),
            ("/new", "forgotten"),
            ("/retry", "Nothing has been asked"),
            ("/system Be brief.", "is set"),
            ("three", "You said"),
            ("/models", "demo/echo"),
            ("/model demo/echo", "The model is demo/echo"),
            ("/etc/passwd\x1b[A", "/etc/passwd"),
            ("/nonsense", "list them"),
        ]:
            terminal.type(f"{typed}\r")
            terminal.wait_for(told)
        terminal.type("/quit\r")
        assert terminal.wait() == 0
    asked = [[message["content"] for message in request.json()["messages"]] for request in upstream.requests[-4:]]
    assert asked[:2] == [["one"], ["one"]]
    assert asked[2] == ["one", "You said **1** things.", "two \nlines"]
    assert asked[3] == ["Be brief.", "three"]


def test_a_conversation_outlives_its_server(tmp_path):
    """Killed in the middle of an answer and started again: that is said, and so is what became of the answer."""
    with HeadraceServer(tmp_path) as server, window(server, "chat", "-m", "demo/counter") as terminal:
        terminal.type("count\r")
        terminal.wait_for("7 8 9")
        server.kill()
        terminal.wait_for("connection was lost")
        server.start()
        terminal.wait_for("interrupted")
        terminal.wait_for("> ")
        terminal.type("/model demo/echo\r")
        terminal.type("still there\r")
        terminal.wait_for("2 tokens")
        terminal.wait_for("> ")
        terminal.type("\x04")
        assert terminal.wait() == 0
    assert terminal.shown.count("connection was lost") == 1


def test_a_hostile_model_moves_nothing(server):
    """Of what it says no control character reaches the terminal; its text does."""
    for arguments in (["chat", "-m", "m", "hostile"], ["tail", listed_id(server)]):
        with window(server, *arguments) as terminal:
            assert terminal.wait() == 0
        assert "gnp.exe end" in terminal.shown
        rest = plain(terminal.shown)
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", rest), rest
        assert "\x1b[2J" not in terminal.shown
        assert "\x1b[31mred" not in terminal.shown
        assert "\x1b[c" not in terminal.shown


def listed_id(server):
    """The id of a hostile answer."""
    return server.request("POST", "/chat", {"message": "hostile", "model": "m"})[1]["headrace-stream-id"]


def test_a_pipe_is_answered_once_in_plain_text(server):
    """Arguments and a pipe together; the status tells whether the answer is whole."""
    assert shell(server, "chat", "-m", "demo/echo", "Say:", given=b"hello\n")[0] == "Say:\n\nhello"
    assert shell(server, "chat", "-m", "demo/echo", given=HOSTILE.encode())[0] == HOSTILE
    printed, said = shell(server, "chat", "-m", "demo/truncate", "x", status=REFUSED)
    assert printed
    assert "stopped before its end" in said
    assert "no model 'nope'" in shell(server, "chat", "-m", "nope", "x", status=REFUSED)[1]
    assert "neither" in shell(server, "chat", status=REFUSED)[1]


def test_ctrl_c_in_a_pipe_stops_the_answer_and_the_program(server, upstream):
    with asking(server, "silence") as process:
        assert process.stdout.read(8) == b"This is "
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == INTERRUPTED
    until(lambda: upstream.server.open == 0)


def test_ctrl_c_in_a_pipe_does_not_wait_for_who_is_away(tmp_path, upstream):
    """Neither long for a server that is to be told, nor at all for who reads: the status is the same."""
    config = DRAIN + upstream_toml(f"{upstream.url}/v1")
    with HeadraceServer(tmp_path, config) as server, asking(server, "silence") as process:
        assert process.stdout.read(8) == b"This is "
        server.kill()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == INTERRUPTED
        said = process.stderr.read().decode()
    assert said.startswith("It may go on: ")
    assert said.count("\n") == 1


def test_ctrl_c_in_a_pipe_that_is_full(server):
    """``| less``: it reads no further, and says nothing of what is left over."""
    with asking(server, "long") as process:
        assert process.stdout.read(8) == b"word wor"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == INTERRUPTED
        assert process.stderr.read() == b""


def test_who_is_away_is_said(server, capsys):
    """With how to start one, where nobody said where it is."""
    away = f"http://127.0.0.1:{free_port()}"
    told = shell(server, "chat", "x", "--server", away, "--patience", "0.2", status=UNREACHABLE)[1]
    assert told == f"The server at {away} does not answer.\n"
    assert "URL such as" in shell(server, "chat", "x", "--server", "nowhere", status=2)[1]
    with pytest.raises(typer.Exit) as caught, _asking(DEFAULT_URL, hint=True):
        raise Unreachable
    assert caught.value.exit_code == UNREACHABLE
    assert "Start one with: headrace serve" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_ends_a_command_with_a_line_and_stops_its_answer(server):
    """Nobody reads that answer any more."""
    command = [sys.executable, "-m", "headrace", "chat", "-m", "m", "silence, please"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command,
            env={"HEADRACE_URL": server.url},
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr.count(b"\n")) == (REFUSED, 1), done.stderr
    assert listed(server)[0]["state"] == "cancelled"


def test_streams_are_listed_and_stopped(server, upstream):
    """Open ones and the latest; one is stopped by its id, once, and whoever reads it is told."""
    with asking(server, "silence") as reader:
        until(lambda: upstream.server.open == 1)
        stream = listed(server)[0]["id"]
        table, _ = shell(server, "ps")
        assert re.search(rf"{stream} +m +open +\ds +\d", table)
        assert shell(server, "cancel", stream)[0] == f"{stream}: stopped\n"
        assert shell(server, "cancel", stream)[0] == f"{stream}: had ended as cancelled\n"
        assert "stopped before it was complete" in reader.communicate(timeout=10)[1].decode()
        assert reader.returncode == REFUSED
    assert "no such stream" in shell(server, "cancel", "st_nope", status=REFUSED)[1]


def test_streams_are_watched(server):
    """Until Ctrl-C."""
    with window(server, "ps", "--watch") as terminal:
        terminal.wait_for("tokens/s")
        terminal.wait_for("records")
        terminal.type("\x03")
        assert terminal.wait() == INTERRUPTED
