"""``headrace keys`` as a shell runs it, beside servers that run and notice."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from tests.e2e.server import HeadraceServer, free_port
from typer.testing import CliRunner

from headrace import cli
from headrace.config.key_text import is_new_key, new_key
from headrace.shell import REFUSED, UNREACHABLE
from headrace.supervisor import BAD_CONFIG

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

#: Seconds in which a running server has to notice, and a moment for the look-up itself.
NOTICED = 5.0 + 0.3
#: Requests that are enough for each of two workers to get one.
ENOUGH = 12


class Shell:
    """The command line over one data folder: in a process of its own, or, since that takes a second, in this one."""

    def __init__(self, folder, **variables):
        self._folder = folder
        self._env = {"HEADRACE_DATA": str(folder / "data"), **variables}

    def run(self, *arguments, status=0):
        """What a command prints: on its output, and beside it."""
        with contextlib.chdir(self._folder):
            ended = CliRunner().invoke(cli.app, arguments, env=self._env)
        assert ended.exit_code == status, (ended.exit_code, ended.stdout, ended.stderr)
        return ended.stdout, ended.stderr

    def start(self, *arguments, status=0):
        """The same, as a shell does it."""
        env = {"PATH": os.environ["PATH"], **self._env}
        command = [sys.executable, "-m", "headrace", *arguments]
        options = {"env": env, "cwd": self._folder, "capture_output": True, "text": True, "timeout": 30}
        ended = subprocess.run(command, check=False, **options)
        assert ended.returncode == status, (ended.returncode, ended.stdout, ended.stderr)
        return ended.stdout, ended.stderr

    def create(self, *arguments):
        """A new key's text."""
        return self.run("keys", "create", *arguments, "--quiet")[0].strip()

    def listed(self):
        """All keys, as scripts read them."""
        return [json.loads(line) for line in self.run("keys", "list", "--json")[0].splitlines()]


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    return Shell(tmp_path_factory.mktemp("keys"))


def asked(server, key=""):
    """What a request with a key gets."""
    return server.request("GET", "/v1/streams", headers={"x-api-key": key} if key else {})[0]


def everywhere(server, key=""):
    """What all workers say to it."""
    return {asked(server, key) for _ in range(ENOUGH)}


def test_a_key_is_shown_once_and_alone_on_standard_output(shell):
    """What people want to know stands beside it; its id never tells it."""
    out, err = shell.start("keys", "create", "alice", "--expires", "30d", "--models", "gpt-4o, claude-*")
    key = out.removesuffix("\n")
    assert is_new_key(key.encode())
    assert re.search(r"A key of alice, with the id ([0-9a-f]{12}), good until \d{4}-\d\d-\d\dT", err)
    assert key not in err
    assert "shown" in err
    out, err = shell.run("keys", "create", "bob", "--quiet")
    assert (is_new_key(out.strip().encode()), err) == (True, "")
    listed = shell.run("keys", "list")[0]
    assert "alice" in listed
    assert "models=gpt-4o,claude-*" in listed
    assert key[3:20] not in listed + json.dumps(shell.listed())


def test_a_key_is_made_with_all_that_it_may_do(shell):
    """In the words of the configuration."""
    limits = ["--limit", "requests_per_minute=60", "--limit", "stored_bytes=1GiB", "--limit", "budget=2.5"]
    shell.create("carol", "--admin", "--routes", "chat,streams", "--expires", "1h", *limits)
    row = shell.listed()[-1]
    assert row["grants"] == {
        "admin": True,
        "routes": ["chat", "streams"],
        "lifetime": 3600.0,
        "quota": {"requests_per_minute": 60, "stored_bytes": 1 << 30, "budget": 2.5},
    }
    assert row["expires"] == pytest.approx(row["created"] + 3600)
    assert (row["owner"], row["revoked"]) == ("carol", None)


@pytest.mark.parametrize(
    "wrong",
    [
        ["two words"],
        ["x" * 65],
        ["a", "--routes", "chats"],
        ["a", "--models", ""],
        ["a", "--expires", "soon"],
        ["a", "--expires", "-1"],
        ["a", "--limit", "requests_per_minute"],
        ["a", "--limit", "requests=1"],
        ["a", "--limit", "requests_per_minute=0"],
    ],
)
def test_what_cannot_be_makes_no_key(shell, wrong):
    """And says which word is wrong."""
    before = len(shell.listed())
    out, err = shell.run("keys", "create", *wrong, status=2)
    assert (out, "Invalid value" in err) == ("", True)
    assert len(shell.listed()) == before


