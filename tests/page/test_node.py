"""The page's own logic, in Node's test runner: one file of tests beside this one is one test here."""

import subprocess
from pathlib import Path

import pytest
from tests.e2e.node_process import node

FOLDER = Path(__file__).parent

pytestmark = [pytest.mark.node, pytest.mark.slow]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.test.ts")), ids=lambda file: file.name)
def test_in_node(file: Path) -> None:
    """They pass, and there are some."""
    command = [node(), "--test", "--test-reporter=tap", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n# tests 0\n" not in done.stdout
