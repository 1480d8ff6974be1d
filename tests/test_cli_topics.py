"""``headrace tail`` and ``headrace append`` as a shell runs them, with a server that dies under them."""

import json
import subprocess
import sys
import threading
import time

import pytest
from tests.e2e.server import HeadraceServer

from headrace.shell import REFUSED, UNREACHABLE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

KEY = "a-key-of-alice-0123456789"
#: Lines that are piped while the server is killed, and how many at most between two of its deaths.
LINES = 600
DEATHS = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with HeadraceServer(tmp_path_factory.mktemp("shell")) as started:
        yield started


class Shell:
    """Commands against a server, with what a user would have exported."""

    def __init__(self, server, **variables):
        self._env = {"PATH": "/usr/bin", "HEADRACE_URL": server.url, **variables}
        self._folder = server.folder

    def start(self, *arguments, **options):
        command = [sys.executable, "-m", "headrace", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, env=self._env, cwd=self._folder, stdin=pipe, stdout=pipe, stderr=pipe, **options
        )

    def run(self, *arguments, given=b"", status=0):
        """What a command prints."""
        process = self.start(*arguments)
        out, err = process.communicate(given, timeout=30)
        assert process.returncode == status, (process.returncode, out, err)
        return out if status == 0 else err


def test_lines_of_a_pipe_are_a_topic(server):
    """Also those that are typed as arguments; one line of arguments is one line."""
    shell = Shell(server)
    shell.run("append", "build/log", given=b"one\ntwo\nthr\xc3\xa9e")
    shell.run("append", "build/log", "and", "four", "--close")
    assert shell.run("tail", "build/log").decode() == "one\ntwo\nthrée\nand four\n"
    assert shell.run("tail", "build/log", "--offset", "now") == b""
    assert b"closed" in shell.run("append", "build/log", "five", status=REFUSED)


def test_a_topic_of_json(server):
    """A value a line, in and out; what is no JSON is said, with its line."""
    shell = Shell(server)
    shell.run("append", "jobs", "--json", given=b'{"done": 1}\n[2, 3]\n')
    assert b"Line 2" in shell.run("append", "jobs", given=b"4\nfive\n6\n", status=REFUSED)
    shell.run("append", "jobs", "--close", given=b"")
    assert shell.run("tail", "jobs") == b'{"done":1}\n[2,3]\n4\n'


def test_a_pipe_survives_the_death_of_the_server(tmp_path):
    """Killed again and again while lines are piped in and followed: each is there once, and in order."""
    lines = [f"line {number}".encode() for number in range(LINES)]
    with HeadraceServer(tmp_path) as server:
        shell = Shell(server)
        shell.run("append", "build/log", "first")
        writer = shell.start("append", "build/log", "--close", bufsize=0)
        reader = shell.start("tail", "build/log")
        printed = []
        following = threading.Thread(target=lambda: printed.append(reader.communicate()[0]))
        following.start()
        for number, line in enumerate(lines):
            writer.stdin.write(line + b"\n")
            if number % (LINES // DEATHS) == LINES // DEATHS // 2:
                server.kill()
                server.start()
            time.sleep(0.001)
        _, error = writer.communicate(timeout=30)
        assert (writer.returncode, error) == (0, b"")
        following.join(30)
    assert reader.returncode == 0
    assert printed[0].splitlines() == [b"first", *lines]


def test_an_answer_is_followed(server):
    """From its start to its end; what there is of a failed one is printed, and told to be no whole answer."""
    shell = Shell(server)
    ids = {}
    for model in ("demo/echo", "demo/truncate"):
        _, headers, _ = server.request("POST", "/chat", {"message": "hello you", "model": model})
        ids[model] = headers["headrace-stream-id"]
    assert shell.run("tail", ids["demo/echo"]) == b"hello you"
    assert shell.run("tail", ids["demo/truncate"], status=REFUSED).strip()
    assert b"no such stream" in shell.run("tail", "st_nope", status=REFUSED)


def test_what_cannot_be_is_said(server):
    """With a status of its own for a server that is not there, and usage where the words are wrong."""
    shell = Shell(server)
    assert b"no such topic" in shell.run("tail", "nope", status=REFUSED)
    away = ("--server", "http://127.0.0.1:9", "--patience", "0.2")
    assert b"does not answer" in shell.run("append", "x", "y", *away, status=UNREACHABLE)
    assert b"Usage" in shell.run("tail", "x", "--server", "nowhere", status=2)
    assert b"status" in shell.run("append", "a/../b", "x", status=REFUSED)


def test_the_key_is_the_shells(tmp_path):
    """Exported or given; somebody else's topic is not there, and no key is printed."""
    toml = f'[keys]\nalice = "{KEY}"\nbob = "a-key-of-bob-0123456789"\n'
    with HeadraceServer(tmp_path, toml) as server:
        alice = Shell(server, HEADRACE_API_KEY=KEY)
        alice.run("append", "mine", "hello", "--close")
        assert alice.run("tail", "mine") == b"hello\n"
        anybody = Shell(server)
        assert anybody.run("tail", "mine", "--key", KEY) == b"hello\n"
        assert b"no such topic" in anybody.run("tail", "mine", "--key", "a-key-of-bob-0123456789", status=REFUSED)
        told = anybody.run("tail", "mine", status=REFUSED) + alice.run("tail", "--help")
        assert b"key" in told
        assert KEY.encode() not in told


def test_the_reader_of_a_pipe_may_leave(server):
    """``headrace tail … | head -1`` is no error."""
    shell = Shell(server)
    shell.run("append", "x", given=b"line\n" * 100_000)
    process = shell.start("tail", "x")
    assert process.stdout.readline() == b"line\n"
    process.stdout.close()
    shell.run("append", "x", "more")
    assert process.wait(20) == 0
    assert process.stderr.read() == b""
    for pipe in (process.stdin, process.stderr):
        pipe.close()


def test_the_servers_own_variables_are_not_disturbed(tmp_path):
    """What the shell has exported for its commands is no setting of a server."""
    variables = {"HEADRACE_URL": "http://127.0.0.1:1", "HEADRACE_API_KEY": KEY}
    with HeadraceServer(tmp_path, env=variables) as server:
        assert json.loads(server.request("GET", "/ready")[2]) == {"status": "ready"}
