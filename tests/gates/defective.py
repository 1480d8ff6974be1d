"""``python -m tests.gates.defective NAME ...``: the command line of Headrace, with a defect in it."""

import sys

from tests.gates.defects import DEFECTS, planted

from headrace.__main__ import main

if __name__ == "__main__":
    with planted(DEFECTS[sys.argv.pop(1)]):
        main()
