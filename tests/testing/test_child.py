"""A child process: it is waited for, and none is left behind where something goes wrong."""

import signal
import subprocess
import sys

import pytest

from headrace.testing import child
from headrace.testing.child import Child, ServerFailed, end_all


class Sleeper(Child):
    """Sleeps, or does what it is told; and says that it is ready, or does not."""

    def __init__(self, code: str = "import time; time.sleep(60)", *, able: bool = True) -> None:
        super().__init__("the sleeper")
        self._code = code
        self._able = able
        self.launched: list[subprocess.Popen[bytes]] = []

    def launch(self) -> "subprocess.Popen[bytes]":
        self.launched.append(subprocess.Popen([sys.executable, "-c", self._code]))
        return self.launched[-1]

    def ready(self) -> bool:
        return self._able

    def said(self) -> str:
        return "zzz"


def test_one_that_is_never_ready_is_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(child, "START", 0.05)
    late = Sleeper(able=False)
    with pytest.raises(ServerFailed, match="the sleeper was not ready in time:\nzzz"):
        late.start()
    assert late.launched[0].poll() == -signal.SIGKILL


def test_one_that_ends_says_why():
    with pytest.raises(ServerFailed, match="the sleeper ended with 3:\nzzz"):
        Sleeper("raise SystemExit(3)", able=False).start()


def test_one_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(child, "STOP", 0.05)
    deaf = Sleeper()
    deaf.start()
    with pytest.raises(ServerFailed, match="did not stop"):
        deaf.stop(signal.SIGCONT)  # which it takes no notice of
    assert deaf.launched[0].poll() == -signal.SIGKILL


def test_what_is_still_running_is_ended_together():
    some = [Sleeper(), Sleeper()]
    for each in some:
        each.start()
    with Sleeper() as other:
        pass
    end_all()
    assert [each.launched[0].poll() for each in some] == [-signal.SIGKILL] * 2
    assert other.launched[0].poll() == -signal.SIGTERM
    assert other.stop() == 0
    with pytest.raises(ServerFailed, match="is not running"):
        _ = other.pid
