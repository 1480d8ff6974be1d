"""Node, with the packages of tests/e2e/node: one process plays a whole plan."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "node"


def play(script: str, cases: Sequence[Mapping[str, Any]], *, timeout: float = 60, **plan: Any) -> list[dict[str, Any]]:
    """Run a script of the folder over a plan; the results are in the order of the cases."""
    done = subprocess.run(
        [node(), str(FOLDER / script)],
        input=json.dumps({"cases": cases, **plan}).encode(),
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return json.loads(done.stdout)


def node() -> str:
    """The Node of the locked wheel, which the clients support, whatever else is on the machine.

    Fails the test where it, or a package, is missing: these tests are not skipped by chance.
    """
    found = Path(sys.executable).parent / "node"
    assert found.exists(), "these tests need Node: type scripts/install-node (or: make test LEAVE_OUT=node)"
    for package in json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["dependencies"]:
        assert (FOLDER / "node_modules" / package).is_dir(), (
            f"these tests need the npm package {package}: type scripts/install-node"
        )
    return str(found)
