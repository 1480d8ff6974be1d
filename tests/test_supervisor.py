"""What the supervisor does where the machine has no room for a worker."""

import signal
import socket
import subprocess

from headrace import supervisor
from headrace.supervisor import Supervisor


class Worker:
    """A process that ends with its first signal."""

    returncode = None

    def poll(self):
        return self.returncode

    def send_signal(self, number):
        self.returncode = 0


def test_a_worker_that_cannot_be_started_is_tried_again_and_takes_no_other_with_it(monkeypatch):
    """The one that serves already is not signalled before the supervisor is."""
    started = []

    def spawn(*_, **__):
        started.append(None)
        if len(started) == 2:
            raise BlockingIOError
        started[-1] = worker = Worker()
        if len(started) == 3:
            assert started[0].returncode is None
            held._note(signal.SIGTERM, None)
        return worker

    monkeypatch.setattr(subprocess, "Popen", spawn)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(supervisor, "FIRST_WAIT", 0.01)
    with socket.socket() as listening:
        held = Supervisor(2, [listening], {})
        assert held.run() == 0
    assert len(started) == 3
