"""The example of the Python client: it does what it says, also where its connections break."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.page_server import CuttingProxy
from tests.e2e.server import HeadraceServer
from tests.examples.example_server import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


def test_the_client_leaves_and_goes_on_and_stops(tmp_path: Path) -> None:
    """Through a proxy that cuts once while it reads on: each number comes once."""
    with HeadraceServer(tmp_path) as server, CuttingProxy(server.port, b'" 30"', cuts=1) as proxy:
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples/client.py")],
            env={**os.environ, "HEADRACE_URL": proxy.url},
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        streams = server.json("GET", "/v1/streams")["data"]
    counted, ended, stopped = done.stdout.splitlines()
    assert counted.replace(" [left]", "").split() == [str(number) for number in range(1, 41)], done.stderr
    assert ended == "completed: length, 40 tokens"
    assert stopped == "cancelled, and who watched was told: cancelled"
    assert [stream["state"] for stream in streams] == ["cancelled", "completed"]