def test_unknown_ids_are_refused(shell):
    """In words, and with a status that a script can tell."""
    for arguments in (("revoke", "nope"), ("rotate", "nope"), ("revoke", "' OR 1=1 --")):
        assert "no key with this id" in shell.run("keys", *arguments, status=REFUSED)[1]


def test_without_a_database_that_lasts_there_are_no_keys(shell):
    """What the command would write, no server would read."""
    assert "memory" in shell.run("keys", "list", "--data", "memory:", status=BAD_CONFIG)[1]


def test_a_database_that_cannot_be_used_is_told(tmp_path):
    """Without a trace of where in the code."""
    (tmp_path / "data" / "records.db").mkdir(parents=True)
    _, err = Shell(tmp_path).run("keys", "list", status=UNREACHABLE)
    assert "cannot be used" in err
    assert "Traceback" not in err


# -- with a server ---------------------------------------------------------------------------------------------------


def test_running_workers_notice_their_first_key_and_all_that_becomes_of_keys(tmp_path):
    """Each of them, within five seconds, without a restart; nothing of a key is left lying about."""
    shell = Shell(tmp_path)
    with HeadraceServer(tmp_path, workers=2) as server:
        assert everywhere(server) == {200}
        first = shell.create("alice")
        time.sleep(NOTICED)
        assert everywhere(server) == {401}
        assert everywhere(server, first) == {200}
        second = shell.create("bob", "--routes", "topics")
        assert everywhere(server, second) == {403}
        heir = shell.run("keys", "rotate", shell.listed()[0]["id"], "--overlap", "3s", "--quiet")[0].strip()
        assert everywhere(server, heir) == {200}
        ticket = _ticket(server, second_of_alice := shell.create("alice"))
        assert server.request("GET", ticket)[0] == 200
        shell.run("keys", "revoke", shell.listed()[-1]["id"])
        time.sleep(NOTICED)
        assert everywhere(server, first) == everywhere(server, second_of_alice) == {401}
        assert everywhere(server, heir) == {200}
        assert server.request("GET", ticket)[0] == 401
        for wrong in ("' OR 1=1 --", new_key(), "x" * 4000):
            assert everywhere(server, wrong) == {401}
    left = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"keys" in left  # the table is among what was read
    assert [key for key in (first, second, heir) if key[3:15].encode() in left] == []


def _ticket(server, key):
    """A URL that reads an answer of the key's owner."""
    headers = {"x-api-key": key, "content-type": "application/json"}
    body = {"model": "demo/echo", "messages": [{"role": "user", "content": "x"}]}
    status, found, _ = server.request("POST", "/v1/chat/completions", body, headers)
    assert status == 200
    path = f"/v1/streams/{found['headrace-stream-id']}/tickets"
    return json.loads(server.request("POST", path, {}, headers)[2])["url"]


def test_a_server_whose_database_breaks_lets_nobody_in_who_is_not_known(tmp_path):
    """Unknown keys get 503; who is known goes on; a configured key needs no database."""
    shell = Shell(tmp_path)
    known = shell.create("alice")
    env = {"HEADRACE_API_KEYS": "carol=hr_carol_carol_carol"}
    with HeadraceServer(tmp_path, env=env) as server:
        assert asked(server, known) == 200
        locked = sqlite3.connect(tmp_path / "data" / "records.db", isolation_level=None)
        locked.execute("BEGIN EXCLUSIVE")
        try:
            assert asked(server, new_key()) == 503
            assert asked(server, known) == 200
            assert asked(server, "hr_carol_carol_carol") == 200
            assert asked(server) == 401
        finally:
            locked.close()
        assert asked(server, new_key()) == 401


def test_listening_beyond_this_machine_takes_a_key_wherever_it_is(tmp_path):
    """Without any the start is refused, with what to type; one in the database is enough, and is asked for."""
    shell = Shell(tmp_path, HEADRACE_HOST="0.0.0.0", HEADRACE_PORT=str(free_port()))
    assert "headrace keys create me" in shell.start("serve", status=BAD_CONFIG)[1]
    assert "headrace keys create me" in shell.run("check", status=BAD_CONFIG)[1]
    key = shell.create("me")
    assert "fine" in shell.run("check")[0]
    with HeadraceServer(tmp_path, env={"HEADRACE_HOST": "0.0.0.0"}) as server:
        assert (asked(server), asked(server, "x"), asked(server, key)) == (401, 401, 200)
        assert server.stop(signal.SIGTERM) == 0
