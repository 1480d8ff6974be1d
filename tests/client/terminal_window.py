"""A terminal for tests: a pseudo-terminal with a program in it, what is typed, and what is shown."""

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from typing import Self

#: Seconds in which something must be shown.
WITHIN = 15.0


class Window:
    """``headrace`` with some arguments in a terminal of its own; ``shown`` is all that it has written."""

    def __init__(self, *arguments, env, cwd, size=(30, 90)):
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        # The first terminal that the leader of a new session opens is its own: Ctrl-C then is a signal.
        opened = ["sh", "-c", 'exec "$@" <"$TTY" >"$TTY" 2>&1', "sh"]
        variables = {
            "PATH": "/usr/bin:/bin",
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "TTY": os.ttyname(slave),
            **env,
        }
        self.process = subprocess.Popen(
            [*opened, sys.executable, "-m", "headrace", *arguments], env=variables, cwd=cwd, start_new_session=True
        )
        self._slave = slave
        self.shown = ""
        self._raw = b""
        self._read_to = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._slave)
        os.close(self._master)

    def type(self, text):
        """Type, as a user does."""
        os.write(self._master, text.encode())

    def wait_for(self, text, within=WITHIN):
        """Wait until a text is shown, after what was waited for before; returns what came until then."""
        deadline = time.monotonic() + within
        while (at := self.shown.find(text, self._read_to)) < 0:
            assert time.monotonic() < deadline, f"{text!r} is not in {self.shown[self._read_to :]!r}"
            self._read(0.1)
        came, self._read_to = self.shown[self._read_to : at], at + len(text)
        return came

    def wait(self):
        """Wait until the program ends; returns its status."""
        deadline = time.monotonic() + WITHIN
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.shown
            self._read(0.05)
        while self._read(0.05):
            pass
        return self.process.returncode

    def _read(self, seconds):
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        self._raw += os.read(self._master, 65536)
        self.shown = self._raw.decode(errors="replace")
        return True
