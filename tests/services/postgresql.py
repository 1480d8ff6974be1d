"""A real PostgreSQL for tests: made and started once for all of them, ended by its process id.

A test that wants one is marked ``pytest.mark.postgresql`` and asks for ``postgresql_url``, the URL of a fresh and empty
database (``Database(None, url=postgresql_url)``; ``[records] url`` in a server's TOML). One that stops, kills or pauses
the server, or looks at what it logs, asks for ``postgresql`` too. Both fixtures are known everywhere (tests/conftest.py
imports them); starting costs two seconds, once, a database some thirty milliseconds.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.e2e.server import free_port

#: What must be in no log and no message: the password of the only user.
PASSWORD = "CANARY-postgresql-password"
USER = "headrace"

#: Seconds in which it must be ready, and in which it must have ended.
START = 20.0
STOP = 10.0


class PostgresqlServer:
    """One server on a port of loopback, with its data in a folder of its own. As root it runs as another user."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.log = folder / "server.log"
        self._numbers = count()
        self._process: subprocess.Popen[bytes] | None = None
        password = folder / "password"
        password.write_text(PASSWORD)
        _give(folder)
        made = ["--pgdata", str(folder / "data"), "--username", USER, "--pwfile", str(password), "--no-sync"]
        options = ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"]
        subprocess.run([_program("initdb"), *made, *options], check=True, capture_output=True, cwd=folder, **_other())

    def start(self) -> None:
        """Start it and wait until it answers."""
        told = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "max_connections": 60,
            "log_statement": "all",
        }
        options = [part for name, value in told.items() for part in ("-c", f"{name}={value}")]
        command = [_program("postgres"), "-D", str(self.folder / "data"), *options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **_other())
        deadline = time.monotonic() + START
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.05)

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it, by default without waiting for its clients, and wait until it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP)
        finally:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End all of it at once, as a crash does: SIGKILL for the processes that serve connections too."""
        assert self._process is not None
        for pid in self._family():
            os.kill(pid, signal.SIGKILL)
        self.stop(signal.SIGKILL)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Have it stand still: connections stay, nothing answers."""
        family = self._family()
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in family:
                os.kill(pid, signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._process is not None

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A connection of the test's own, on which each statement is a transaction."""
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=5)

    def url(self, database: str) -> str:
        """Where a database of it is."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database; returns its name."""
        name = f"test_{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _family(self) -> list[int]:
        """The processes of it, the first one first."""
        assert self._process is not None
        first = self._process.pid
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server of our own, one for the whole run."""
    folder = Path(tempfile.mkdtemp(prefix="headrace-postgresql-"))
    server = None
    try:
        server = PostgresqlServer(folder, free_port())
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgresql_url(postgresql: PostgresqlServer) -> Iterator[str]:
    """The URL of a fresh database, which is removed after the test."""
    name = postgresql.new_database()
    yield postgresql.url(name)
    if not postgresql.running:
        postgresql.start()
    postgresql.drop_database(name)


def _program(name: str) -> str:
    """A program of PostgreSQL's; Debian keeps them in a folder for each version."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: float(place.parent.name))
    found = shutil.which(name, path=os.pathsep.join([*map(str, reversed(places)), os.environ.get("PATH", "")]))
    if found is None:
        pytest.fail("this test needs PostgreSQL: sudo apt-get install postgresql (or: make test LEAVE_OUT=postgresql)")
    return found


def _other() -> Mapping[str, Any]:
    """How to run it as somebody else than root, as whom it refuses to run; its environment is a plain one."""
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    if os.getuid() != 0:
        return {"env": env}
    user = _somebody()
    return {"env": env, "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _give(folder: Path) -> None:
    """Let whom it runs as have the folder."""
    if os.getuid() == 0:
        user = _somebody()
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)


def _somebody() -> pwd.struct_passwd:
    """The user whom Debian's package makes, else the one who owns nothing."""
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
