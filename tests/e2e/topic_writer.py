"""A producer on a topic that says everything until it is acknowledged, once, in order."""

import time
from collections.abc import Sequence
from itertools import cycle

from tests.e2e.server import HeadraceServer

LINES = {"content-type": "text/plain"}


class Writer:
    """One producer. It asks each server in turn, and again where there was no reply or a 503."""

    def __init__(self, servers: Sequence[HeadraceServer], path: str, name: str) -> None:
        self._servers = cycle(servers)
        self._path = path
        self._name = name
        self.acknowledged = 0
        self.repeated = 0
        self.refused = 0
        self.stopped = False

    def write(self) -> None:
        """Append numbered lines until stopped."""
        while not self.stopped:
            line = f"{self._name}{self.acknowledged} ".encode()
            producer = {
                "producer-id": self._name,
                "producer-epoch": "0",
                "producer-seq": str(self.acknowledged),
            }
            try:
                server = next(self._servers)
                status, _, body = server.request("POST", self._path, line, {**LINES, **producer}, timeout=15)
            except OSError:
                time.sleep(0.01)
                continue
            if status == 503:
                self.refused += 1
                time.sleep(0.05)
                continue
            assert status in (200, 204), (status, body)
            self.acknowledged += 1
            self.repeated += status == 204


def check(writers: Sequence[Writer], text: bytes) -> int:
    """Every line that was acknowledged is there once, in each producer's order; how many those are."""
    words = text.decode().split()
    for writer in writers:
        own = [word for word in words if word[0] == writer._name]
        assert own == [f"{writer._name}{number}" for number in range(writer.acknowledged)]
    return sum(writer.acknowledged for writer in writers)
