"""What a command begins with, whoever has started it."""

import os
import subprocess
import sys

import pytest

CODE = """
import os, sys
from headrace.__main__ import main
sys.argv = ["headrace", "cancel", "--help"]
try:
    main()
except SystemExit:
    pass
os._exit(os.fstat(DESCRIPTOR).st_rdev != os.stat(os.devnull).st_rdev)
"""


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_standard_stream_that_is_closed_is_nothing(closed):
    """The next file or connection does not get its number, and what is logged."""
    command = [sys.executable, "-c", CODE.replace("DESCRIPTOR", str(closed))]
    assert subprocess.run(command, preexec_fn=lambda: os.close(closed), timeout=30, check=False).returncode == 0
