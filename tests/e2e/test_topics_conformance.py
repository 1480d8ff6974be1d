"""The Durable Streams conformance suite: every base test passes, on both stores."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.e2e.node_process import FOLDER, node
from tests.e2e.server import HeadraceServer

#: Tests of the suite's version 0.3.6 without subscriptions, which are an option of the protocol.
BASE = 332
SUBSCRIPTIONS = 6

#: A page of another origin, as the suite has one; a keep-alive is also how long a long poll lasts.
TOML = '[cors]\norigins = ["https://example.com"]\n[server]\nkeep_alive = "2s"\n'


@pytest.mark.slow
@pytest.mark.node
@pytest.mark.timeout(180)
@pytest.mark.parametrize("data", ["sqlite", "memory"])
def test_every_base_test_of_the_suite_passes(tmp_path: Path, data: str):
    """None is missing, none fails, and only the subscriptions are left out."""
    env = {"HEADRACE_DATA": "memory:"} if data == "memory" else {}
    with HeadraceServer(tmp_path, TOML, env=env) as server:
        told = _run(f"{server.url}/v1/topics", tmp_path / "results.json")

    results = [each for file in told["testResults"] for each in file["assertionResults"]]
    failed = [each["fullName"] for each in results if each["status"] == "failed"]
    assert not failed
    assert told["numPassedTests"] == BASE
    left_out = [each["fullName"] for each in results if each["status"] not in ("passed", "failed")]
    assert len(left_out) == SUBSCRIPTIONS
    assert all("ubscription" in name for name in left_out), left_out


def _run(url: str, results: Path) -> dict:
    """What vitest tells of a run of the suite."""
    command = [node(), str(FOLDER / "node_modules/vitest/vitest.mjs"), "run", "--config", "conformance.config.mjs"]
    done = subprocess.run(
        [*command, "--reporter=json", f"--outputFile={results}"],
        cwd=FOLDER,
        env={"TOPICS_URL": url, "PATH": str(Path(node()).parent)},
        capture_output=True,
        timeout=150,
        check=False,
    )
    assert results.exists(), done.stderr.decode(errors="replace")
    return json.loads(results.read_text(encoding="utf-8"))
