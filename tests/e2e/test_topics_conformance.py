"""The Durable Streams conformance suite: every base test passes, on all stores."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.contract.redis_server import redis_server
from tests.e2e.node_process import FOLDER, node
from tests.e2e.server import HeadraceServer

#: Tests of the suite's version 0.3.6 without subscriptions, which are an option of the protocol.
BASE = 332
SUBSCRIPTIONS = 6
#: A part that waits for half a minute of real time. When a topic ends is no store's own business, and the contract has
#: it; so on Redis it is left out.
WAITS = "TTL Expiration Behavior"
WAITING = 14

#: A page of another origin, as the suite has one; a keep-alive is also how long a long poll lasts.
TOML = '[cors]\norigins = ["https://example.com"]\n[server]\nkeep_alive = "2s"\n'


@pytest.mark.slow
@pytest.mark.node
@pytest.mark.redis
@pytest.mark.timeout(180)
def test_every_base_test_of_the_suite_passes(tmp_path: Path):
    """None is missing, none fails, and only the subscriptions are left out; on every store.

    The suite waits most of its time, so the stores are tried side by side.
    """
    with redis_server(tmp_path) as redis, ThreadPoolExecutor() as threads:
        tried = {
            "sqlite": threads.submit(_left_out, tmp_path / "sqlite", {}, BASE),
            "memory": threads.submit(_left_out, tmp_path / "memory", {"HEADRACE_DATA": "memory:"}, BASE),
            "redis": threads.submit(
                _left_out, tmp_path / "redis", {"HEADRACE_DATA": redis.url}, BASE - WAITING, f"^(?!{WAITS})"
            ),
        }
    for store, found in tried.items():
        left_out = [name for name in found.result() if store != "redis" or not name.startswith(WAITS)]
        assert len(left_out) == SUBSCRIPTIONS, store
        assert all("ubscription" in name for name in left_out), (store, left_out)


def _left_out(folder: Path, env: dict[str, str], count: int, only: str = "") -> list[str]:
    """So many tests pass and none fails; the names of those that were not run."""
    folder.mkdir()
    with HeadraceServer(folder, TOML, env=env) as server:
        told = _run(f"{server.url}/v1/topics", folder / "results.json", only)

    results = [each for file in told["testResults"] for each in file["assertionResults"]]
    failed = [each["fullName"] for each in results if each["status"] == "failed"]
    assert not failed
    assert told["numPassedTests"] == count
    return [each["fullName"] for each in results if each["status"] not in ("passed", "failed")]


def _run(url: str, results: Path, only: str) -> dict:
    """What vitest tells of a run of the suite, or of the tests whose names match."""
    command = [node(), str(FOLDER / "node_modules/vitest/vitest.mjs"), "run", "--config", "conformance.config.mjs"]
    done = subprocess.run(
        [*command, "--reporter=json", f"--outputFile={results}", *(["-t", only] if only else [])],
        cwd=FOLDER,
        env={"TOPICS_URL": url, "PATH": str(Path(node()).parent)},
        capture_output=True,
        timeout=150,
        check=False,
    )
    assert results.exists(), done.stderr.decode(errors="replace")
    return json.loads(results.read_text(encoding="utf-8"))
